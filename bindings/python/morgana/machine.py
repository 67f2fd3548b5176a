"""Running unikernels: one object for every target."""
from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import socket
import time
from typing import Any, Mapping, Optional, Protocol, Sequence, Union, cast

from . import _driver
from .errors import Error, Misuse, NotSupported, RunError, Timeout, one, raising
from .units import Size, Time, seconds, size_bytes

TAIL_LINES = 40
START_SECONDS = 60.0
STOP_SECONDS = 30.0
OVER_SECONDS = 1e-6     # less than that left of a wait is none: virtual time counts in nanoseconds, floats do not

_RECORD = re.compile(r"^\[ *(\d+\.\d+)\] ([^:\n]+): (\w+): (.*)$", re.MULTILINE)
_ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}(?=/\d)|[0-9a-f:]*::[0-9a-f:]*(?=/\d)")


@dataclasses.dataclass(frozen=True)
class Record:
    """A line of the guest's log. `time` is seconds since its boot; `level` is "error", "warning", "info" or "debug"."""
    time: float
    source: str
    level: str
    message: str


@dataclasses.dataclass(frozen=True)
class Crash:
    """A crash report: as the guest printed it, and its frames with functions and places, where they can be known. `core` is the
    file that run() was given as `crash_core`, when a core was written to it."""
    report: str
    frames: str
    core: Optional[pathlib.Path] = None

    def __str__(self) -> str:
        return f"{self.report}\n{self.frames}".rstrip()


@dataclasses.dataclass(frozen=True)
class Metrics:
    """What a guest costs this host. `cpu_seconds` of its processes so far, the runner's included; `memory_bytes` they have
    now. None where it is not known."""
    cpu_seconds: Optional[float] = None
    memory_bytes: Optional[int] = None


def _span(timeout: Time) -> str:
    return timeout if isinstance(timeout, str) else f"{timeout} s"


