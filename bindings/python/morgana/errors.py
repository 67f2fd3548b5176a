"""What can go wrong, as exceptions. All of them are morgana.Error."""
from __future__ import annotations

import dataclasses
from typing import Any, Iterable, Optional

from . import _driver

Misuse = _driver.Misuse
"""A call that makes no sense where it was made: of a closed machine or network, in a fork, by another thread than the one
that a simulated network belongs to. A RuntimeError."""


@dataclasses.dataclass(frozen=True)
class Note:
    """Something said about another place."""
    message: str
    file: Optional[str] = None
    line: int = 0
    column: int = 0


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One mistake, as `morgana` prints it: what (`code` is stable, docs/errors.md), where (lines and columns count from 1,
    0 is unknown; `file` is None where there is none), why (`notes`), and what to do next (`help`)."""
    code: str
    message: str
    file: Optional[str] = None
    line: int = 0
    column: int = 0
    level: str = "error"
    notes: tuple[Note, ...] = ()
    help: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Diagnostic":
        return cls(raw["code"], raw["message"], raw["file"], raw["line"], raw["column"], raw["level"],
                   tuple(Note(**note) for note in raw["notes"]), tuple(raw["help"]))

    def __str__(self) -> str:
        place = ""
        if self.file is not None:
            place = ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)]) + ": "
        lines = [f"{place}{self.level}: {self.message} [{self.code}]"]
        lines += [f"note: {note.message}" for note in self.notes]
        lines += [f"help: {sentence}" for sentence in self.help]
        return "\n".join(lines)


class Error(Exception):
    """Carries `diagnostics`, at least one."""

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(one) for one in self.diagnostics))

    @property
    def code(self) -> str:
        """That of the first diagnostic."""
        return self.diagnostics[0].code


class ConfigureError(Error):
    """The description, the entry point, a package or a choice is wrong."""


class BuildError(Error):
    """A package or the image was not built; the tools' words are among the notes."""


class RunError(Error):
    """A machine could not be started, or its runner failed."""


class NotSupported(RunError):
    """The target cannot do that (`not-supported`)."""


class Timeout(Error, AssertionError):
    """A wait reached its deadline, or what was waited for can no longer come. Its text ends with the last lines of the
    console. A failed assertion, too: a test that waits in vain has failed."""


def one(code: str, message: str, *help: str) -> Diagnostic:
    return Diagnostic(code, message, help=help)


class raising:
    """Turns the driver's failures inside a block into `kind`."""

    def __init__(self, kind: type[Error]):
        self.kind = kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, failure: Any, trace: Any) -> None:
        if isinstance(failure, _driver.Failure):
            diagnostics = [Diagnostic.of(raw) for raw in failure.args[0]]
            if diagnostics[0].code == "not-supported":
                raise NotSupported(diagnostics) from None
            raise self.kind(diagnostics) from None
