"""Hosts with our stack in this process: sockets, names, leases, faults, in virtual time and from a seed."""

import asyncio
import hashlib
import socket
import subprocess
import sys

import pytest

from morgana import links
from morgana.simulation import Simulation


def pair(seed=7, **settings):
    sim = Simulation(seed=seed)
    server, client = sim.host("server", "10.0.0.1/24", ipv6="2001:db8::1/64"), sim.host("client", "10.0.0.2/24", ipv6="2001:db8::2/64")
    return sim, server, client, sim.link(server, client, **settings)


async def connected(server, client, port=80, **options):
    listening = server.listen(port)
    return await asyncio.gather(client.connect(server, port, **options), listening.accept())


def test_a_connection_carries_bytes_both_ways_and_takes_the_time_of_its_cable():
    sim, server, client, _ = pair(delay="20ms")

    async def talk():
        one, other = await connected(server, client)
        assert other.peer == one.local and one.peer == other.local == ("10.0.0.1", 80)
        await one.write(b"question")
        assert await other.read() == b"question"
        await other.write(b"answer")
        other.shutdown()
        assert await one.read_all() == b"answer"
        assert one.info.state == "close_wait"
        return one.info.smoothed_round_trip

    # Nobody knew anybody: two round trips of ARP and SYN, then one each.
    assert sim.run(talk()) >= 0.04
    assert 0.1 <= sim.now < 0.3


def test_an_hour_passes_in_no_time():
    sim, *_ = pair()
    sim.run_for("1h")
    assert sim.now == 3600


def test_everything_arrives_through_loss_duplication_reordering_and_corruption():
    sim, server, client, cable = pair(delay="5ms", loss=0.03, duplicate=0.02, reorder=0.05, corrupt=0.02)
    data = bytes(range(256)) * 1024

    async def send():
        one, other = await connected(server, client)
        _, got = await asyncio.gather(one.write(data), other.read_exactly(len(data)))
        return got, one.info

    got, info = sim.run(send())
    assert got == data
    assert info.segments_retransmitted > 0
    assert all(cable.counters()[name] > 0 for name in ("lost", "duplicated", "reordered", "corrupted"))
    assert server.tcp_counters.wrong_checksums + server.counters.wrong_checksums + server.counters.malformed > 0


def test_the_rate_of_a_cable_is_what_a_transfer_gets():
    sim, server, client, _ = pair(delay="5ms", rate="10Mbit/s")

    async def send():
        one, other = await connected(server, client)
        begin = sim.now
        await asyncio.gather(one.send_zeros(1_250_000), other.discard(1_250_000))
        return sim.now - begin

    assert 1.0 < sim.run(send()) < 1.5


def test_nobody_listening_is_refused_and_nobody_there_unreachable():
    sim, server, client, _ = pair()
    with pytest.raises(ConnectionRefusedError):
        sim.run(client.connect(server, 81))
    with pytest.raises(OSError):
        sim.run(client.connect("10.0.0.77", 80))
    with pytest.raises(TimeoutError):
        sim.run(client.ping("10.0.0.77", timeout="100ms"))
    assert sim.run(client.ping("2001:db8::1")) >= 0


def test_a_partition_stops_a_conversation_and_its_healing_lets_it_go_on():
    sim = Simulation(seed=3)
    hosts = [sim.host(f"h{i}", f"10.0.0.{i}/24") for i in (1, 2, 3)]
    lan = sim.switch("lan", hosts, delay="1ms")

    async def story():
        one, other = await connected(hosts[0], hosts[1])
        await one.write(b"before")
        assert await other.read() == b"before"
        lan.partition(hosts[0], hosts[1])
        await one.write(b"after")
        with pytest.raises(TimeoutError):
            await other.read(timeout="5s")
        assert await hosts[0].ping(hosts[2]) > 0
        lan.heal()
        return await other.read(timeout="60s")

    assert sim.run(story()) == b"after"


