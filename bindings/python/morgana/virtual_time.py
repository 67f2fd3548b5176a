"""asyncio in virtual time: an event loop whose clock is a simulated world's, and which waits by letting the world run.

All of asyncio works in it (tasks, gather, wait_for, timeout, sleep, Queue, ...), and nothing waits for real: a sleep of an
hour takes as long as it takes to simulate that hour. There are no threads and no real sockets in it."""
from __future__ import annotations

import asyncio
from typing import Any, Optional

_NANOSECONDS = 1_000_000_000
_NEVER = (1 << 63) - 1


class Stuck(Exception):
    """Nothing is left to happen in the world, and something is still waited for."""


class OutOfTime(Exception):
    """The virtual time given to a run is over."""


class _WorldSelector:
    """What asyncio's loop waits with. It has no files: it lets the world run until something has an outcome."""

    def __init__(self, world: Any):
        self.world = world
        self.limit_ns = _NEVER
        self.listeners: list[asyncio.Future] = []  # of guests' consoles

    def select(self, timeout: Optional[float]) -> list:
        world = self.world
        found = world.take_finished()
        if found or (timeout is not None and timeout <= 0):
            return found
        now = world.now
        until = self.limit_ns
        if timeout is not None:
            until = min(until, now + max(1, round(timeout * _NANOSECONDS)))
        if until <= now and until == self.limit_ns:
            raise OutOfTime
        why, now = world.run(until, bool(self.listeners))
        if why == "told":
            for one in self.listeners:
                if not one.done():
                    one.set_result(None)
            self.listeners.clear()
        elif why == "idle":
            raise Stuck
        return world.take_finished()

    def get_map(self) -> dict:
        return {}

    def close(self) -> None:
        pass


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop over one world."""

    def __init__(self, world: Any):
        super().__init__()
        self._selector = _WorldSelector(world)
        self._world = world
        self._clock_resolution = 1e-9
        self._outcomes: dict[int, asyncio.Future] = {}
        self._early: dict[int, tuple] = {}  # outcomes that came before anybody awaited them

    @property
    def limit_ns(self) -> int:
        return self._selector.limit_ns

    @limit_ns.setter
    def limit_ns(self, to: int) -> None:
        self._selector.limit_ns = to

    def time(self) -> float:
        """Seconds since the world's begin."""
        return self._world.now / _NANOSECONDS

    async def outcome(self, operation: int) -> Any:
        """What an operation gives; it is cancelled with the task that waits for it."""
        waiting = self.create_future()
        self._outcomes[operation] = waiting
        if operation in self._early:
            self._process_events([(operation, *self._early.pop(operation))])
        try:
            return await waiting
        finally:
            if self._outcomes.pop(operation, None) is not None and not self._world.is_closed:
                self._world.cancel(operation)

    async def told(self) -> None:
        """Until a guest printed or ended, or a frame came to a port."""
        waiting = self.create_future()
        self._selector.listeners.append(waiting)
        await waiting

    def waiting(self) -> int:
        """Operations without an outcome."""
        return len(self._outcomes)

    # ---- asyncio's side ----------------------------------------------------------------------------------
    def _process_events(self, events: list) -> None:
        for operation, is_good, value in events:
            waiting = self._outcomes.pop(operation, None)
            if waiting is None:
                self._early[operation] = (is_good, value)
            elif waiting.done():
                continue
            elif is_good:
                waiting.set_result(value)
            else:
                waiting.set_exception(value)

    def _write_to_self(self) -> None:
        pass  # nobody else wakes it

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        raise RuntimeError("a simulation has one thread: another cannot call into its loop")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        raise RuntimeError("a simulation has no threads: virtual time does not wait for one")
