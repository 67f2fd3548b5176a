"""Hosts of a simulation that run our stack in this process, and their sockets."""
from __future__ import annotations

import asyncio
from typing import Any, Iterable, Optional, Sequence, Union

from . import units


class Values(dict):
    """Numbers under their names: `info.congestion_window_bytes` and `info["congestion_window_bytes"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name}; there are {', '.join(self)}") from None


def _timeout(value: Optional[units.Time]) -> Optional[float]:
    return None if value is None else units.seconds(value, "timeout")


def _bytes(data: Any) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"data is bytes, not {type(data).__name__}")


class Node:
    """What has a name and cables in a simulation."""

    def __init__(self, simulation: Any, name: str, number: int):
        self.simulation = simulation
        self.name = name
        self._number = number
        self.links: list[Any] = []
        """Its cables, in order."""

    @property
    def _world(self) -> Any:
        return self.simulation._world

    async def _wait(self, operation: int) -> Any:
        return await self.simulation._outcome(operation)

    def cut(self) -> None:
        """All of its cables are cut."""
        for one in self.links:
            one.cut()

    def heal(self) -> None:
        """Its cables pass frames again."""
        for one in self.links:
            one.heal()

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"


class _Socket:
    def __init__(self, host: "Host", number: int):
        self.host = host
        self._number = number

    @property
    def local(self) -> tuple[str, int]:
        """Its own end: address and port. OSError once it is closed."""
        return self.host._world.local(self.host._number, self._number)

    def close(self) -> None:
        """Closes it; what waits on it ends in OSError. Once is enough, more does no harm."""
        if not self.host._world.is_closed:
            self.host._world.close_socket(self.host._number, self._number)

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()


class Stream(_Socket):
    """A TCP connection. Times out, is reset or refused in OSError: TimeoutError, ConnectionResetError, ..."""

    @property
    def peer(self) -> tuple[str, int]:
        """The other end: address and port."""
        return self.host._world.peer(self.host._number, self._number)

    @property
    def info(self) -> Values:
        """State and counters (RFC 9293 3.3.1 and more): `state`, `congestion_window_bytes`, `bytes_in_flight`,
        `smoothed_round_trip` (seconds), `segments_retransmitted`, ..."""
        return Values(self.host._world.info(self.host._number, self._number))

    @property
    def options(self) -> Values:
        """Its settings now; `set` changes them."""
        return Values(self.host._world.options(self.host._number, self._number))

    def set(self, **changes: Any) -> None:
        """Changes settings: `no_delay`, `keepalive`, `user_timeout`, `congestion_control` ("cubic", "new_reno"), ..."""
        self.host._world.set_options(self.host._number, self._number, changes)

    async def read(self, most: int = 65_536, *, timeout: Optional[units.Time] = None) -> bytes:
        """What has arrived: at least one byte, at most that many; b"" at the end of the peer's stream."""
        return await self._read(1, most, False, timeout)

    async def read_exactly(self, count: int, *, timeout: Optional[units.Time] = None) -> bytes:
        """That many bytes; asyncio.IncompleteReadError when the stream ends before."""
        if count == 0:
            return b""
        got = await self._read(count, count, False, timeout)
        if len(got) < count:
            raise asyncio.IncompleteReadError(got, count)
        return got

    async def read_all(self, *, timeout: Optional[units.Time] = None) -> bytes:
        """Until the peer's end, at most 1 GiB."""
        return await self._read(1 << 30, 1 << 30, False, timeout)

    async def discard(self, count: int, *, timeout: Optional[units.Time] = None) -> int:
        """Reads that many bytes without bringing them here; fewer only at the end. Gives how many."""
        return await self._read(count, count, True, timeout)

    async def _read(self, least: int, most: int, counts: bool, timeout: Optional[units.Time]) -> Any:
        world = self.host._world
        return await self.host._wait(world.read(self.host._number, self._number, least, most, counts, _timeout(timeout)))

    async def write(self, data: bytes, *, timeout: Optional[units.Time] = None) -> None:
        """All of it: ends when the stack has taken it, which is before the peer has."""
        world = self.host._world
        await self.host._wait(world.write(self.host._number, self._number, _bytes(data), _timeout(timeout)))

    async def send_zeros(self, count: int, *, timeout: Optional[units.Time] = None) -> None:
        """That many bytes of value zero, which Python need not make."""
        world = self.host._world
        await self.host._wait(world.pour(self.host._number, self._number, count, _timeout(timeout)))

    def trace(self, every: units.Time = "10ms") -> "Trace":
        """Begins to note its `info` whenever that much time has passed: what `morgana.plots.throughput` draws."""
        return Trace(self, units.seconds(every, "every"))

    def shutdown(self) -> None:
        """Half-close: the peer reads the end after what was written."""
        self.host._world.shutdown(self.host._number, self._number)

    def abort(self) -> None:
        """Ends it with a reset."""
        self.host._world.abort(self.host._number, self._number)