class Backend(Protocol):
    """What runs a guest: the machine protocol (`_driver.Machine`), or a simulated world."""
    @property
    def capabilities(self) -> Sequence[str]: ...
    def now(self) -> float: ...
    def wait(self, seen: int, timeout_s: float) -> int: ...
    def console(self, offset: int) -> tuple[int, bytes]: ...
    def state(self) -> dict[str, Any]: ...
    def input(self, data: bytes) -> None: ...
    def end_input(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def snapshot(self, path: str) -> None: ...
    def core(self, path: str) -> None: ...
    def metrics(self) -> Metrics: ...
    def close(self) -> None: ...


class _Protocol:
    """The machine protocol, through libmorgana."""

    def __init__(self, made: _driver.Machine):
        self._made = made
        self._last = Metrics()

    @property
    def capabilities(self) -> Sequence[str]:
        """Those of this guest, which its runner may know only when it has started."""
        until = self.now() + START_SECONDS
        while not (seen := self._made.state())["states"] and not seen["ended"] and self.now() < until:
            self._made.wait(seen["revision"], until - self.now())
        return self._made.capabilities

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def now(self) -> float:
        return time.monotonic()

    def metrics(self) -> Metrics:
        cpu, memory = 0.0, 0
        tick = os.sysconf("SC_CLK_TCK")
        waiting, alive = [self._made.runner], False
        while waiting:
            process = waiting.pop()
            try:
                fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                # utime, stime, and those of its children that ended and were waited for; resident pages.
                cpu += sum(int(field) for field in fields[11:15]) / tick
                memory += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
                alive = True
                for task in pathlib.Path(f"/proc/{process}/task").iterdir():
                    waiting += [int(child) for child in (task / "children").read_text().split()]
            except (OSError, IndexError, ValueError):
                continue  # it ended meanwhile
        if alive:
            self._last = Metrics(max(cpu, self._last.cpu_seconds or 0.0), memory)
        return self._last

    def close(self) -> None:
        self._made.close()


class Machine:
    """A running unikernel, made by `App.run()` or `morgana.run()`. A context manager: at the end of its block the guest is
    asked to stop, and killed when it does not. Any thread of the process that started it may use it; a guest of a simulated
    network belongs to that network's thread.

    Waits raise Timeout with the end of the console, and end at once when what they wait for can no longer come."""

    def __init__(self, image: Any, backend: Backend, name: str, arguments: Sequence[str], target: str,
                 crash_core: Optional[pathlib.Path] = None):
        self.image, self.name, self.target = image, name, target
        self.arguments = tuple(arguments)
        self._backend = backend
        self._crash_core = crash_core
        self._position = 0      # bytes of the console, up to which expect() has looked
        self._closed = False
        self._kept = b""        # the console of a closed machine
        self._kept_begin = 0
        self._kept_state: Optional[dict[str, Any]] = None
        self._networks: list[Any] = []

    # ---- console ------------------------------------------------------------------------------------------------

    def _bytes(self, offset: int = 0) -> tuple[int, bytes]:
        if self._closed:
            begin = min(max(offset, self._kept_begin), self._kept_begin + len(self._kept))
            return begin, self._kept[begin - self._kept_begin:]
        return self._backend.console(offset)

    @property
    def console(self) -> str:
        """All it printed so far (of very much, the last 8 to 16 MiB)."""
        return self._bytes()[1].decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        return self.console.splitlines()

    @property
    def log(self) -> list[Record]:
        """Log records on the console so far."""
        return [Record(float(found[1]), found[2], found[3], found[4]) for found in _RECORD.finditer(self.console)]

    def messages(self, source: str) -> list[str]:
        """What `source` logged."""
        return [record.message for record in self.log if record.source == source]

    def tail(self) -> str:
        """The last lines of the console."""
        return "\n".join(self.lines[-TAIL_LINES:])

    def expect(self, pattern: Union[str, "re.Pattern[str]"], timeout: Time = 30) -> "re.Match[str]":
        """Waits for a regular expression (re.MULTILINE) on the console, from behind the match of the last expect(). Raises
        Timeout when it does not come in time, or when the guest ends without it."""
        wanted = re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
        until = self._backend_now() + seconds(timeout, "timeout")
        while True:
            seen = self._state()
            begin, said = self._bytes(self._position)
            text = said.decode(errors="replace")
            found = wanted.search(text)
            if found:
                self._position = begin + len(text[:found.end()].encode(errors="replace"))
                return found
            if seen["ended"]:
                raise self._timeout("expect-ended", f"{wanted.pattern!r} did not come before {self.name} ended "
                                                    f"({self._how(seen)})")
            left = until - self._backend_now()
            if left < OVER_SECONDS:
                raise self._timeout("expect-timeout", f"{wanted.pattern!r} did not come from {self.name} within {_span(timeout)}")
            self._backend.wait(seen["revision"], left)

    def send(self, text: Union[str, bytes]) -> None:
        """Console input."""
        with raising(RunError):
            self._open().input(text.encode() if isinstance(text, str) else bytes(text))

    def end_input(self) -> None:
        """The guest reads an end of file after what was sent."""
        with raising(RunError):
            self._open().end_input()

    # ---- how it ends --------------------------------------------------------------------------------------------

    def _backend_now(self) -> float:
        return self._backend.now()

    def _open(self) -> Backend:
        if self._closed:
            raise Misuse(f"the machine {self.name} is closed: its `with` block or close() has ended it")
        return self._backend

    def _state(self) -> dict[str, Any]:
        if self._kept_state is not None:
            return self._kept_state
        with raising(RunError):
            return self._open().state()

    @staticmethod
    def _how(state: Mapping[str, Any]) -> str:
        end = state["exit"]
        if end is None:
            return "its runner failed"
        why = "".join(f": {message}" for message, _ in state["errors"])
        return f"{end['reason']}, status {end['status']}{why}"

    def _timeout(self, code: str, message: str) -> Timeout:
        failure = Timeout([one(code, message)])
        failure.args = (f"{message}; the end of its console:\n{self.tail()}",)
        return failure

    @property
    def is_running(self) -> bool:
        return not self._closed and not self._state()["ended"]

    @property
    def status(self) -> Optional[int]:
        """Its exit status (docs/exit-codes.md), or None while it runs."""
        end = self._state()["exit"]
        return None if end is None else end["status"]

    @property
    def reason(self) -> Optional[str]:
        """"finished", "crashed", "killed", "out-of-memory", "failed", or None while it runs."""
        end = self._state()["exit"]
        return None if end is None else end["reason"]

    @property
    def errors(self) -> list[str]:
        """What its runner had to say: the reason of "failed", requests that were refused."""
        return [message for message, _ in self._state()["errors"]]

    @property
    def crash(self) -> Optional[Crash]:
        """The report of a guest that crashed."""
        state = self._state()
        end = state["exit"]
        if end is None or not end["report"]:
            return None
        report = end["report"].decode(errors="replace")
        core = self._crash_core if "cored" in state["states"] and self._crash_core and self._crash_core.exists() else None
        with raising(RunError):
            return Crash(report, self.image._made.symbolize(report), core)

    def wait(self, timeout: Time = 60) -> int:
        """Waits for its end; gives its exit status. Raises Timeout, and RunError when it could not be run at all."""
        until = self._backend_now() + seconds(timeout, "timeout")
        while True:
            seen = self._state()
            if seen["ended"]:
                break
            left = until - self._backend_now()
            if left < OVER_SECONDS:
                raise self._timeout("wait-timeout", f"{self.name} still runs after {_span(timeout)}")
            self._backend.wait(seen["revision"], left)
        if seen["exit"]["reason"] == "failed":
            raise RunError([one("runner-failed", message, *help) for message, help in seen["errors"]]
                           or [one("runner-failed", f"{self.name} could not be run")])
        return seen["exit"]["status"]

    def stop(self, timeout: Time = STOP_SECONDS) -> int:
        """Asks for an orderly end and waits for it; gives the exit status."""
        if self.is_running:
            with raising(RunError):
                self._backend.stop()
        return self.wait(timeout)

    def kill(self) -> None:
        """Ends it at once, and waits until it has ended."""
        if not self.is_running:
            return
        with raising(RunError):
            self._backend.kill()
        self.wait(STOP_SECONDS)

    def pause(self) -> None:
        """Its time stands still. Raises NotSupported where the target cannot."""
        self._and_wait_for("paused", self._open().pause)

    def resume(self) -> None:
        self._and_wait_for("resumed", self._open().resume)

    def snapshot(self, path: Union[str, "os.PathLike[str]"]) -> pathlib.Path:
        """Writes the whole machine to a file, from which run(image, snapshot=path) goes on as often as wanted; this one goes on,
        too. Raises NotSupported where the target cannot."""
        to = os.path.abspath(os.fspath(path))
        self._and_wait_for("snapshotted", lambda: self._open().snapshot(to))
        return pathlib.Path(to)

    def core(self, path: Union[str, "os.PathLike[str]"]) -> pathlib.Path:
        """Writes the running guest's memory and registers to an ELF core file for gdb; the guest goes on. Raises NotSupported
        where the target cannot, RunError with what is missing, or when the guest has ended."""
        to = os.path.abspath(os.fspath(path))
        if not self.is_running:
            raise RunError([one("runner-failed", f"{self.name} has ended: a core is made of a running guest",
                                "why it ended says its crash report")])
        self._and_wait_for("cored", lambda: self._open().core(to))
        return pathlib.Path(to)

    def _and_wait_for(self, state: str, command: Any) -> None:
        before = self._state()
        with raising(RunError):
            command()
        until = self._backend_now() + STOP_SECONDS
        while True:
            seen = self._state()
            if state in seen["states"][len(before["states"]):]:
                return
            if len(seen["errors"]) > len(before["errors"]):
                raise RunError([one("runner-failed", message, *help) for message, help in seen["errors"][-1:]])
            left = until - self._backend_now()
            if seen["ended"] or left < OVER_SECONDS:
                raise self._timeout("state-timeout", f"{self.name} was not {state}")
            self._backend.wait(seen["revision"], left)

    # ---- what is known of it --------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> tuple[str, ...]:
        return tuple(self._backend.capabilities)

    @property
    def metrics(self) -> Metrics:
        return Metrics() if self._closed else self._backend.metrics()

    @property
    def addresses(self) -> list[str]:
        """Its IP addresses: those it was told by options and those it logged, without prefix lengths, in that order."""
        said = [argument.partition("=")[2] for argument in self.arguments if re.match(r"--\w+\.ipv[46]=", argument)]
        said += [record.message for record in self.log if re.search(r", mtu \d|by DHCP|is ours", record.message)]
        found = [address for text in said for address in _ADDRESS.findall(text)]
        return list(dict.fromkeys(found))

    @property
    def address(self) -> str:
        """The first of `addresses`; 127.0.0.1 for a guest on this host's own stack."""
        known = self.addresses
        return known[0] if known else "127.0.0.1"

    def close(self) -> None:
        """Ends it, whatever it does. What it said and how it ended can still be asked for."""
        if self._closed:
            return
        try:
            self._kept_begin, self._kept = self._backend.console(0)
            state = self._backend.state()
            if state["exit"] is None:
                state["exit"] = {"status": 128 + 9, "reason": "killed", "signal": 9, "report": b""}
            self._kept_state = {**state, "ended": True}
        except _driver.Failure:
            self._kept_state = {"revision": 0, "ended": True, "exit": None, "errors": [], "states": []}
        self._backend.close()
        self._closed = True
        for network in self._networks:
            network._detach(self)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, kind: Any, failure: Any, trace: Any) -> None:
        try:
            # A test that failed, or Ctrl-C, does not wait for the guest's manners.
            if failure is None and self.is_running:
                try:
                    self.stop()
                except Timeout:
                    pass
        finally:
            self.close()

    def __repr__(self) -> str:
        if self._closed:
            return f"<morgana.Machine {self.name}, closed>"
        return f"<morgana.Machine {self.name} on {self.target}>"


