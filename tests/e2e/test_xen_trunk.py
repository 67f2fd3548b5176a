"""Parts of the bench by themselves. Its trunk: frames of a stream, tagged, and the descriptors of a guest's interfaces.
Its cache: which of the machines that are kept stay."""
import fcntl
import os
import select
import socket
import struct
import sys

import pytest
from support import ROOT

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "plugins/xen/bench"))
import dom0         # noqa: E402
import xen_bench    # noqa: E402
from trunk import QUEUED_BYTES_MAX, WAITING_BYTES_MAX, Trunk    # noqa: E402

ADDRESSES = b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02"
SECONDS = 30


def frame(text, size=0):
    return ADDRESSES + b"\x88\xb5" + text.encode().ljust(size, b".")


def on_trunk(vlan, plain):
    tagged = plain[:12] + struct.pack(">HH", 0x8100, vlan) + plain[12:]
    return struct.pack(">I", len(tagged)) + tagged


class Wire:
    def __init__(self, interfaces, kind=socket.SOCK_SEQPACKET):
        self.machine, stream = socket.socketpair()
        self.ends, theirs = zip(*(socket.socketpair(socket.AF_UNIX, kind) for _ in range(interfaces)))
        self.theirs = theirs
        self.trunk = Trunk(stream, [end.fileno() for end in theirs])

    def received(self, end):
        """What waits at an end, or nothing."""
        return end.recv(70000) if select.select([end], [], [], 0)[0] else None

    def stream(self, size):
        self.machine.settimeout(SECONDS)
        data = b""
        while len(data) < size:
            data += self.machine.recv(size - len(data))
        return data


@pytest.mark.parametrize("kind", [socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_each_vlan_is_an_interface(kind):
    wire = Wire(2, kind)
    wire.machine.sendall(on_trunk(2, frame("second")) + on_trunk(1, frame("first")) + on_trunk(3, frame("nobody's")))
    assert wire.trunk.receive()
    assert [wire.received(end) for end in wire.ends] == [frame("first"), frame("second")]
    assert [wire.received(end) for end in wire.ends] == [None, None]


def test_frames_of_an_interface_get_its_tag():
    wire = Wire(2)
    wire.ends[1].send(frame("one"))
    wire.ends[1].send(frame("two", 9000))
    wire.trunk.take(wire.theirs[1].fileno())
    expected = on_trunk(2, frame("one")) + on_trunk(2, frame("two", 9000))
    assert wire.stream(len(expected)) == expected


def test_a_frame_arrives_in_pieces():
    wire = Wire(1)
    data = on_trunk(1, frame("whole", 1500))
    for begin in range(0, len(data), 100):
        assert wire.received(wire.ends[0]) is None
        wire.machine.sendall(data[begin:begin + 100])
        assert wire.trunk.receive()
    assert wire.received(wire.ends[0]) == frame("whole", 1500)


def test_untagged_and_short_frames_are_nobodys():
    wire = Wire(1)
    wire.machine.sendall(struct.pack(">I", 20) + frame("plain")[:20] + struct.pack(">I", 5) + b"short")
    assert wire.trunk.receive()
    assert wire.received(wire.ends[0]) is None


def test_a_full_trunk_has_descriptors_wait():
    wire = Wire(1)
    sent = 0
    while wire.trunk.readable():
        wire.ends[0].send(frame("data", 60000))
        sent += 1
        wire.trunk.take(wire.theirs[0].fileno())
        assert sent < 1000, "the trunk takes frames without end"
    assert WAITING_BYTES_MAX <= len(wire.trunk.waiting) < WAITING_BYTES_MAX + 70000
    taken = b""
    while wire.trunk.wants_to_send():
        taken += wire.machine.recv(1 << 20)
        wire.trunk.send()
    size = len(on_trunk(1, frame("data", 60000)))
    taken += wire.stream(sent * size - len(taken))
    assert taken == on_trunk(1, frame("data", 60000)) * sent


def test_what_a_descriptor_has_no_room_for_waits_up_to_a_bound():
    wire = Wire(2)
    first = wire.theirs[0].fileno()
    sent = 2 * QUEUED_BYTES_MAX // 9000
    for number in range(sent):
        wire.machine.sendall(on_trunk(1, frame(f"{number} ", 9000)) + on_trunk(2, frame("kept")))
        assert wire.trunk.receive()
        assert wire.received(wire.ends[1]) == frame("kept")
    assert wire.trunk.queued() == [first]
    assert wire.trunk.queues[1].size <= QUEUED_BYTES_MAX
    got = []
    while data := wire.received(wire.ends[0]):
        got.append(data)
        wire.trunk.give(first)
    # The first ones, in their order, without a gap.
    assert QUEUED_BYTES_MAX // 9100 < len(got) < sent
    assert got == [frame(f"{number} ", 9000) for number in range(len(got))]
    wire.machine.sendall(on_trunk(1, frame("later")))
    assert wire.trunk.receive() and wire.received(wire.ends[0]) == frame("later")


def test_a_descriptor_whose_end_is_closed_is_none_any_more():
    wire = Wire(2)
    wire.ends[0].close()
    wire.machine.sendall(on_trunk(1, frame("lost")) + on_trunk(2, frame("kept")))
    assert wire.trunk.receive() and wire.received(wire.ends[1]) == frame("kept")
    assert wire.trunk.queued() == []
    wire.trunk.take(wire.theirs[0].fileno())
    assert wire.trunk.readable() == [wire.theirs[1].fileno()]


def test_the_machines_end_is_told():
    wire = Wire(1)
    wire.machine.close()
    assert not wire.trunk.receive()


@pytest.mark.parametrize("knows, said", [("", "apt knows no linux-image-amd64: run apt-get update"),
                                         ("  Depends: linux-image-6.1.0", "the packages of the bench cannot be fetched: run apt-get update")])
def test_packages_that_cannot_be_fetched_are_said_with_what_to_do(tmp_path, monkeypatch, knows, said):
    for name, text in (("apt-cache", f"echo '{knows}'"), ("apt-get", "echo E: Unable to locate package; exit 100")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(dom0.BenchError, match=said):
        dom0.fetch(tmp_path)


def test_machines_of_other_benches_stay_but_not_all_and_none_that_is_in_use(tmp_path):
    for number in range(6):
        (tmp_path / f"machine{number}").mkdir()
        os.utime(tmp_path / f"machine{number}", (1000 + number, 1000 + number))
    (tmp_path / "lock").touch()
    held = os.open(tmp_path / "machine1", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        xen_bench.remove_oldest(tmp_path)
    finally:
        os.close(held)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "machine1", "machine3", "machine4", "machine5"]