def test_a_host_that_lost_power_knows_nothing_any_more():
    sim, server, client, _ = pair(delay="1ms")

    async def story():
        one, other = await connected(server, client)
        reading = asyncio.ensure_future(other.read())
        await asyncio.sleep(1)
        server.crash()
        with pytest.raises(OSError, match="lost power"):
            await reading
        with pytest.raises(OSError, match="no power"):
            server.listen(80)
        server.boot()
        with pytest.raises(OSError, match="closed"):
            await other.read()
        await one.write(b"still there?")
        with pytest.raises(ConnectionResetError):
            await one.read()
        again, _ = await connected(server, client)
        return again.info.state

    assert sim.run(story()) == "established"


def test_datagrams_go_where_they_should():
    sim, server, client, _ = pair(delay="1ms")
    port = server.bind(53)

    async def talk():
        mine = client.bind()
        await mine.send(b"x" * 1000, (server, 53))
        got, source = await port.receive()
        await port.send(got[:3], source)
        answer = await mine.receive(timeout="1s")
        await mine.send(b"", (server, 99))
        with pytest.raises(ConnectionRefusedError):
            await mine.receive(timeout="1s")
        return answer

    assert sim.run(talk()) == (b"xxx", ("10.0.0.1", 53))


def test_addresses_names_and_routes_come_by_dhcp_and_dns():
    sim = Simulation(seed=5)
    server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "dhcp")
    sim.switch("lan", [server, client], delay="1ms")
    service = server.serve_dhcp("10.0.0.0/24", "10.0.0.100", "10.0.0.110", routers=[server], name_servers=[server])

    async def name_server():
        from scapy.layers.dns import DNS, DNSQR, DNSRR

        port = server.bind(53)
        while True:
            data, source = await port.receive()
            question = DNS(data)
            found = DNSRR(rrname=question.qd.qname, type="A", ttl=60, rdata="10.0.0.1") if question.qd.qtype == 1 else None
            known = question.qd.qname.lower() == b"www.example.org."
            answer = DNS(id=question.id, qr=1, qd=DNSQR(bytes(question.qd)), an=found if known else None, rcode=0 if known else 3)
            await port.send(bytes(answer), source)

    sim.spawn(name_server())
    with pytest.raises(RuntimeError, match="no address yet"):
        client.address
    with pytest.raises(RuntimeError, match="configured"):
        client.listen(80)
    sim.run(client.configured())
    assert client.address == service.leases[0][0] and service.leases[0][2] == "bound"
    assert client.name_servers == ["10.0.0.1"]
    assert sim.run(client.resolve("www.example.org")) == ["10.0.0.1"]
    with pytest.raises(socket.gaierror):
        sim.run(client.resolve("nowhere.example.org"))
    assert sim.problems == []


def test_a_router_connects_networks_and_says_what_does_not_fit():
    sim = Simulation(seed=2)
    near = sim.host("near", "10.0.1.2/24", gateway="10.0.1.1")
    far = sim.host("far", "10.0.2.2/24", gateway="10.0.2.1")
    middle = sim.router("r", ["10.0.1.1/24", {"ipv4": "10.0.2.1/24", "mtu": 600}])
    sim.link(near, middle, delay="1ms")
    sim.link(far, middle, delay="1ms")

    async def story():
        one, other = await connected(far, near)
        await asyncio.gather(one.send_zeros(100_000), other.discard(100_000))
        return one.info.maximum_segment_size

    assert sim.run(story()) <= 560
    assert near.counters.path_mtu_reduced > 0


def test_middleboxes_stand_in_a_cable():
    sim, server, client = Simulation(seed=4), None, None
    server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "10.0.0.2/24")
    passed = []

    def watch(frame, side):
        passed.append(side)
        return frame

    sim.link(server, client, through=[links.clamp_mss(700), links.strip_option(8), watch])

    async def story():
        one, other = await connected(server, client)
        await asyncio.gather(one.send_zeros(5000), other.discard(5000))
        return one.info

    info = sim.run(story())
    assert info.maximum_segment_size == 700 and not info.has_timestamps
    assert {0, 1} == set(passed)


def test_what_a_function_in_a_cable_raises_ends_the_run():
    sim, server, client = Simulation(seed=4), None, None
    server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "10.0.0.2/24")

    def broken(frame, side):
        raise KeyError("no such frame")

    sim.link(server, client, through=[broken])
    with pytest.raises(KeyError, match="no such frame"):
        sim.run(client.ping(server))
    sim.close()