Networks = Union[Sequence[Any], Mapping[str, Any]]


def _interface(name: str, what: Any) -> dict[str, Any]:
    """An interface that needs no Network: what `morgana run --network` takes, or a socket of frames."""
    if isinstance(what, socket.socket):
        return {"name": name, "descriptor": what.fileno()}
    if isinstance(what, str) and what == "tap":
        return {"name": name, "host_address": "10.0.0.1/24", "vnet_header": True}
    if isinstance(what, str) and re.fullmatch(r"tap:.+", what):
        return {"name": name, "tap": what[4:], "vnet_header": True}
    if isinstance(what, Mapping):
        known = {"descriptor": int, "tap": str, "host_address": str, "mac": str, "mtu": int, "vnet_header": bool}
        for key, value in what.items():
            if key not in known or not isinstance(value, known[key]):
                raise TypeError(f"a network has no {key}={value!r}; it has {', '.join(known)}")
        return {"name": name, **what}
    raise TypeError(f"{what!r} is no network: give a morgana.Network, \"tap\", \"tap:IF\", a socket of frames or a dict")


def _disks(disks: Mapping[str, Any]) -> list[dict[str, Any]]:
    out = []
    if not isinstance(disks, Mapping):
        raise TypeError(f"disks is a dict of device names and files, not {disks!r}")
    for name, what in disks.items():
        given = dict(what) if isinstance(what, Mapping) else {"path": what}
        path = pathlib.Path(os.path.abspath(os.fspath(given.pop("path"))))
        if not path.exists():
            raise RunError([one("wrong-value", f"disk `{name}`: the file `{path}` does not exist")])
        out.append({"name": name, "path": str(path), **given})
    return out


