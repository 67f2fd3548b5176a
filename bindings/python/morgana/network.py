"""Networks of guests: one object for simulated and for real ones."""
from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import re
import secrets
import socket
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence, Union

from . import _runtime
from .cables import NS, Box, Cable, Frame, Middlebox, filter_of, frame_of, link_settings
from .errors import Misuse, RunError, Timeout, one
from .machine import Machine, _disks
from .simulated_guest import SimulatedGuest
from .units import Rate, Size, Time, seconds

PORTS_MAX = 256
RECORD_BYTES = 32 << 20
LOOK_SECONDS = 0.01     # how often expect() looks at what passed


class _Joined:
    """What a network knows of one attachment."""

    def __init__(self, name: str, node: int, links: list[int], port: int, mac: str):
        self.name, self.node, self.links, self.port, self.mac = name, node, links, port, mac
        self.socket: Optional[socket.socket] = None


class World:
    """The runtime's world, shared by the networks in it."""

    def __init__(self, seed: int):
        self.made = _runtime.World(seed)
        self.is_real: Optional[bool] = None
        self.guests: list["SimulatedGuest"] = []
        self.names = 0
        self.process = os.getpid()
        self.is_closed = False

    def use(self) -> Any:
        if self.is_closed:
            raise Misuse("this network is closed")
        if self.process != os.getpid():
            raise Misuse("this network belongs to the process that made it, of which this one is a fork")
        return self.made

    def decide(self, is_real: bool) -> None:
        if self.is_real is None:
            if is_real:
                self.use().run_in_real_time()
            self.is_real = is_real
        elif self.is_real != is_real:
            raise Misuse("a network is either simulated or real: it cannot join guests of both kinds")

    def now(self) -> float:
        return self.use().now / NS

    def after(self, length: float) -> int:
        """That many seconds from now, as the runtime counts."""
        return self.use().now + round(length * NS)

    def run(self, until: int, told: bool) -> None:
        """Time passes up to `until`, nanoseconds; less when `told` and something happened."""
        made = self.use()
        self.decide(bool(self.is_real))
        made.run(max(until, made.now), told)