def test_a_slow_reader_closes_the_window():
    sim, server, client, _ = pair(delay="1ms")

    async def story():
        one, other = await connected(server, client)
        other.set(receive_buffer_bytes=4096)
        writing = asyncio.ensure_future(one.send_zeros(3_000_000))
        await asyncio.sleep(5)
        assert one.info.send_window_bytes < 65_536 and not writing.done()
        await other.discard(3_000_000)
        await writing

    sim.run(story())
    assert client.connections == 1


def test_a_run_that_can_never_end_says_so():
    sim, server, client, _ = pair()
    sim.run_for("10s")

    async def waits():
        await server.listen(80).accept()

    with pytest.raises(TimeoutError, match=r"seed 7"):
        sim.run(waits(), deadline="5s")
    assert sim.now >= 15
    # What was cancelled is gone: the port is free again for others, and everything still works.
    assert sim.run(client.ping(server)) == 0


def test_cancelling_takes_nothing_from_a_stream():
    sim, server, client, _ = pair(delay="1ms")

    async def story():
        one, other = await connected(server, client)
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(other.read(), 1)
        await one.write(b"kept")
        return await other.read()

    assert sim.run(story()) == b"kept"


SCRIPT = """
import asyncio, sys
from morgana.simulation import Simulation
sim = Simulation(seed=int(sys.argv[1]))
hosts = [sim.host(f"h{i}", f"10.0.0.{i}/24") for i in (1, 2, 3)]
lan = sim.switch("lan", hosts, delay="3ms", jitter="1ms", loss=0.05, rate="20Mbit/s", reorder=0.02)
capture = sim.capture()
async def story():
    listening = hosts[0].listen(80)
    async def echo(stream):
        while data := await stream.read():
            await stream.write(data)
    listening.serve(echo)
    async def client(host):
        stream = await host.connect(hosts[0], 80)
        for i in range(20):
            await stream.write(bytes([i]) * 3000)
            assert len(await stream.read_exactly(3000)) == 3000
    sim.at(0.5, hosts[1].cut)
    sim.at(1.5, hosts[1].heal)
    await asyncio.gather(*(client(host) for host in hosts[1:]))
sim.run(story())
sys.stdout.buffer.write(capture.pcapng())
"""


def test_a_seed_gives_the_same_capture_byte_for_byte_in_another_process():
    def run(seed):
        done = subprocess.run([sys.executable, "-c", SCRIPT, str(seed)], stdout=subprocess.PIPE, timeout=120, check=True)
        return hashlib.sha256(done.stdout).hexdigest(), len(done.stdout)

    first = run(7)
    assert first[1] > 100_000
    assert run(7) == first
    assert run(8) != first


def test_a_capture_is_a_pcapng_file_that_others_read(tmp_path):
    from scapy.utils import PcapNgReader

    sim, server, client, _ = pair(delay="1ms")
    with sim.capture(tmp_path / "run.pcapng") as capture:
        sim.run(client.ping(server))
    with PcapNgReader(str(tmp_path / "run.pcapng")) as reader:
        read = [bytes(packet) for packet in reader]
    assert read == [one.data for one in capture.frames] and len(read) >= 8
    assert {one.host for one in capture.frames} == {"server", "client"}
    requests = [one for one in capture.sent_by(client) if one.packet.haslayer("ICMP")]
    assert len(requests) == 1 and requests[0].packet["ICMP"].type == 8


def test_settings_of_cables_and_hosts_are_checked():
    sim, server, client, cable = pair()
    for wrong in ({"lose": 0.1}, {"loss": "a lot"}, {"cut": 1}):
        with pytest.raises(TypeError):
            cable.set(**wrong)
    for wrong in ({"loss": 2}, {"delay": "20 parsecs"}, {"discipline": "random"}, {"delay": -1}):
        with pytest.raises((ValueError, TypeError)):
            cable.set(**wrong)
    for address in ("10.0.0.300/24", "10.0.0.0/24", "", "::1/64"):
        with pytest.raises(ValueError):
            sim.host("wrong", address)
    with pytest.raises(ValueError, match="already"):
        sim.host("server", "10.0.0.9/24")
    with pytest.raises(ValueError, match="choices"):
        sim.run(client.connect(server, 80, congestion_control="hope"))
