"""Simulated guests: the image of any application, NAME.sim.so, as a host of a simulation."""
from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import Any, Optional, Pattern, Union

from . import units
from .hosts import Node


@dataclasses.dataclass(frozen=True)
class End:
    """How a guest ended."""
    how: str
    """"finished", "crashed", "out of memory" or "hung"."""
    status: int
    """docs/exit-codes.md."""
    report: str
    """A crash report, or nothing."""


class Guest(Node):
    """A host that runs an application's image, unchanged."""

    def __init__(self, simulation: Any, name: str, number: int, arguments: list[str]):
        super().__init__(simulation, name, number)
        self._read = 0
        self._addresses = [found[1] for one in arguments for found in [re.match(r"--\w+\.ipv4=([0-9.]+)/", one)] if found]

    @property
    def address(self) -> str:
        """The first IPv4 address among its arguments."""
        if not self._addresses:
            raise RuntimeError(f"{self.name} was given no address among its arguments")
        return self._addresses[0]

    @property
    def console(self) -> str:
        """All that it printed since it booted."""
        return self._world.guest_console(self._number, 0).decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        return self.console.splitlines()

    @property
    def end(self) -> Optional[End]:
        """How it ended; None while it runs, or when it has no power."""
        found = self._world.guest_end(self._number)
        return None if found is None else End(*found)

    @property
    def memory(self) -> dict[str, int]:
        """heap_bytes, heap_bytes_max, private_bytes, dropped_frames."""
        return self._world.guest_memory(self._number)

    async def expect(self, pattern: Union[str, Pattern[str]], *, timeout: units.Time = "60s") -> "re.Match[str]":
        """Waits for a regular expression on the console, from where the last one ended. AssertionError with the console's
        tail when its virtual time is over, or the guest ended."""
        wanted = re.compile(pattern)
        end = self.simulation.now + units.seconds(timeout)
        while True:
            found = wanted.search(self.console, self._read)
            if found:
                self._read = found.end()
                return found
            if self.end is not None:
                raise AssertionError(f"{self.name} ended ({self.end.how}, status {self.end.status}) before "
                                     f"{wanted.pattern!r}; its console:\n{self._tail()}")
            await self._told(end, f"{wanted.pattern!r} on the console")

    async def wait(self, *, timeout: units.Time = "60s") -> End:
        """Waits for its end."""
        end = self.simulation.now + units.seconds(timeout)
        while self.end is None:
            await self._told(end, "its end")
        return self.end

    async def _told(self, end: float, what: str) -> None:
        left = end - self.simulation.now
        try:
            if left <= 0:
                raise asyncio.TimeoutError
            await asyncio.wait_for(self.simulation._told(), left)
        except asyncio.TimeoutError:
            raise AssertionError(f"{self.name}: {what} did not come in time; its console:\n{self._tail()}") from None

    def _tail(self) -> str:
        return "\n".join(self.lines[-20:])

    def stop(self) -> None:
        """Asks for an orderly end; `wait` for it."""
        self._world.guest_stop(self._number)

    def crash(self) -> None:
        """Pulls its plug."""
        self._world.kill(self._number)

    def boot(self) -> None:
        """Boots it again after its end or a crash, from nothing; its console begins anew."""
        self._read = 0
        self._world.boot(self._number)

    @property
    def has_power(self) -> bool:
        return self._world.has_power(self._number)