class Trace:
    """A connection's `info` again and again, until stop() or the connection's end."""

    def __init__(self, stream: Stream, every: float):
        self.name = f"{stream.local[0]}:{stream.local[1]} to {stream.peer[0]}:{stream.peer[1]}"
        self.samples: list[tuple[float, Values]] = []
        """(seconds since the simulation's begin, info)."""
        self._task = stream.host.simulation.spawn(self._watch(stream, every))

    async def _watch(self, stream: Stream, every: float) -> None:
        while True:
            try:
                self.samples.append((stream.host.simulation.now, stream.info))
            except OSError:
                return
            await asyncio.sleep(every)

    def stop(self) -> None:
        """No more samples."""
        self._task.cancel()


class Listener(_Socket):
    """A port that accepts connections."""

    async def accept(self, *, timeout: Optional[units.Time] = None) -> Stream:
        """The next connection whose handshake is done."""
        world = self.host._world
        number = await self.host._wait(world.accept(self.host._number, self._number, _timeout(timeout)))
        return Stream(self.host, number)

    def serve(self, handle: Any) -> "asyncio.Task[None]":
        """Calls the coroutine function `handle(stream)` for every connection, each in a task of its own, until the listener
        is closed. What it raises ends its connection with a reset, and is on `simulation.problems`."""
        return self.host.simulation.spawn(self._serve(handle))

    async def _serve(self, handle: Any) -> None:
        while True:
            try:
                stream = await self.accept()
            except OSError:
                return
            self.host.simulation.spawn(self._serve_one(handle, stream))

    async def _serve_one(self, handle: Any, stream: Stream) -> None:
        try:
            await handle(stream)
        except OSError:
            pass  # the connection's end, which concerns nobody else
        finally:
            stream.close()


class Datagrams(_Socket):
    """A UDP port."""

    async def receive(self, *, timeout: Optional[units.Time] = None) -> tuple[bytes, tuple[str, int]]:
        """The oldest datagram, and where it came from."""
        world = self.host._world
        return await self.host._wait(world.receive(self.host._number, self._number, _timeout(timeout)))

    async def send(self, data: bytes, to: tuple[Any, int], *, timeout: Optional[units.Time] = None) -> None:
        """Sends one to (address or host, port)."""
        world = self.host._world
        address, port = to
        await self.host._wait(world.send_datagram(self.host._number, self._number, _bytes(data), address_of(address), port,
                                                  _timeout(timeout)))


class DhcpServer(_Socket):
    """A DHCPv4 server on a host."""

    @property
    def leases(self) -> list[tuple[str, str, str]]:
        """(address, Ethernet address, "offered" | "bound" | "released" | "declined" | "probing")."""
        return self.host._world.dhcp_leases(self.host._number, self._number)


def address_of(where: Any) -> str:
    """A host's first address, or the text of one."""
    if isinstance(where, str):
        return where
    address = getattr(where, "address", None)
    if isinstance(address, str):
        return address
    raise TypeError(f"{where!r} is neither an address nor a host")


