"""Simulated networks in this process, in virtual time and from one seed.

    sim = morgana.Simulation(seed=7)
    server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "10.0.0.2/24")
    sim.link(server, client, delay="20ms", loss=0.01)

    async def fetch():
        listening = server.listen(80)
        stream, accepted = await asyncio.gather(client.connect(server, 80), listening.accept())
        await accepted.write(b"hello")
        return await stream.read()

    assert sim.run(fetch()) == b"hello"

All of asyncio works in such coroutines, in virtual time. The same seed and the same calls give the same run: the same
frames at the same times, and so the same capture byte for byte, in any process. docs/python-tutorial.md begins here."""
from __future__ import annotations

import asyncio
import os
import random
from typing import Any, Awaitable, Callable, Coroutine, Iterable, Mapping, Optional, Sequence, TypeVar, Union

from . import links, units
from ._runtime import World
from .frames import Capture, Port, hosts_of
from .guests import Guest
from .hosts import Host, Node, address_of
from .virtual_time import OutOfTime, Stuck, VirtualLoop

T = TypeVar("T")


class Switch(Node):
    """A learning switch, which can be parted."""
    is_end = False

    def join(self, node: Any, **settings: Any) -> links.Link:
        """A cable from a node to this switch."""
        return self.simulation.link(node, self, **settings)

    def _ports(self, group: Any) -> list[int]:
        nodes = group if isinstance(group, (list, tuple, set, frozenset)) else [group]
        ports = []
        for node in nodes:
            found = [self._world.port_of(one._switch_link, self._number) for one in self.links if node in one._path]
            if not found:
                raise ValueError(f"{node!r} is not joined to {self.name}")
            ports += found
        return ports

    def partition(self, a: Any, b: Any = None) -> None:
        """Nodes of the groups `a` and `b` no longer hear each other; without `b`: `a` and all others."""
        left = self._ports(a)
        every = [self._world.port_of(one._switch_link, self._number) for one in self.links]
        right = [one for one in every if one not in left] if b is None else self._ports(b)
        for one in left:
            for other in right:
                if one != other:
                    self._world.keep_apart(self._number, one, other, True)

    def heal(self) -> None:
        """All hear each other again, and its cables pass frames."""
        self._world.heal(self._number)
        super().heal()


class Router(Node):
    """Forwards between networks."""
    is_end = False

    def forget(self) -> None:
        """It forgets which addresses and ports it translated."""
        self._world.rebind(self._number)


class Middlebox(Node):
    """One box in a cable."""
    is_end = False

    def forget(self) -> None:
        """A translator forgets its ports."""
        self._world.rebind(self._number)


