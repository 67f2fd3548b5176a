"""Hypothesis strategies for networks (python3-hypothesis must be installed): addresses, names, TCP options, segments,
packets, and whole network plans with faults, which shrink to the smallest network that still fails.

    from hypothesis import given
    from morgana import strategies

    @given(strategies.network_plans())
    def test_every_transfer_ends(plan):
        outcome = plan.run()
        assert outcome.is_whole, outcome.why

Plans are values: printed, they are the code that makes them again."""
from __future__ import annotations

import asyncio
import dataclasses
import functools
import ipaddress
from typing import Any, Optional, Sequence

from hypothesis import strategies as st

from .simulation import Simulation

# ---- what packets are made of ---------------------------------------------------------------------------------------


def ports() -> st.SearchStrategy[int]:
    """TCP and UDP ports, 1 to 65535."""
    return st.integers(1, 65_535)


def ipv4_addresses() -> st.SearchStrategy[str]:
    """Unicast IPv4 addresses outside of 0/8, 127/8 and those above 223."""
    return st.integers(1 << 24, (224 << 24) - 1).map(lambda n: str(ipaddress.IPv4Address(n))).filter(
        lambda text: not text.startswith("127."))


def ipv6_addresses() -> st.SearchStrategy[str]:
    """Addresses of 2001:db8::/32 with runs of zeros."""
    return st.lists(st.one_of(st.just(0), st.integers(0, 0xFFFF)), min_size=6, max_size=6).map(
        lambda groups: str(ipaddress.IPv6Address("2001:db8:" + ":".join(f"{one:x}" for one in groups))))


def macs() -> st.SearchStrategy[str]:
    """Locally administered unicast Ethernet addresses."""
    return st.binary(min_size=5, max_size=5).map(lambda raw: "02:" + ":".join(f"{one:02x}" for one in raw))


def labels() -> st.SearchStrategy[str]:
    """One label of a domain name, 1 to 63 letters, digits, '-' and '_', not at the ends a '-'."""
    return st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)


def names() -> st.SearchStrategy[str]:
    """Domain names that resolvers ask for: two to five labels, the last of letters, at most 253 characters."""
    top = st.from_regex(r"[a-z]{2,8}", fullmatch=True).filter(lambda one: one not in ("invalid", "onion", "localhost"))
    return st.tuples(st.lists(labels(), min_size=1, max_size=4), top).map(lambda parts: ".".join([*parts[0], parts[1]]))


def payloads(most: int = 200) -> st.SearchStrategy[bytes]:
    """Bytes, none as well."""
    return st.binary(max_size=most)