def run(image: Any, *, networks: Networks = (), disks: Mapping[str, Any] = {}, memory: Optional[Size] = None,
        arguments: Sequence[str] = (), environment: Mapping[str, str] = {}, settings: Mapping[str, Any] = {},
        name: Optional[str] = None, crash_core: Union[None, str, "os.PathLike[str]"] = None,
        snapshot: Union[None, str, "os.PathLike[str]"] = None) -> Machine:
    """Boots an Image and gives its Machine.

    `networks` joins interfaces: a list for a guest's interfaces in order of its devices, or a dict by their names; values are
    Network objects, "tap", "tap:IF", or a socket of frames. `disks` is {device: file} or {device: {"path": ..., "read_only":
    True}}. `memory` is bytes or a text; None is the target's setting. `settings` are the target's ({"seed": 7},
    {"machine": "xen"}); `environment` is for targets that have one. `crash_core` is a file for the core of a guest that crashes:
    it is held until it is written (Machine.crash.core), and then ends as it would have. `snapshot` is a file of
    Machine.snapshot(), from which a guest of the same image, with the same memory and settings, goes on. Raises RunError; what the guest itself
    has to say is on its console."""
    from .network import Network, split  # it needs this module
    from .app import text_of, texts_of

    configuration = image.configuration
    name = configuration.name if name is None else text_of(name, "name")
    arguments = [text_of(argument, "an argument") for argument in arguments]
    given = texts_of(settings, "settings")
    for setting in given:
        if setting not in configuration.settings:
            raise RunError([one("wrong-value", f"the target `{configuration.target}` has no setting `{setting}`",
                                f"it has {', '.join(configuration.settings) or 'none'}")])
    if isinstance(networks, Mapping):
        wanted = dict(networks)
    elif isinstance(networks, (str, bytes)) or not isinstance(networks, Sequence):
        raise TypeError(f"networks is a list or a dict, not {networks!r}")
    else:
        names = [device.name for device in configuration.graph if device.concept == "net::device"]
        if len(networks) > max(1, len(names)):
            raise RunError([one("wrong-value", f"{name} has {len(names)} network devices, not {len(networks)}")])
        wanted = dict(zip(names or [""], networks))
    joined = [what for what in wanted.values() if split(what)[0] is not None]
    limit = 0 if memory is None else size_bytes(memory, "memory")
    core = None if crash_core is None else pathlib.Path(os.path.abspath(os.fspath(crash_core)))
    if core is not None:
        core.unlink(missing_ok=True)
    if snapshot is not None and not os.path.exists(snapshot):
        raise RunError([one("wrong-value", f"the snapshot `{os.fspath(snapshot)}` does not exist")])
    if joined and "virtual-time" in configuration.capabilities:
        if snapshot is not None:
            raise NotSupported([one("not-supported", "a guest of a simulated network does not go on from a snapshot: the same seed "
                                                     "and the same calls bring it to the same moment again")])
        return Network._boot(image, name, wanted, disks, limit, arguments, given)

    interfaces = []
    attached = []
    try:
        for device, what in wanted.items():
            network, cable = split(what)
            if network is not None:
                interface, port = network._attach(name, device, cable)
                attached.append((network, port))
                interfaces.append({"name": device, **interface})
            else:
                interfaces.append(_interface(device, what))
        with raising(RunError):
            made = _driver.Machine(configuration._made, name, arguments, texts_of(environment, "environment"), given, limit,
                                   interfaces, _disks(disks), "" if core is None else str(core),
                                   "" if snapshot is None else os.path.abspath(os.fspath(snapshot)), START_SECONDS)
    except BaseException:
        for network, port in attached:
            network._release(port)
        raise
    machine = Machine(image, cast(Backend, _Protocol(made)), name, arguments, configuration.target, core)
    for network, port in attached:
        network._attached(machine, port)
    return machine
