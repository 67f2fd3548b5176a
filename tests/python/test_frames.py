"""Packets one by one: exactly this segment now, exactly that within some milliseconds of virtual time."""

import asyncio

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from morgana.frames import Unexpected, is_background, matches
from morgana.simulation import Simulation


@pytest.fixture
def table():
    """A host, and a port of frames that plays another."""
    sim = Simulation(seed=7)
    host = sim.host("host", "10.0.0.1/24", ipv6="2001:db8::1/64")
    port = sim.port("port", ["10.0.0.9", "2001:db8::9"])
    sim.link(host, port, delay="1ms")
    sim.run_for("10s")  # what a host says when it boots
    return sim, host, port


def test_a_handshake_segment_by_segment(table):
    sim, host, port = table
    listening = host.listen(80)

    async def story():
        await port.expect_nothing("100ms")
        me = dict(sport=5000, dport=80)
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / TCP(**me, flags="S", seq=100, options=[("MSS", 1000)]))
        answer = await port.expect(IP(src="10.0.0.1", dst="10.0.0.9") / TCP(sport=80, dport=5000, flags="SA", ack=101))
        theirs = answer.packet[TCP].seq + 1
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / TCP(**me, flags="A", seq=101, ack=theirs))
        stream = await listening.accept()
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / TCP(**me, flags="PA", seq=101, ack=theirs) / b"hello")
        await port.expect(TCP(flags="A", ack=106))
        assert await stream.read() == b"hello"
        await stream.write(b"x" * 1500)
        # The MSS of the SYN, in two segments.
        first = await port.expect(lambda packet: packet[TCP].seq == theirs and len(packet[TCP].payload) == 1000)
        await port.expect(lambda packet: packet[TCP].seq == theirs + 1000 and len(packet[TCP].payload) == 500)
        assert first.packet[TCP].ack == 106
        # A hole, filled at last: SACK is not there, a duplicate acknowledgment is.
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / TCP(**me, flags="A", seq=106, ack=theirs + 1500))
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / TCP(**me, flags="PA", seq=109, ack=theirs + 1500) / b"def")
        await port.expect(TCP(flags="A", ack=106))
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / TCP(**me, flags="PA", seq=106, ack=theirs + 1500) / b"abc")
        await port.expect(TCP(flags="A", ack=112))
        assert await stream.read_exactly(6) == b"abcdef"
        stream.abort()
        await port.expect(lambda packet: "R" in packet[TCP].flags)
        await port.expect_nothing("10s")

    sim.run(story())


def test_what_was_lost_is_sent_again_in_time_and_later_each_time(table):
    sim, host, port = table

    async def story():
        connecting = asyncio.ensure_future(host.connect("10.0.0.9", 80))
        times = [(await port.expect(TCP(flags="S"), "10s")).time for _ in range(3)]
        connecting.cancel()
        return times

    first, second, third = sim.run(story())
    assert 0.9 < second - first < 1.1 and 1.8 < third - second < 2.2  # RFC 6298 2: a second, doubled


def test_echo_in_both_families_and_bytes_as_they_are(table):
    sim, host, port = table

    async def story():
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / ICMP(id=7, seq=1) / b"ping")
        await port.expect(IP(src="10.0.0.1") / ICMP(type=0, id=7, seq=1) / Raw(b"ping"))
        port.send(IPv6(src="2001:db8::9", dst="2001:db8::1") / ICMPv6EchoRequest(id=8, data=b"six"))
        await port.expect(IPv6(dst="2001:db8::9") / ICMPv6EchoReply(id=8, data=b"six"))
        whole = Ether(src=port.mac, dst=host.mac) / ARP(op=1, hwsrc=port.mac, psrc="10.0.0.9", pdst="10.0.0.1")
        port.send(bytes(whole))
        got = await port.expect(ARP(op=2, psrc="10.0.0.1", hwsrc=host.mac), ignore=lambda frame: False)
        assert is_background(got.data) and got.data[:6] == bytes.fromhex(port.mac.replace(":", ""))

    sim.run(story())


def test_what_came_instead_is_said(table):
    sim, host, port = table

    async def wrong(wanted, within="200ms"):
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / UDP(sport=1, dport=9) / b"nobody there")
        await port.expect(wanted, within)

    with pytest.raises(Unexpected, match="came: Ether / IP / ICMP 10.0.0.1 > 10.0.0.9 dest-unreach port-unreachable"):
        sim.run(wrong(TCP(flags="S")))
    with pytest.raises(Unexpected, match="nothing came to port within 1ms"):
        sim.run(wrong(TCP(flags="S"), "1ms"))

    async def something():
        port.send(IP(src="10.0.0.9", dst="10.0.0.1") / ICMP())
        await port.expect_nothing()

    with pytest.raises(Unexpected, match="expected nothing"):
        sim.run(something())


def test_frames_are_injected_behind_every_cable(table):
    sim, host, port = table
    host.cut()
    before = host.counters.echo_replies
    host.inject(IP(src="10.0.0.9", dst="10.0.0.1") / ICMP())
    sim.run_for("1s")
    assert host.counters.echo_replies == before + 1
    for wrong in (b"short", bytes(70_000)):
        with pytest.raises(ValueError, match="14 to 65553 bytes"):
            host.inject(wrong)
    with pytest.raises(TypeError):
        host.inject("text")
    with pytest.raises(ValueError, match="nobody here has"):
        port.send(IP(dst="192.0.2.1"))


def test_garbage_is_counted_and_harms_nobody(table):
    sim, host, port = table
    import random

    chance = random.Random(1)
    for _ in range(2000):
        kind = chance.choice([b"\x08\x00", b"\x08\x06", b"\x86\xdd", chance.randbytes(2)])
        host.inject(bytes.fromhex(host.mac.replace(":", "")) + bytes(6) + kind + chance.randbytes(chance.randrange(200)))
        port.simulation._world.inject(port._number, bytes(12) + kind + chance.randbytes(chance.randrange(200)))
    sim.run_for("1s")
    assert host.counters.malformed > 100
    assert sim.run(host.ping("10.0.0.1")) == 0


def test_matching_is_by_what_was_said():
    packet = Ether() / IP(dst="10.0.0.1") / TCP(dport=80, flags="S") / b"abc"
    frame = bytes(packet)
    assert matches(frame, frame) and not matches(frame, frame + b"d")
    assert matches(frame, TCP(dport=80)) and not matches(frame, TCP(dport=81)) and not matches(frame, UDP())
    assert matches(frame, IP(dst="10.0.0.1") / TCP() / Raw(b"abc")) and not matches(frame, Raw(b"ab"))
    assert matches(frame, lambda one: one[TCP].flags == "S")
