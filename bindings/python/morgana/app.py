"""Applications: configured, built, run."""
from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import os
import pathlib
from typing import Any, Callable, Iterator, Mapping, Optional, Union

from . import _driver
from .errors import BuildError, ConfigureError, one, raising

Path = Union[str, "os.PathLike[str]"]
Progress = Callable[[str, int, int], None]
Values = Mapping[str, Union[str, int, float, bool]]


def path_of(value: Path, what: str) -> str:
    """A file name that the system can have. Raises TypeError, ValueError."""
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text or a pathlib.Path, not {value!r}")
    if "\0" in text:
        raise ValueError(f"{what} {text!r} holds a NUL")
    return text


def text_of(value: object, what: str) -> str:
    """A value of an option as `--NAME=VALUE` has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        value.encode()  # a lone surrogate is said here
        return value
    raise TypeError(f"{what} is a text, a number or a bool, not {value!r}")


def texts_of(values: Values, what: str) -> dict[str, str]:
    return {text_of(name, f"a name of {what}"): text_of(value, f"{what}[{name!r}]") for name, value in dict(values).items()}


@dataclasses.dataclass(frozen=True)
class Device:
    """A node of the device graph. `needs` maps a need's name to the node that serves it; `path` is the chain from start()."""
    name: str
    concept: str
    implementation: str
    type: str
    config: Mapping[str, str]
    needs: Mapping[str, str]
    path: tuple[str, ...]
    parameters: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of start() or of a device; `stage` is "configure" (then `value` is what it was fixed at) or "boot"."""
    name: str
    stage: str
    type: str
    default: str
    help: str
    value: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Package:
    """`choices`: what the image has of it, by the names in its recipe."""
    name: str
    version: str
    licence: str
    origin: str
    choices: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Piece:
    """What the linker put into an image: a function, an object, or something of its own. `size` in bytes."""
    package: str
    file: str
    symbol: str
    section: str
    size: int


class Why(str):
    """An answer as people read it; `details` has it as values."""
    details: dict[str, Any]


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """One build at a time in a folder, of all processes that use this package: Ninja expects that."""
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Configuration:
    """What was chosen for one target. Nothing of it is on disk before `build()`."""

    def __init__(self, app: "App", made: _driver.Configuration):
        self.app = app
        self._made = made

    @functools.cached_property
    def _described(self) -> dict[str, Any]:
        return self._made.describe()

    @property
    def name(self) -> str:
        return self._described["name"]

    @property
    def target(self) -> str:
        return self._made.target

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Of the target: "pause", "network.fd", "virtual-time", ..."""
        return tuple(self._made.capabilities)

    @functools.cached_property
    def graph(self) -> tuple[Device, ...]:
        """The devices, each after those it needs."""
        return tuple(Device(node["name"], node["concept"], node["implementation"], node["type"], node["config"],
                            node["needs"], tuple(node["path"]), tuple(node["parameters"]))
                     for node in self._described["devices"])

    @functools.cached_property
    def options(self) -> tuple[Option, ...]:
        return tuple(Option(**option) for option in self._described["options"])

    @functools.cached_property
    def packages(self) -> tuple[Package, ...]:
        return tuple(Package(**package) for package in self._described["packages"])

    @property
    def settings(self) -> dict[str, str]:
        """Of the target, with their values."""
        return self._made.settings

    @property
    def lock(self) -> str:
        """The text of morgana.lock as it is to be."""
        return self._made.lock

    @property
    def build_folder(self) -> pathlib.Path:
        return pathlib.Path(self._made.build_folder)

    def dot(self) -> str:
        """The graph for Graphviz."""
        return self._made.dot()

    def actions(self) -> list[str]:
        """What writing this configuration would do, a line each."""
        return self._made.actions()

    def build(self, *, jobs: int = 0, progress: Optional[Progress] = None) -> "Image":
        """Writes the configuration, compiles what is missing, links. `progress(what, done, total)` is told of steps. Raises
        BuildError."""
        with _alone(self._made.build_root), raising(BuildError):
            self._made.build(jobs, progress)
        return Image(self)

    def __repr__(self) -> str:
        return f"<morgana.Configuration {self.name} for {self.target}>"