def _numbers(bits: int) -> st.SearchStrategy[int]:
    top = (1 << bits) - 1
    return st.one_of(st.sampled_from([0, 1, top, top // 2 + 1]), st.integers(0, top))


def tcp_options() -> st.SearchStrategy[list]:
    """Options of one segment as scapy writes them, 40 bytes at most, no kind twice."""
    one = st.one_of(
        st.tuples(st.just("MSS"), _numbers(16)),
        st.tuples(st.just("WScale"), st.integers(0, 255)),
        st.just(("SAckOK", b"")),
        st.tuples(st.just("Timestamp"), st.tuples(_numbers(32), _numbers(32))),
        st.just(("NOP", None)),
        st.integers(1, 3).flatmap(lambda n: st.tuples(
            st.just("SAck"), st.tuples(*[_numbers(32)] * (2 * n)))),
        st.tuples(st.integers(100, 200), st.binary(max_size=6)),
    )
    sizes = {"MSS": 4, "WScale": 3, "SAckOK": 2, "Timestamp": 10, "NOP": 1}

    def size_of(name: Any, value: Any) -> int:
        return sizes[name] if name in sizes else 2 + (4 * len(value) if name == "SAck" else len(value))

    def fitting(options: list) -> list:
        made, used, seen = [], 0, set()
        for name, value in options:
            size = size_of(name, value)
            if used + size > 40 or (name in seen and name != "NOP"):
                continue
            made.append((name, value))
            seen.add(name)
            used += size
        return made

    return st.lists(one, max_size=6).map(fitting)


def tcp_segments(**fixed: Any) -> st.SearchStrategy[Any]:
    """scapy's TCP layers with payload; `fixed` are fields that are not drawn (sport=..., dport=..., flags=...)."""
    from scapy.layers.inet import TCP
    from scapy.packet import Raw

    drawn = {"sport": ports(), "dport": ports(), "seq": _numbers(32), "ack": _numbers(32), "window": _numbers(16),
             "flags": st.sets(st.sampled_from("FSRPAUEC")).map(lambda some: "".join(sorted(some))), "options": tcp_options(),
             "urgptr": st.just(0)}
    drawn.update({name: st.just(value) for name, value in fixed.items()})
    return st.builds(lambda data, **fields: TCP(**fields) / Raw(data) if data else TCP(**fields), data=payloads(), **drawn)


@functools.lru_cache(maxsize=64)  # else Hypothesis reads the source of every function in it again
def packets(source: Optional[str] = None, destination: Optional[str] = None) -> st.SearchStrategy[Any]:
    """scapy's IPv4 packets with TCP, UDP or ICMP in them, between these addresses or drawn ones."""
    from scapy.layers.inet import ICMP, IP, UDP
    from scapy.packet import Raw

    upper = st.one_of(
        tcp_segments(),
        st.builds(lambda a, b, data: UDP(sport=a, dport=b) / Raw(data), ports(), ports(), payloads()),
        st.builds(lambda kind, code, n, seq, data: ICMP(type=kind, code=code, id=n, seq=seq) / Raw(data),
                  st.sampled_from([0, 8]), st.just(0), _numbers(16), _numbers(16), payloads()),
    )
    return st.builds(lambda src, dst, ttl, tos, ident, above: IP(src=src, dst=dst, ttl=ttl, tos=tos, id=ident) / above,
                     st.just(source) if source else ipv4_addresses(), st.just(destination) if destination else ipv4_addresses(),
                     st.integers(1, 255), st.integers(0, 255), _numbers(16), upper)


# ---- whole networks -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that befalls a host's cable, from `begin` for `length` seconds: its settings meanwhile (see
    morgana.links.settings)."""
    host: int
    begin: float
    length: float
    settings: tuple[tuple[str, Any], ...]


@dataclasses.dataclass(frozen=True)
class Transfer:
    """So many bytes from one host to another, and an answer as long as `back`."""
    sender: int
    receiver: int
    begin: float
    size: int
    back: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a plan's run gave."""
    is_whole: bool
    why: str
    now: float
    frames: tuple[Any, ...]
    trace_hash: int


@dataclasses.dataclass(frozen=True)
class NetworkPlan:
    """A switch with hosts, what they send each other, and what goes wrong meanwhile; all faults end."""
    seed: int
    delays: tuple[float, ...]
    """Of each host's cable, in seconds; as many as there are hosts."""
    transfers: tuple[Transfer, ...]
    faults: tuple[Fault, ...] = ()

    def run(self, *, patience: float = 300.0, frames: int = 0) -> Outcome:
        """Runs it to the end of every transfer, `patience` seconds of virtual time after the last fault at most. At most
        `frames` frames that hosts sent are kept."""
        with Simulation(seed=self.seed) as sim:
            # ARP has no checksum: a damaged announcement would make a host give up its address, as it should.
            hosts = [sim.host(f"h{i}", f"10.0.0.{i + 1}/24", detect_conflicts=False) for i in range(len(self.delays))]
            lan = sim.switch("lan")
            cables = [lan.join(host, delay=delay) for host, delay in zip(hosts, self.delays)]
            capture = sim.capture(size=frames * 1600 + 1)
            problems: list[str] = []
            for fault in self.faults:
                self._apply(sim, cables[fault.host], fault)

            async def serve(stream: Any) -> None:
                data = await stream.read_exactly(12)
                size, back = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")
                got = await stream.discard(size) if size else 0
                if got != size:
                    problems.append(f"{got} of {size} bytes arrived")
                if back:
                    await stream.send_zeros(back)
                stream.shutdown()
                await stream.read()

            async def send(number: int, transfer: Transfer) -> None:
                await asyncio.sleep(transfer.begin)
                try:
                    while True:
                        try:
                            stream = await hosts[transfer.sender].connect(hosts[transfer.receiver], 80)
                            break
                        except OSError:  # nobody answers for the address, or not in time: as long as something is wrong
                            if sim.now > last + patience / 2:
                                raise
                            await asyncio.sleep(1)
                    async with stream:
                        await stream.write(transfer.size.to_bytes(8, "big") + transfer.back.to_bytes(4, "big"))
                        if transfer.size:
                            await stream.send_zeros(transfer.size)
                        got = await stream.read_all()
                        if len(got) != transfer.back:
                            problems.append(f"transfer {number}: {len(got)} of {transfer.back} bytes came back")
                except OSError as problem:
                    problems.append(f"transfer {number}: {problem}")

            last = max([0.0, *(one.begin + one.length for one in self.faults), *(one.begin for one in self.transfers)])

            async def story() -> None:
                for host in hosts:
                    host.listen(80).serve(serve)
                await asyncio.gather(*(send(i, one) for i, one in enumerate(self.transfers)))

            try:
                sim.run(story(), deadline=last + patience)
            except TimeoutError as problem:
                problems.append(str(problem))
            problems += [f"a server failed: {one!r}" for one in sim.problems]
            return Outcome(not problems, "; ".join(problems), sim.now, tuple(one for one in capture.frames if one.sent),
                           sim.trace_hash)

    @staticmethod
    def _apply(sim: Simulation, cable: Any, fault: Fault) -> None:
        neutral = {name: False if isinstance(value, bool) else 0 for name, value in fault.settings}
        sim.at(fault.begin, lambda: cable.set(**dict(fault.settings)))
        sim.at(fault.begin + fault.length, lambda: cable.set(**neutral))


@functools.lru_cache(maxsize=None)
def link_faults() -> st.SearchStrategy[tuple]:
    """What can be wrong with a cable, as pairs of a setting and its value."""
    share = st.sampled_from([0.01, 0.05, 0.2, 0.5])
    return st.one_of(
        st.tuples(st.just("loss"), share), st.tuples(st.just("duplicate"), share), st.tuples(st.just("corrupt"), share),
        st.tuples(st.just("reorder"), share), st.just(("cut", True)), st.tuples(st.just("jitter"), st.sampled_from([0.001, 0.02])),
        st.tuples(st.just("rate"), st.sampled_from([1_000_000, 10_000_000])),
    )


def _fault(host: int, begin: int, length: int, pair: tuple[str, Any], until: float) -> Fault:
    return Fault(host, begin * until / 80, length * until / 80, (pair,))


def _apart(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    kept: list[Fault] = []
    for fault in faults:
        if all(other.host != fault.host or fault.begin > other.begin + other.length or
               other.begin > fault.begin + fault.length for other in kept):
            kept.append(fault)
    return tuple(kept)


def _transfer(sender: int, other: int, begin: float, size: int, back: int, hosts: int) -> Transfer:
    return Transfer(sender, (sender + other) % hosts, begin, size, back)


# Strategies are made once for each of their arguments: Hypothesis reads the source of every function they are made of.
@functools.lru_cache(maxsize=None)
def fault_schedules(hosts: int, most: int = 4, until: float = 10.0) -> st.SearchStrategy[tuple]:
    """Up to `most` faults of that many hosts' cables, each within `until` seconds, none of two on one cable at once."""
    one = st.builds(_fault, st.integers(0, hosts - 1), st.integers(0, 40), st.integers(1, 40), link_faults(), st.just(until))
    return st.lists(one, max_size=most).map(_apart)


@functools.lru_cache(maxsize=None)
def _transfers(hosts: int, size: int) -> st.SearchStrategy[Transfer]:
    return st.builds(_transfer, st.integers(0, hosts - 1), st.integers(1, hosts - 1), st.sampled_from([0.0, 0.5, 3.0]),
                     st.integers(0, size), st.integers(0, size), st.just(hosts))


@st.composite
def network_plans(draw: Any, hosts: int = 4, transfers: int = 3, faults: int = 4, size: int = 50_000) -> NetworkPlan:
    """Plans of two to `hosts` hosts, one to `transfers` transfers of up to `size` bytes, and up to `faults` faults. They shrink
    to fewer of all, without faults that do not matter, and with small numbers."""
    count = draw(st.integers(2, hosts))
    delays = tuple(draw(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.05]), min_size=count, max_size=count)))
    one = _transfers(count, size)
    # The first apart: a list that may be empty shrinks better.
    wanted = (draw(one), *draw(st.lists(one, max_size=transfers - 1)))
    return NetworkPlan(draw(st.integers(0, 1_000_000)), delays, wanted, draw(fault_schedules(count, faults)))
