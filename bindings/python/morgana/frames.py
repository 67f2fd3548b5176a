"""Frames one by one: ports whose packets a test makes and reads, captures, and what they are compared with."""
from __future__ import annotations

import asyncio
import dataclasses
import os
from typing import Any, Callable, Iterable, Optional, Union

from . import units
from .hosts import Node

Packet = Any
"""Bytes of a whole Ethernet frame, or a scapy packet."""


def parse(frame: bytes) -> Any:
    """The frame as scapy's packet (python3-scapy must be installed)."""
    from scapy.layers import inet, inet6  # noqa: F401: they teach Ether what comes after it
    from scapy.layers.l2 import Ether

    return Ether(frame)


def summary(frame: bytes) -> str:
    """One line about it."""
    return parse(frame).summary()


def is_background(frame: bytes) -> bool:
    """What hosts say beside what a test asks them: ARP, IPv6's neighbour, router and group messages, IGMP."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0806:
        return True
    if kind == 0x0800:
        return len(frame) > 23 and frame[23] == 2
    if kind == 0x86DD and len(frame) > 54:
        at, following = 54, frame[20]
        if following == 0 and len(frame) > 62:  # hop-by-hop options, as MLD's packets have
            following, at = frame[54], 54 + 8 + 8 * frame[55]
        return following == 58 and len(frame) > at and (130 <= frame[at] <= 137 or frame[at] == 143)
    return False


def matches(frame: bytes, wanted: Any) -> bool:
    """Whether a frame is what was wanted: the same bytes; or, for a scapy packet, has its layers with each field that was
    set; or, for a function of a scapy packet, that it says so."""
    if isinstance(wanted, (bytes, bytearray)):
        return frame == bytes(wanted)
    packet = parse(frame)
    if not hasattr(wanted, "layers"):
        return bool(wanted(packet))
    for layer in wanted.layers():
        if not packet.haslayer(layer):
            return False
        for name, value in wanted[layer].fields.items():
            if packet[layer].getfieldval(name) != value:
                return False
    return True


def _told(wanted: Any) -> str:
    if isinstance(wanted, (bytes, bytearray)):
        return summary(bytes(wanted))
    if hasattr(wanted, "layers"):
        return wanted.summary()
    return getattr(wanted, "__name__", repr(wanted))


class Unexpected(AssertionError):
    """Another packet came than the one expected, or none in time."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame that came to a port."""
    time: float
    """When, in seconds since the simulation's begin."""
    data: bytes
    port: int = 0

    @property
    def packet(self) -> Any:
        """As scapy reads it."""
        return parse(self.data)


class Port(Node):
    """A place in the network whose frames the test makes and reads. It answers ARP and neighbour solicitations for its
    addresses, and nothing else."""

    def __init__(self, simulation: Any, name: str, number: int, addresses: list[str]):
        super().__init__(simulation, name, number)
        self.addresses = addresses

    @property
    def address(self) -> str:
        if not self.addresses:
            raise RuntimeError(f"{self.name} has no address: give it one with addresses=[...]")
        return self.addresses[0]

    @property
    def mac(self) -> str:
        """Its Ethernet address."""
        return self._world.mac(self._number)

    def send(self, packet: Packet, port: int = 0) -> None:
        """Sends exactly this, now: a frame's bytes, or a scapy packet; one without Ethernet is put into a frame to whom its
        destination belongs in this simulation."""
        self._world.send(self._number, self.simulation._frame_for(packet, None, self.mac), port)

    async def receive(self, *, timeout: Optional[units.Time] = None) -> Frame:
        """The next frame, whatever it is; TimeoutError when none comes in time."""
        return await (self._next() if timeout is None else asyncio.wait_for(self._next(), units.seconds(timeout)))

    async def _next(self) -> Frame:
        time, data, port = await self._wait(self._world.fetch(self._number))
        return Frame(time / 1e9, data, port)

    async def expect(self, wanted: Union[bytes, Packet, Callable[[Any], bool]], within: units.Time = "200ms", *,
                     ignore: Callable[[bytes], bool] = is_background) -> Frame:
        """The next frame that `ignore` does not pass over, which must be the wanted one (see `matches`) and come within that
        virtual time. Unexpected, an AssertionError, says what came instead."""
        end = self.simulation.now + units.seconds(within)
        while True:
            try:
                got = await self.receive(timeout=max(0.0, end - self.simulation.now))
            except asyncio.TimeoutError:
                raise Unexpected(f"nothing came to {self.name} within {within}; expected: {_told(wanted)}") from None
            if ignore(got.data):
                continue
            if matches(got.data, wanted):
                return got
            raise Unexpected(f"{self.name} expected: {_told(wanted)}\nat {got.time:.6f} s came: {summary(got.data)}\n"
                             f"{got.packet.show(dump=True)}")

    async def expect_nothing(self, within: units.Time = "200ms", *,
                             ignore: Callable[[bytes], bool] = is_background) -> None:
        """No frame but those that `ignore` passes over comes within that virtual time."""
        end = self.simulation.now + units.seconds(within)
        while True:
            try:
                got = await self.receive(timeout=max(0.0, end - self.simulation.now))
            except asyncio.TimeoutError:
                return
            if not ignore(got.data):
                raise Unexpected(f"{self.name} expected nothing; at {got.time:.6f} s came: {summary(got.data)}")


@dataclasses.dataclass(frozen=True)
class Captured:
    """One frame of a capture."""
    time: float
    """Seconds since the simulation's begin."""
    host: str
    sent: bool
    """By that host; else given to it."""
    data: bytes

    @property
    def packet(self) -> Any:
        """As scapy reads it."""
        return parse(self.data)


class Capture:
    """What hosts sent and were given. A context manager: it stops at the end, and is saved if it has a path."""

    def __init__(self, simulation: Any, number: int, path: Union[None, str, os.PathLike]):
        self._simulation = simulation
        self._number = number
        self.path = path

    @property
    def frames(self) -> list[Captured]:
        """All so far, in the order of their times."""
        return self.frames_from(0)

    def frames_from(self, first: int) -> list[Captured]:
        """Those from that number on."""
        world = self._simulation._world
        names = world.interfaces(self._number)
        return [Captured(time / 1e9, names[interface], sent, data)
                for time, interface, sent, data in world.captured(self._number, first)]

    def sent_by(self, *hosts: Any) -> list[Captured]:
        """Frames that these hosts sent."""
        names = {getattr(one, "name", one) for one in hosts}
        return [one for one in self.frames if one.sent and one.host in names]

    @property
    def dropped(self) -> int:
        """Frames that found no room."""
        return self._simulation._world.capture_dropped(self._number)

    def pcapng(self) -> bytes:
        """As a pcapng file, an interface for each host; the same seed gives the same bytes."""
        return self._simulation._world.pcapng(self._number)

    def save(self, path: Union[str, os.PathLike]) -> None:
        """Writes that file."""
        with open(path, "wb") as file:
            file.write(self.pcapng())

    def stop(self) -> None:
        """Nothing more is kept."""
        self._simulation._world.stop_capture(self._number)

    def __enter__(self) -> "Capture":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._simulation.is_closed:
            return
        self.stop()
        if self.path is not None:
            self.save(self.path)


def hosts_of(all_nodes: Iterable[Any]) -> list[Any]:
    """Those whose frames a capture keeps when none are named: all but switches, routers and boxes."""
    return [one for one in all_nodes if isinstance(one, Node) and getattr(one, "is_end", True)]