class Network:
    """A switch with a cable to each guest.

    Every direction of every cable loses (`loss`), doubles, reorders and damages frames with these probabilities, delays them
    (`delay`, and `jitter`: the mean of an exponential addition), passes `rate` bits per second out of a `queue` of bytes, and
    swallows IP packets larger than `mtu` bytes. All of it is drawn from `seed` (None: another one each time).

    Its first guest decides what it is. With guests of a simulated target (Configuration.capabilities has "virtual-time") time
    is virtual and passes only in waits; the same seed and the same calls give the same run. With others it runs in real
    time, in a thread of its own without Python's lock. `beside` puts it into another one's world: for guests with several
    interfaces. A context manager; close() also ends when the object is forgotten."""

    def __init__(self, *, seed: Optional[int] = None, beside: Optional["Network"] = None, loss: float = 0, delay: Time = 0,
                 jitter: Time = 0, rate: Optional[Rate] = None, queue: Size = "256 KiB", duplicate: float = 0,
                 reorder: float = 0, reorder_delay: Time = "10ms", corrupt: float = 0, mtu: Optional[int] = None):
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 64):
            raise ValueError(f"seed is a whole number from 0 to 2**64 - 1, not {seed!r}")
        self._link = link_settings(dict(loss=loss, delay=delay, jitter=jitter, rate=rate, queue=queue, duplicate=duplicate,
                                reorder=reorder, reorder_delay=reorder_delay, corrupt=corrupt, mtu=mtu))
        self._world: World
        if beside is not None:
            if seed is not None:
                raise ValueError("a network beside another one has its seed")
            self._world = beside._world
        else:
            self._world = World(secrets.randbits(32) if seed is None else seed)
        self._hub = self._made.add_switch(self._name("network"), PORTS_MAX)
        self._joined: dict[Any, _Joined] = {}
        self._record: Optional[int] = None
        self._captures: list[int] = []

    # ---- its world ----------------------------------------------------------------------------------------------

    @property
    def _made(self) -> Any:
        return self._world.use()

    def _name(self, wanted: str) -> str:
        self._world.names += 1
        return f"{wanted}.{self._world.names}"

    @property
    def seed(self) -> int:
        return self._world.made.seed

    @property
    def now(self) -> float:
        """Seconds since its begin: virtual in a simulated network, real in another."""
        return self._world.now()

    @property
    def is_simulated(self) -> bool:
        return self._world.is_real is not True

    def sleep(self, time: Time) -> None:
        """Time passes."""
        self._world.run(self._world.after(seconds(time)), False)

    def close(self) -> None:
        """Ends the network, the networks beside it, and its simulated guests."""
        world = self._world
        if world.is_closed or world.process != os.getpid():
            return
        for guest in list(world.guests):
            if guest.machine is not None:
                guest.machine.close()
        world.made.close()
        world.is_closed = True

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, kind: Any, failure: Any, trace: Any) -> None:
        self.close()

    # ---- joining ------------------------------------------------------------------------------------------------

    def cable(self, *boxes: Box, **link: Any) -> Cable:
        """A cable with middleboxes in it, the first nearest to the guest, and with properties of its own: give it to run() in
        place of the network. A box is one of morgana.boxes, or a function (frame, port) of bytes that gives what goes on at
        the other end: None, a frame, or several; port 0 is towards the guest."""
        return Cable(self, boxes, link)

    def _address(self, name: str, device: str) -> str:
        """An Ethernet address: the same each time one of that name joins a network of that seed, so that who knew it before a
        restart still does; another one while somebody there has it."""
        taken = {joined.mac for who, joined in self._joined.items() if not isinstance(who, Machine) or who.is_running}
        number = 0
        while (mac := _mac(self.seed, f"{name} {number}" if number else name, device).hex(":")) in taken:
            number += 1
        return mac

    def _join(self, name: str, node: int, port: int, cable: Optional[Cable], mac: str) -> _Joined:
        link = dict(self._link) if cable is None else {**self._link, **cable.link}
        links, end = [], (node, port)
        for number, box in enumerate(() if cable is None else cable.boxes):
            called = self._name(f"{name} box {number}")
            made = (self._made.add_box(called, box.kind, box.settings) if isinstance(box, Middlebox)
                    else self._made.add_filter(called, filter_of(box)))
            links.append(self._made.join(end, (made, 0), {}))
            end = (made, 1)
        links.append(self._made.join(end, (self._hub, -1), link))
        joined = _Joined(name, node, links, self._made.port_of(links[-1], self._hub), mac)
        if self._record is not None:
            self._made.capture_node(self._record, node)
        for capture in self._captures:
            self._made.capture_node(capture, node)
        return joined

    def _attach(self, name: str, device: str, cable: Optional[Cable]) -> tuple[dict[str, Any], _Joined]:
        """For a guest outside: the interface to start it with."""
        self._world.decide(True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            node = self._made.add_descriptor(self._name(name), ours.fileno())
        mac = self._address(name, device)
        joined = self._join(name, node, 0, cable, mac)
        joined.socket = theirs
        return {"descriptor": theirs.fileno(), "mac": mac}, joined

    def _attached(self, machine: Machine, joined: _Joined) -> None:
        if joined.socket is not None:
            joined.socket.close()  # the runner has it now
        self._joined[machine] = joined
        machine._networks.append(self)

    def _release(self, joined: _Joined) -> None:
        if joined.socket is not None:
            joined.socket.close()

    def _detach(self, machine: Any) -> None:
        """What comes for it from now on is swallowed: by its world, or by a socket that nobody reads."""
        self._joined.pop(machine, None)

    @staticmethod
    def _boot(image: Any, name: str, wanted: Mapping[str, Any], disks: Mapping[str, Any], memory: int,
              arguments: Sequence[str], settings: Mapping[str, str]) -> Machine:
        """A simulated guest, in the world of its networks."""
        cables: list[tuple[str, Network, Optional[Cable]]] = []
        for device, what in wanted.items():
            network, cable = split(what)
            if network is None:
                raise Misuse("a simulated guest with a Network cannot have an interface of another kind")
            cables.append((device, network, cable))
        world = cables[0][1]._world
        if any(network._world is not world for _, network, _ in cables):
            raise Misuse("networks of one simulated guest are in one world: make the others with beside=")
        world.decide(False)
        made = world.use()
        label = cables[0][1]._name(name)
        files = [(disk["name"], pathlib.Path(disk["path"]).read_bytes(), disk.get("sector_bytes", 512),
                  disk.get("read_only", False)) for disk in _disks(disks)]
        limit = memory or size_of_setting(image.configuration.settings.get("memory", "64 MiB"))
        macs = [network._address(name, device) for device, network, _ in cables]
        devices = [(device, bytes.fromhex(mac.replace(":", "")), 1500) for (device, _, _), mac in zip(cables, macs)]
        try:
            node = made.add_guest(label, str(image.path), list(arguments), limit,
                                  devices, files, f"seed {made.seed}")
        except ValueError as why:
            raise RunError([one("runner-failed", str(why))]) from None
        guest = SimulatedGuest(world, node)
        machine = Machine(image, guest, name, arguments, image.configuration.target)
        guest.machine = machine
        world.guests.append(guest)
        for port, (device, network, cable) in enumerate(cables):
            network._joined[machine] = network._join(name, node, port, cable, macs[port])
            machine._networks.append(network)
        return machine

    def host(self, ipv4: Optional[str] = None, *, ipv6: Optional[str] = None, mac: Optional[str] = None, quiet: bool = False,
             name: str = "test", **link: Any) -> "Endpoint":
        """An attachment of the test's own, for frames that it makes and reads. It answers ARP and neighbour solicitations for
        its addresses unless it is `quiet`."""
        addresses = [address.partition("/")[0] for address in (ipv4, ipv6) if address is not None]
        own = (self._address(name, "endpoint") if mac is None else bytes.fromhex(mac.replace(":", "")).hex(":"))
        if len(own) != 17:
            raise ValueError(f"{mac!r} is no Ethernet address such as 02:00:00:00:00:01")
        node = self._made.add_port(self._name(name), own, [] if quiet else addresses)
        endpoint = Endpoint(self, node, own, ipv4, ipv6)
        self._joined[endpoint] = self._join(name, node, 0, Cable(self, (), link), own)
        return endpoint

    def _find(self, who: Any) -> _Joined:
        try:
            return self._joined[who]
        except (KeyError, TypeError):
            raise ValueError(f"{who!r} is not in this network (any more)") from None

    # ---- faults -------------------------------------------------------------------------------------------------

    def change(self, vm: Any = None, **link: Any) -> None:
        """Other cables from now on, of one guest or of all: loss=, delay=, ..., and cut= and held= (what would arrive waits)."""
        settings = link_settings(link)
        for joined in [self._find(vm)] if vm is not None else list(self._joined.values()):
            self._made.change_link(joined.links[-1], settings)
        if vm is None:
            self._link.update({key: value for key, value in settings.items() if key not in ("is_cut", "is_held")})

    def partition(self, a: Any, b: Any = None) -> None:
        """`a` and `b`, guests or lists of them, no longer hear each other; `a` alone: nor anybody else."""
        one_side = [self._find(who) for who in (a if isinstance(a, (list, tuple, set)) else [a])]
        if b is None:
            other_side = [joined for joined in self._joined.values() if joined not in one_side]
        else:
            other_side = [self._find(who) for who in (b if isinstance(b, (list, tuple, set)) else [b])]
        for left in one_side:
            for right in other_side:
                if left is not right:
                    self._made.keep_apart(self._hub, left.port, right.port, True)

    def heal(self) -> None:
        """All hear each other again."""
        self._made.heal(self._hub)

    def counters(self, vm: Any) -> tuple[dict[str, int], dict[str, int]]:
        """Of its cable: what it sent, and what was sent to it: sent, delivered, bytes, lost, ..."""
        link = self._find(vm).links[-1]
        return self._made.link_counters(link, 0), self._made.link_counters(link, 1)

    # ---- frames -------------------------------------------------------------------------------------------------

    def inject(self, packet: Any, to: Any) -> None:
        """Gives a frame to a guest as if the network had brought it."""
        joined = self._find(to)
        self._made.inject(joined.node, frame_of(packet))

    def _begin_capture(self) -> int:
        which = self._made.begin_capture(RECORD_BYTES)
        for joined in self._joined.values():
            self._made.capture_node(which, joined.node)
        self._captures.append(which)
        return which

    def _end_capture(self, which: int) -> None:
        self._captures.remove(which)
        self._made.stop_capture(which)

    def record(self) -> None:
        """Keeps what passes from now on, up to 32 MiB, for captured()."""
        if self._record is None:
            self._record = self._begin_capture()
            self._captures.remove(self._record)

    def captured(self) -> bytes:
        """What record() kept, as a pcapng file; nothing when it was not asked to or nothing passed."""
        if self._record is None or self._world.is_closed or not self._made.captured(self._record, 0):
            return b""
        return self._made.pcapng(self._record)

    @contextlib.contextmanager
    def capture(self, path: Union[str, "os.PathLike[str]"]) -> Iterator[None]:
        """What passes inside the block, written as a pcapng file at its end. In a simulated network the same seed gives the
        same bytes."""
        which = self._begin_capture()
        try:
            yield
        finally:
            if not self._world.is_closed:
                pathlib.Path(path).write_bytes(self._made.pcapng(which))
                self._end_capture(which)

    def expect(self, match: Callable[[Frame], Any], timeout: Time = 10) -> Frame:
        """Waits for a frame that anybody sends from now on, for which `match(frame)` is true. Raises Timeout."""
        which = self._begin_capture()
        looked, until = 0, self._world.after(seconds(timeout, "timeout"))
        try:
            while True:
                for at, _, is_sent, raw in self._made.captured(which, looked):
                    looked += 1
                    frame = Frame(raw)
                    frame.time = at / NS
                    if is_sent and match(frame):
                        return frame
                if self._made.now >= until:
                    raise Timeout([one("expect-timeout", f"no such frame passed within {timeout}; {looked} others did")])
                self._world.run(min(until, self._world.after(LOOK_SECONDS)), False)
        finally:
            self._end_capture(which)

    def __repr__(self) -> str:
        kind = {None: "", True: ", real", False: ", simulated"}[self._world.is_real]
        return f"<morgana.Network seed={self.seed}{kind}, {len(self._joined)} joined>"


def split(what: Any) -> tuple[Optional[Network], Optional[Cable]]:
    """The network that is meant by what stands in `networks`, and its cable where it has one of its own."""
    if isinstance(what, Cable):
        return what.network, what
    return (what, None) if isinstance(what, Network) else (None, None)


def _mac(seed: int, name: str, device: str) -> bytes:
    """The same address each time a guest of that name boots in a network of that seed."""
    digest = hashlib.sha256(f"{seed} {name} {device}".encode()).digest()
    return bytes([(digest[0] & 0xFC) | 2]) + digest[1:6]


def size_of_setting(text: str) -> int:
    found = re.fullmatch(r"(\d+) *(?:([KMG])i?B?)?", text)
    return 0 if not found else int(found[1]) << {"K": 10, "M": 20, "G": 30}.get(found[2], 0)


class Endpoint:
    """An attachment of a test's own, made by Network.host()."""

    def __init__(self, network: Network, node: int, mac: str, ipv4: Optional[str], ipv6: Optional[str]):
        self.network, self.mac, self.ipv4, self.ipv6 = network, mac, ipv4, ipv6
        self._node = node
        self._waiting: list[Frame] = []

    def send(self, packet: Any) -> None:
        """A frame: bytes, or a scapy packet that begins with Ether()."""
        self.network._made.send(self._node, frame_of(packet))

    def _take(self) -> None:
        for at, raw in self.network._made.take(self._node):
            frame = Frame(raw)
            frame.time = at / NS
            self._waiting.append(frame)

    def receive(self, timeout: Time = 10) -> Frame:
        """The next frame that arrived. Raises Timeout."""
        return self.expect(lambda frame: True, timeout)

    def expect(self, match: Callable[[Frame], Any], timeout: Time = 10) -> Frame:
        """The next frame that arrived for which `match(frame)` is true; those before it are dropped. Raises Timeout."""
        world = self.network._world
        until = world.after(seconds(timeout, "timeout"))
        passed = 0
        while True:
            self._take()
            while self._waiting:
                frame = self._waiting.pop(0)
                if match(frame):
                    return frame
                passed += 1
            if world.use().now >= until:
                raise Timeout([one("expect-timeout", f"no such frame arrived within {timeout}; {passed} others did")])
            world.run(until, True)

    def __repr__(self) -> str:
        return f"<morgana.Endpoint {self.mac} {self.ipv4 or self.ipv6 or ''}>"