class Image:
    """A built unikernel."""

    def __init__(self, configuration: Configuration):
        self.configuration = configuration
        self._made = configuration._made

    @property
    def path(self) -> pathlib.Path:
        return pathlib.Path(self.artefacts["image"])

    @property
    def artefacts(self) -> dict[str, str]:
        """Every file that the target makes, by what it is: "image", "debug", "map", ..."""
        return self._made.artefacts

    @property
    def size(self) -> int:
        """Of the image's file, bytes."""
        return self.path.stat().st_size

    @property
    def sections(self) -> dict[str, int]:
        """Bytes of each section that takes room in the file."""
        with raising(BuildError):
            return dict(self._made.sections())

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Who owns the bytes; their sizes sum up to the file's."""
        with raising(BuildError):
            return tuple(Piece(*piece) for piece in self._made.pieces())

    @property
    def manifest(self) -> dict[str, str]:
        """The devices in the image: name and concept."""
        return {device.name: device.concept for device in self.configuration.graph}

    def why(self, thing: str) -> Why:
        """The chain from start() to a device, a package or a symbol. Raises BuildError `unknown-name`, with the nearest."""
        with raising(BuildError):
            text, details = self._made.why(thing)
        answer = Why(text)
        answer.details = details
        return answer

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<morgana.Image {self.path}>"


class App:
    """An application: the folder of its `unikernel.toml`, or that file.

    `options` are fixed at configure time for every target: options of start(), of devices ("network.backlog"), choices
    ("network.use", "morgana-http.parser"). `output` is a build folder instead of APP/build. Nothing is read before it is asked for."""

    def __init__(self, path: Path, *, options: Values = {}, output: Optional[Path] = None):
        self.path = pathlib.Path(path_of(path, "path"))
        self.options = texts_of(options, "options")
        self.output = None if output is None else pathlib.Path(path_of(output, "output"))

    def configure(self, target: Optional[str] = None, options: Values = {}, *, choices: Values = {}, locked: bool = False,
                  offline: bool = False, progress: Optional[Progress] = None) -> Configuration:
        """Chooses devices and versions for `target` (None: MORGANA_TARGET, or the default one) without writing anything into
        the application's folder. `choices` says which implementation serves a name: {"network": "direct"}. Raises
        ConfigureError."""
        if target is not None and not isinstance(target, str):
            raise TypeError(f"target is a text, not {target!r}")
        chosen = {f"{name}.use": use for name, use in texts_of(choices, "choices").items()}
        with raising(ConfigureError):
            made = _driver.configure(str(self.path), target, {**self.options, **texts_of(options, "options"), **chosen},
                                     None if self.output is None else str(self.output), locked, offline, progress)
        return Configuration(self, made)

    def dry_run(self, target: Optional[str] = None, options: Values = {}, **how: Any) -> list[str]:
        """The actions of configuring, a line each; none of them is done."""
        return self.configure(target, options, **how).actions()

    def build(self, target: Optional[str] = None, options: Values = {}, *, jobs: int = 0,
              progress: Optional[Progress] = None, **how: Any) -> Image:
        """Configures and builds. What is up to date costs some 30 ms. Raises ConfigureError, BuildError."""
        return self.configure(target, options, progress=progress, **how).build(jobs=jobs, progress=progress)

    def run(self, target: Optional[str] = None, **how: Any) -> "Machine":
        """Builds if need be and boots: Image of build() and the arguments of morgana.run()."""
        build = {name: how.pop(name) for name in ("options", "choices", "locked", "offline", "progress") if name in how}
        return run(self.build(target, **build), **how)

    def __repr__(self) -> str:
        return f"<morgana.App {self.path}>"


def targets(application: Path = ".") -> list[dict[str, Any]]:
    """The targets there are for an application: dicts with name, summary, is_default, capabilities, tools."""
    return _driver.targets(path_of(application, "application"))


from .machine import Machine, run  # noqa: E402  (they need Image)