class Host(Node):
    """A host with our stack. Its applications are coroutines of the simulation."""

    @property
    def mac(self) -> str:
        """Its Ethernet address."""
        return self._world.mac(self._number)

    @property
    def addresses(self) -> list[str]:
        """Its addresses with their prefixes, "10.0.0.1/24"; none before DHCP gave one."""
        return self._world.addresses(self._number)

    @property
    def address(self) -> str:
        """The first of them that is not link-local, without its prefix. RuntimeError when there is none."""
        for one in self.addresses:
            if not one.startswith("fe80:"):
                return one.split("/")[0]
        raise RuntimeError(f"{self.name} has no address yet: await its configured() first")

    async def configured(self, *, timeout: Optional[units.Time] = "30s") -> None:
        """Until it has an address, which takes time where DHCP or a router gives it."""
        await self._wait(self._world.configured(self._number, _timeout(timeout)))

    @property
    def name_servers(self) -> list[str]:
        """Those that DHCP and routers told of."""
        return self._world.name_servers(self._number)

    @property
    def counters(self) -> Values:
        """Of the stack below TCP: frames_in, malformed, wrong_checksums, icmp_errors_received, no_route, ..."""
        return Values(self._world.core_counters(self._number))

    @property
    def tcp_counters(self) -> Values:
        """Of TCP: segments_in, segments_retransmitted, resets_sent, syn_cookies_sent, timeouts, ..."""
        return Values(self._world.tcp_counters(self._number))

    @property
    def connections(self) -> int:
        """TCP connections in any state but closed."""
        return self._world.connections(self._number)

    @property
    def log(self) -> str:
        """What its stack logged since it booted."""
        return self._world.log(self._number)

    def listen(self, port: int = 0, address: str = "::", *, backlog: int = 512, **options: Any) -> Listener:
        """Accepts TCP connections; port 0 takes a free one, "::" is both families. `options` are those of `Stream.set`, for
        each accepted connection. OSError when the port is taken."""
        return Listener(self, self._world.listen(self._number, address, port, backlog, options))

    async def connect(self, to: Any, port: int, *, timeout: Optional[units.Time] = None, **options: Any) -> Stream:
        """A TCP connection to an address or a host. ConnectionRefusedError, TimeoutError, OSError (unreachable)."""
        number = await self._wait(self._world.connect(self._number, address_of(to), port, options, _timeout(timeout)))
        return Stream(self, number)

    def bind(self, port: int = 0, address: str = "0.0.0.0") -> Datagrams:
        """A UDP port; 0 takes a free one."""
        return Datagrams(self, self._world.bind(self._number, address, port))

    async def ping(self, to: Any, *, size: int = 56, timeout: Optional[units.Time] = "1s") -> float:
        """Seconds until the echo reply; TimeoutError, OSError (unreachable)."""
        return await self._wait(self._world.ping(self._number, address_of(to), size, _timeout(timeout)))

    async def resolve(self, name: str, *, servers: Union[str, Iterable[Any]] = (), family: int = 0,
                      timeout: Optional[units.Time] = "5s") -> list[str]:
        """The addresses of a name, asked of `servers` (addresses or hosts; else those that the network told of). `family` is
        4, 6, or 0 for both. socket.gaierror when there is no such name; TimeoutError, OSError (no server)."""
        if not isinstance(servers, str):
            servers = ",".join(address_of(one) for one in servers)
        return await self._wait(self._world.resolve(self._number, name, servers, family, _timeout(timeout)))

    def serve_dhcp(self, subnet: str, first: str, last: str, *, lease: units.Time = "1h", routers: Sequence[Any] = (),
                   name_servers: Sequence[Any] = (), mtu: int = 0) -> DhcpServer:
        """Gives the addresses from `first` to `last` to hosts with `ipv4="dhcp"`."""
        return DhcpServer(self, self._world.serve_dhcp(
            self._number, subnet, first, last, units.seconds(lease, "lease"), [address_of(one) for one in routers],
            [address_of(one) for one in name_servers], mtu))

    def crash(self) -> None:
        """Pulls its plug: its sockets are gone, what waits on them ends in OSError."""
        self._world.kill(self._number)

    def boot(self) -> None:
        """Switches it on again, with nothing of what it knew."""
        self._world.boot(self._number)

    @property
    def has_power(self) -> bool:
        return self._world.has_power(self._number)

    def inject(self, packet: Any) -> None:
        """Gives it a frame as if it came over its cable: bytes, or a scapy packet (without Ethernet: from nobody, to it)."""
        self._world.inject(self._number, self.simulation._frame_for(packet, self.mac, "02:00:00:00:00:fe"))