class Simulation:
    """A network, its hosts and its time. Belongs to the thread and the process that made it: RuntimeError elsewhere, and
    after close()."""

    def __init__(self, seed: Optional[int] = None, *, deadline: units.Time = "1h"):
        if seed is None:
            seed = random.SystemRandom().getrandbits(32)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"a seed is a whole number, not {seed!r}")
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"a seed is a number from 0 to 2**64 - 1, not {seed}")
        self._world = World(seed)
        self._loop = VirtualLoop(self._world)
        self._deadline = units.seconds(deadline)
        self.seed = seed
        """How to see this run again."""
        self.nodes: dict[str, Any] = {}
        """Hosts, guests, switches and so on, by name."""
        self._tasks: set[asyncio.Task] = set()
        self.problems: list[BaseException] = []
        """What spawned tasks raised."""

    # ---- building ----------------------------------------------------------------------------------------
    def host(self, name: str, ipv4: Optional[str] = None, *, ipv6: Optional[str] = None, gateway: Optional[str] = None,
             mac: Optional[str] = None, **options: Any) -> Host:
        """A host with our stack. `ipv4` is "10.0.0.1/24", "dhcp", or None; `ipv6` "2001:db8::1/64", or some with commas
        between. Further options: ipv6_gateway, mtu, vlan, offloads, accept_ra, temporary_addresses, detect_conflicts,
        connections, buffers_mib. ValueError for what the stack refuses."""
        wanted = dict(options)
        for key, value in (("ipv4", ipv4), ("ipv6", ipv6), ("gateway", gateway), ("mac", mac)):
            if value is not None:
                wanted[key] = value
        return self._keep(Host(self, name, self._world.add_stack(name, wanted)))

    def guest(self, name: str, image: Union[str, os.PathLike, Any], arguments: Sequence[str] = (), *,
              memory: units.Size = "64 MiB", networks: Sequence[str] = ("network_device",),
              disks: Mapping[str, bytes] = {}) -> Guest:
        """A guest of an application's image: the path of NAME.sim.so, or what `app.build(target="sim")` gave. `networks` are
        its devices' names, each a port in that order; `disks` their contents by name."""
        path = os.fspath(getattr(image, "path", image))
        number = self._world.add_guest(name, path, list(arguments), units.size_bytes(memory),
                                       [(one, None, 1500) for one in networks],
                                       [(one, bytes(data), 512, False) for one, data in disks.items()], f"seed {self.seed}")
        return self._keep(Guest(self, name, number, list(arguments)))

    def switch(self, name: str = "lan", nodes: Iterable[Any] = (), **settings: Any) -> Switch:
        """A switch of up to 256 ports; joins these nodes to it, each by a cable of these settings."""
        made = self._keep(Switch(self, name, self._world.add_switch(name)))
        for one in nodes:
            made.join(one, **settings)
        return made

    def router(self, name: str, ports: Sequence[Union[str, Mapping[str, Any]]], routes: Sequence[Mapping[str, Any]] = (), *,
               translates_at: Optional[int] = None) -> Router:
        """A router. A port is "10.0.0.1/24" or {"ipv4": ..., "ipv6": ..., "mtu": ...}, to be joined in that order; a route
        {"to": "10.1.0.0/16", "port": 1, "gateway": "10.2.0.1"}. IPv4 that leaves through port `translates_at` gets that
        port's address."""
        described = [{"ipv4": one} if isinstance(one, str) else dict(one) for one in ports]
        number = self._world.add_router(name, described, [dict(one) for one in routes], translates_at)
        return self._keep(Router(self, name, number))

    def port(self, name: str, addresses: Sequence[str] = (), *, mac: str = "") -> Port:
        """A place whose frames the test makes and reads; `addresses` are those it answers ARP for."""
        return self._keep(Port(self, name, self._world.add_port(name, mac, list(addresses)), list(addresses)))

    def link(self, a: Any, b: Any, *, through: Sequence[Union[links.Box, links.Filter]] = (), **settings: Any) -> links.Link:
        """A cable between a free port of each; `settings` are those of `morgana.links.settings`. `through` are boxes that
        stand in it, from `a` to `b`: those of `morgana.links`, or functions of a frame and the side it came from."""
        for one in (a, b):
            if not isinstance(one, Node) or one.simulation is not self:
                raise ValueError(f"{one!r} is no node of this simulation")
        wanted = links.settings(**settings)
        path = [a, *(self._box(one) for one in through), b]
        numbers: list[int] = []
        for left, right in zip(path, path[1:]):
            numbers.append(self._world.join((left._number, -1), (right._number, -1), {} if numbers else wanted))
        made = links.Link(self._world, numbers[0], path, numbers[-1] if isinstance(b, Switch) else numbers[0])
        for one in (a, b):
            one.links.append(made)
        return made

    def _box(self, wanted: Union[links.Box, links.Filter]) -> Middlebox:
        name = f"box {sum(isinstance(one, Middlebox) for one in self.nodes.values())}"
        if isinstance(wanted, links.Box):
            number = self._world.add_box(name, wanted.kind, wanted.settings)
        elif callable(wanted):
            number = self._world.add_filter(name, wanted)
        else:
            raise TypeError(f"{wanted!r} is no box: take one of morgana.links, or a function of frames")
        return self._keep(Middlebox(self, name, number))

    def _keep(self, made: T) -> T:
        self.nodes[made.name] = made  # type: ignore[attr-defined]
        return made

    # ---- time --------------------------------------------------------------------------------------------
    @property
    def now(self) -> float:
        """Seconds since the simulation's begin."""
        return self._world.now / 1e9

    def run(self, what: Coroutine[Any, Any, T], *, deadline: Optional[units.Time] = None) -> T:
        """Runs a coroutine to its end and gives its value. TimeoutError when that takes more virtual time than `deadline`
        (the simulation's when None), or when nothing is left to happen that it could wait for."""
        if not asyncio.iscoroutine(what):
            raise TypeError(f"run() takes a coroutine, not {what!r}")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            what.close()
            raise RuntimeError("run() within a coroutine: await instead")
        try:
            limit = self._deadline if deadline is None else units.seconds(deadline, "deadline")
            self._loop.limit_ns = self._world.now + round(limit * 1e9)
        except BaseException:
            what.close()
            raise
        task = self._loop.create_task(what)
        try:
            return self._loop.run_until_complete(task)
        except Stuck:
            why = "nothing is left to happen in this network, and something is still waited for"
        except OutOfTime:
            why = f"{limit:g} s of virtual time are over"
        finally:
            self._end(task)
        raise TimeoutError(f"{why} (seed {self.seed}, at {self.now:.3f} s)") from None

    def _end(self, task: asyncio.Task) -> None:
        """A task that did not end is cancelled, and gets to know of it."""
        if task.done() or self.is_closed:
            return
        task.cancel()
        try:
            self._loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        except (Stuck, OutOfTime):
            pass

    def run_for(self, length: units.Time) -> None:
        """Virtual time passes."""
        wanted = units.seconds(length)
        self.run(asyncio.sleep(wanted), deadline=wanted + 1)

    def run_until(self, is_so: Callable[[], bool], *, timeout: units.Time = "60s", every: units.Time = "1ms") -> None:
        """Until that is so, which is asked again and again; TimeoutError when it does not come in time."""
        self.run(self.until(is_so, timeout=timeout, every=every), deadline=units.seconds(timeout) + 1)

    async def until(self, is_so: Callable[[], bool], *, timeout: units.Time = "60s", every: units.Time = "1ms") -> None:
        """The same, in a coroutine."""
        end = self.now + units.seconds(timeout)
        while not is_so():
            if self.now >= end:
                raise TimeoutError(f"{getattr(is_so, '__name__', is_so)} did not become so within {timeout}")
            await asyncio.sleep(units.seconds(every))

    async def sleep(self, length: units.Time) -> None:
        """Virtual time passes, in a coroutine."""
        await asyncio.sleep(units.seconds(length))

    def spawn(self, what: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task that runs beside others whenever time passes. What it raises is in `problems`, too."""
        task = self._loop.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_ended)
        return task

    def _spawned_ended(self, task: asyncio.Task) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self.problems.append(problem)

    def at(self, when: units.Time, what: Callable[[], Any]) -> None:
        """Calls a function at that time since the simulation's begin."""
        self._loop.call_at(units.seconds(when), what)

    async def _outcome(self, operation: int) -> Any:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this coroutine belongs to a simulation: sim.run(...) runs it")
        return await self._loop.outcome(operation)

    async def _told(self) -> None:
        await self._loop.told()

    # ---- what happened -----------------------------------------------------------------------------------
    def capture(self, path: Union[None, str, os.PathLike] = None, nodes: Optional[Iterable[Any]] = None, *,
                size: units.Size = "64 MiB") -> Capture:
        """Keeps what these nodes (all hosts, guests and ports there are when None) send and are given, from now on, at most
        that many bytes of it. A context manager that writes `path` at its end."""
        number = self._world.begin_capture(units.size_bytes(size))
        for one in hosts_of(self.nodes.values()) if nodes is None else nodes:
            self._world.capture_node(number, one._number)
        return Capture(self, number, path)

    @property
    def trace_hash(self) -> int:
        """Over every frame sent, with its port and time: two runs that agree on it were the same."""
        return self._world.trace_hash

    @property
    def frames_sent(self) -> int:
        """Frames that crossed a port so far."""
        return self._world.frames_sent

    def _frame_for(self, packet: Any, to: Optional[str], sender: str) -> bytes:
        """The bytes of a frame; a scapy packet without Ethernet is sent to whom its destination belongs."""
        if isinstance(packet, (bytes, bytearray, memoryview)):
            return bytes(packet)
        if not hasattr(packet, "layers"):
            raise TypeError(f"a packet is bytes or scapy's, not {type(packet).__name__}")
        from scapy.layers.l2 import Ether

        if packet.haslayer(Ether) and packet.layers()[0] is Ether:
            return bytes(packet)
        return bytes(Ether(src=sender, dst=to or self._mac_of(str(packet.dst))) / packet)

    def _mac_of(self, address: str) -> str:
        for node in self.nodes.values():
            if isinstance(node, (Host, Port)) and address in [one.split("/")[0] for one in node.addresses]:
                return node.mac
        raise ValueError(f"nobody here has the address {address}: give the packet an Ethernet header")

    # ---- the end -----------------------------------------------------------------------------------------
    @property
    def is_closed(self) -> bool:
        return self._world.is_closed

    def close(self) -> None:
        """Ends everything: tasks are cancelled, hosts gone. Once is enough, more does no harm."""
        if self.is_closed or self._loop.is_closed():
            return
        self._world.now  # the wrong thread or process is told so before anything is done
        if self._loop.is_running():
            raise RuntimeError("close() within a coroutine of this simulation")
        for task in list(asyncio.all_tasks(self._loop)):
            task.cancel()
            self._end(task)
        self._loop.close()
        self._world.close()

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<simulation of seed {self.seed}>"


__all__ = ["Host", "Middlebox", "Router", "Simulation", "Switch", "address_of"]
