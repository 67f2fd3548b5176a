"""A guest of a simulated network, as Machine wants what runs it."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence

from .errors import NotSupported, one
from .machine import Machine, Metrics

if TYPE_CHECKING:
    from .network import World


class SimulatedGuest:
    """Time is the world's."""
    capabilities: Sequence[str] = ("console", "exit", "stop", "kill", "crash-report", "memory-limit", "disk", "virtual-time")

    def __init__(self, world: World, node: int):
        self._world, self._node = world, node
        self.machine: Optional[Machine] = None
        self._killed = False

    def now(self) -> float:
        return self._world.now()

    def _revision(self) -> int:
        made = self._world.use()
        if self._killed:
            return 1
        return 2 * len(made.guest_console(self._node, 0)) + 2 + (made.guest_end(self._node) is not None)

    def wait(self, seen: int, timeout_s: float) -> int:
        until = self._world.after(timeout_s)
        while True:
            revision = self._revision()
            if revision != seen or self._world.use().now >= until:
                return revision
            self._world.run(until, True)

    def console(self, offset: int) -> tuple[int, bytes]:
        if self._killed:
            begin = min(offset, len(self._last))
            return begin, self._last[begin:]
        return offset, self._world.use().guest_console(self._node, offset)

    def state(self) -> dict[str, Any]:
        exit = None
        if self._killed:
            exit = {"status": 128 + 9, "reason": "killed", "signal": 9, "report": b""}
        else:
            end = self._world.use().guest_end(self._node)
            if end is not None:
                reasons = {"out of memory": "out-of-memory", "hung": "crashed"}
                exit = {"status": end[1], "reason": reasons.get(end[0], end[0]), "signal": None, "report": end[2].encode()}
        return {"revision": self._revision(), "ended": exit is not None, "exit": exit, "errors": [], "states": []}

    def stop(self) -> None:
        self._world.use().guest_stop(self._node)

    def kill(self) -> None:
        if not self._killed:
            self._last = self._world.use().guest_console(self._node, 0)
            self._world.use().kill(self._node)
            self._killed = True

    def metrics(self) -> Metrics:
        if self._killed:
            return Metrics()
        return Metrics(None, self._world.use().guest_memory(self._node)["private_bytes"])

    def close(self) -> None:
        if self in self._world.guests:
            self._world.guests.remove(self)
        if not self._world.is_closed:
            self.kill()

    def _cannot(self, *given: Any) -> None:
        raise NotSupported([one("not-supported", "a guest of a simulated network has no console input, pauses, snapshots, cores: "
                                                 "its time stands still whenever the test does not wait")])

    input = end_input = pause = resume = snapshot = core = _cannot
