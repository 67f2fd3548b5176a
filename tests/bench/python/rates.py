"""What the Python package costs: a simulation driven from Python, calls that do nothing, scapy and a socket pair beside them.

Run by scripts/bench with the package of the build tree on PYTHONPATH; prints rows as JSON. Times are of this process's
processor; the best of several turns, in which all take part one after the other."""

import asyncio
import json
import socket
import sys
import time

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from morgana.simulation import Simulation

ROUNDS = int(sys.argv[1])
PAYLOAD = 1448


def spent(action):
    before = time.process_time()
    count = action()
    return count / (time.process_time() - before)


def pair():
    sim = Simulation(seed=1)
    server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "10.0.0.2/24")
    sim.link(server, client, delay="100us", rate="1Gbit/s")
    return sim, server, client


async def connected(server, client):
    listening = server.listen(80)
    return await asyncio.gather(client.connect(server, 80), listening.accept())


def bulk():
    """One transfer; Python says how much, and waits."""
    sim, server, client = pair()

    async def story():
        one, other = await connected(server, client)
        await asyncio.gather(one.send_zeros(128 << 20), other.discard(128 << 20))

    sim.run(story())
    frames = sim.frames_sent
    sim.close()
    return frames


def written():
    """The same, with every byte made and read in Python, 64 KiB at a time."""
    sim, server, client = pair()
    data = bytes(65_536)

    async def story():
        one, other = await connected(server, client)

        async def send():
            for _ in range(512):
                await one.write(data)
            one.shutdown()

        async def receive():
            while await other.read():
                pass

        await asyncio.gather(send(), receive())

    sim.run(story())
    frames = sim.frames_sent
    sim.close()
    return frames


def round_trips():
    """64 bytes there and back, two coroutines of Python's awaiting each."""
    sim, server, client = pair()

    async def story():
        one, other = await connected(server, client)

        async def echo():
            while data := await other.read():
                await other.write(data)

        sim.spawn(echo())
        for _ in range(5_000):
            await one.write(b"x" * 64)
            await one.read_exactly(64)

    sim.run(story())
    sim.close()
    return 5_000


def single_frames():
    """Echo requests of bytes made once, sent and expected one by one."""
    from scapy.layers.inet import ICMP

    sim = Simulation(seed=1)
    host, port = sim.host("host", "10.0.0.1/24"), sim.port("port", ["10.0.0.9"])
    sim.link(host, port, delay="100us")
    frame = bytes(Ether(src=port.mac, dst=host.mac) / IP(src="10.0.0.9", dst="10.0.0.1") / ICMP(id=1, seq=1))

    async def story():
        for _ in range(3_000):
            port.send(frame)
            await port.receive()

    sim.run(story())
    sim.close()
    return 6_000


def scapy():
    """A segment made and read: what a simulation in Python would do at least, without a stack."""
    for i in range(1_000):
        Ether(bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(seq=i, flags="A") / bytes(PAYLOAD)))
    return 1_000


def socket_pair():
    """As many bytes through a pair of sockets: no stack, no time, no faults."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    frame = bytes(PAYLOAD + 66)
    for _ in range(50_000):
        one.send(frame)
        other.recv(2_048)
    one.close()
    other.close()
    return 50_000


def calls(what, count=300_000):
    def empty():
        for _ in range(count):
            pass

    def call():
        for _ in range(count):
            what()

    base = min(count / spent(lambda: (empty(), count)[1]) for _ in range(3))
    return min(count / spent(lambda: (call(), count)[1]) - base for _ in range(ROUNDS)) / count * 1e9


def main():
    kinds = {one.__name__: one for one in (bulk, written, round_trips, single_frames, scapy, socket_pair)}
    best = {name: 0.0 for name in kinds}
    for _ in range(ROUNDS):
        for name, one in kinds.items():
            best[name] = max(best[name], spent(one))
    sim, server, client = pair()
    stream, _ = sim.run(connected(server, client))
    rows = [
        ("simulation through two stacks, one transfer driven from Python", best["bulk"], "packets/CPU-s", "≥ 200,000"),
        ("... every byte made and read in Python, 64 KiB at a time", best["written"], "packets/CPU-s", ""),
        ("... 64 B there and back, two Python coroutines", best["round_trips"], "round trips/CPU-s", ""),
        ("... frames sent and read in Python one by one, answered by a stack", best["single_frames"], "packets/CPU-s", ""),
        ("scapy in the same run: a segment made and read, no stack", best["scapy"], "packets/CPU-s", ""),
        ("a pair of sockets in the same run: a segment sent and received", best["socket_pair"], "packets/CPU-s", ""),
        ("one call into the module that does nothing (`seed` of its world)", calls(lambda: sim._world.seed), "ns", "≤ 1,000"),
        ("`sim.now`", calls(lambda: sim.now), "ns", "≤ 1,000"),
        ("`host.mac`, a text", calls(lambda: server.mac), "ns", "≤ 1,000"),
        ("`stream.info`, 35 numbers by name", calls(lambda: stream.info, 20_000), "ns", ""),
    ]
    print(json.dumps(rows))


main()
