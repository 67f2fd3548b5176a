"""Devices around devices that say what passed: pcap, read by scapy, and trace."""
import re
import select
import socket
import struct
import time

import pytest
import scapy.layers.inet6   # so that IPv6 is dissected
from namespaces import OwnNamespace
from scapy.layers.inet import TCP
from scapy.utils import PcapNgReader
from support import RUN_SECONDS, built
from test_direct_network import BLOCK, MEGABYTE, STREAMS, V4, connect, linux_side, receive_all

IN, OUT = 1, 2


def options_of(bytes_):
    """Those of a block, by their codes."""
    found = {}
    while bytes_:
        code, size = struct.unpack_from("<HH", bytes_)
        if code == 0:
            break
        found[code] = bytes_[4:4 + size]
        bytes_ = bytes_[4 + (size + 3) // 4 * 4:]
    return found


def packets(path):
    """(time in ns, direction, comment, frame) of each; and the interface's name. scapy reads the frames, their times and
    comments; names and directions it leaves out, so these are read here."""
    names, directions, left = set(), [], path.read_bytes()
    while left:
        kind, size = struct.unpack_from("<II", left)
        body, left = left[8:size - 4], left[size:]
        if kind == 1:
            names.add(options_of(body[8:])[2].decode())
        elif kind == 6:
            kept = struct.unpack_from("<I", body, 12)[0]
            directions.append(struct.unpack("<I", options_of(body[20 + (kept + 3) // 4 * 4:])[2])[0] & 3)
    with PcapNgReader(str(path)) as reader:
        read = list(reader)
    assert len(read) == len(directions)
    return [(int(packet.time * 1_000_000_000), way, packet.comment, packet) for packet, way in zip(read, directions)], names


def stream_of(frames, port, direction):
    """The bytes of the one TCP stream to or from that port, put together by their numbers."""
    first, parts = None, {}
    for _, way, _, packet in frames:
        if way != direction or TCP not in packet or port not in (packet[TCP].sport, packet[TCP].dport):
            continue
        if packet[TCP].flags.S:
            first = packet[TCP].seq + 1
        elif first is not None and len(packet[TCP].payload):
            parts[(packet[TCP].seq - first) & 0xffffffff] = bytes(packet[TCP].payload)
    made = bytearray()
    for at in sorted(parts):
        assert at <= len(made), f"a gap at {len(made)}"
        made[at:] = parts[at]
    return bytes(made)


@pytest.mark.parametrize("offloads", ["yes", "no"], ids=["offloads", "plain"])
def test_a_capture_holds_what_passed_in_both_directions_and_scapy_reads_it(tmp_path, offloads):
    app = built(STREAMS, choices=["--network_device.wrap=pcap"])
    file, size = tmp_path / "lan.pcapng", MEGABYTE

    def work():
        linux_side()
        with app.start(f"--network_device_pcap.file={file}",
                       driver=("--network", f"network_device=tap:guest0,offloads={offloads}")) as guest:
            guest.wait_for("ready")
            with connect(V4, 19) as down:
                down.sendall(b"%d\n" % size)
                assert len(receive_all(down)) == size
            guest.stop().expect(0)

    began = time.time_ns()
    OwnNamespace(work)
    ended = time.time_ns()
    frames, names = packets(file)
    assert names == {"network_device"}
    assert all(began <= at <= ended for at, *_ in frames)
    assert any(at % 1000 for at, *_ in frames)   # nanoseconds
    assert {way for _, way, *_ in frames} == {IN, OUT}
    assert stream_of(frames, 19, IN) == b"%d\n" % size
    assert stream_of(frames, 19, OUT) == (BLOCK * (size // len(BLOCK) + 1))[:size]
    super_packets = [c for *_, c, _ in frames if c and b"super-packet, to be cut into parts of" in c]
    assert bool(super_packets) == (offloads == "yes")


def test_a_capture_is_whole_though_its_guest_was_killed(tmp_path):
    app = built(STREAMS, choices=["--network_device.wrap=pcap"])
    file = tmp_path / "lan.pcapng"

    def work():
        linux_side()
        with app.start(f"--network_device_pcap.file={file}", driver=("--network", "network_device=tap:guest0")) as guest:
            guest.wait_for("ready")
            with connect(V4, 7) as echo:
                echo.sendall(b"x" * 1000)
                assert echo.recv(1000)
                guest.kill()

    OwnNamespace(work)
    frames, _ = packets(file)
    assert stream_of(frames, 7, IN) == b"x" * 1000


def test_a_chain_of_two_records_below_the_faults(tmp_path):
    app = built(STREAMS, choices=["--network_device.wrap=pcap, faults"])
    file = tmp_path / "lan.pcapng"

    def work():
        linux_side()
        with app.start(f"--network_device_pcap.file={file}", "--network_device_faults.duplicate-ppm=1000000",
                       driver=("--network", "network_device=tap:guest0,offloads=no")) as guest:
            guest.wait_for("ready")
            with connect(V4, 7) as echo:
                echo.sendall(b"once")
                assert echo.recv(100)[:4] == b"once"
            guest.stop().expect(0)

    OwnNamespace(work)
    frames, _ = packets(file)
    answers = [packet[TCP].seq for _, way, _, packet in frames if way == OUT and TCP in packet and packet[TCP].flags.S]
    assert len(answers) >= 2 and len(set(answers)) == 1   # what the faults doubled is on the wire twice


def test_a_ring_keeps_the_last_frames_within_its_limit(tmp_path):
    app = built(STREAMS, choices=["--network_device.wrap=pcap"])
    file, limit, size = tmp_path / "lan.pcapng", 400_000, 2 * MEGABYTE

    def work():
        linux_side()
        with app.start(f"--network_device_pcap.file={file}", f"--network_device_pcap.limit-bytes={limit}",
                       "--network_device_pcap.at-limit=ring", "--network_device_pcap.snap-bytes=96",
                       driver=("--network", "network_device=tap:guest0,offloads=no")) as guest:
            guest.wait_for("ready")
            for _ in range(4):
                with connect(V4, 19) as down:
                    down.sendall(b"%d\n" % size)
                    receive_all(down)
            guest.stop().expect(0)

    OwnNamespace(work)
    sizes = [path.stat().st_size for path in (file, file.with_name("lan.pcapng.2"))]
    assert sum(sizes) <= limit and max(sizes) > limit // 2 - 200
    newest = max((packets(path)[0] for path in (file, file.with_name("lan.pcapng.2"))), key=lambda frames: frames[-1][0])
    assert any(TCP in packet and packet[TCP].flags.F for *_, packet in newest[-30:])


def test_a_file_that_cannot_be_written_ends_the_guest_with_its_name():
    app = built(STREAMS, choices=["--network_device.wrap=pcap"])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        with app.start("--network_device_pcap.file=/nowhere/x.pcapng",
                       driver=("--network", f"network_device=fd:{theirs.fileno()}"), inherited=[theirs.fileno()]) as guest:
            said = guest.wait().expect(65).output
    assert "cannot write /nowhere/x.pcapng" in said and "network_device_pcap" in said


def test_a_trace_has_a_line_for_every_frame():
    app = built(STREAMS, choices=["--network_device.wrap=trace"])

    def work():
        linux_side()
        with app.start(driver=("--network", "network_device=tap:guest0")) as guest:
            guest.wait_for("ready")
            with connect(V4, 7) as echo:
                echo.sendall(b"hello")
                assert echo.recv(100) == b"hello"
            guest.stop().expect(0)
            lines = guest.wait().messages("trace")
        peer = r"10\.0\.0\.1\.\d+"
        for pattern in (rf"network_device in {peer} > 10\.0\.0\.2\.7: Flags \[S\], seq \d+, win \d+, options \[mss \d+,.*\], length 0",
                        rf"network_device out 10\.0\.0\.2\.7 > {peer}: Flags \[S\.\], seq \d+, ack 1, win \d+, .*length 0",
                        rf"network_device in {peer} > 10\.0\.0\.2\.7: Flags \[P\.\], seq 1:6, ack 1, win \d+, .*length 5",
                        rf"network_device out 10\.0\.0\.2\.7 > {peer}: Flags \[P\.\], seq 1:6, ack 6, win \d+, .*length 5",
                        r"network_device out ARP, .*", r"network_device (in|out) fe80.* > ff02.*: ICMP6 .*"):
            assert any(re.fullmatch(pattern, line) for line in lines), (pattern, lines)

    OwnNamespace(work)


def test_the_simulator_records_into_the_folder_it_was_started_in(tmp_path):
    app = built(STREAMS, "sim", choices=["--network.use=direct", "--network_device.wrap=pcap"])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        with app.start(f"--network_device_pcap.file={tmp_path / 'sim.pcapng'}",
                       driver=("--network", f"network_device=fd:{theirs.fileno()}"), inherited=[theirs.fileno()]) as guest:
            guest.wait_for("ready")
            assert select.select([ours], [], [], RUN_SECONDS)[0]
            first = ours.recv(2000)
            guest.stop().expect(0)
    frames, _ = packets(tmp_path / "sim.pcapng")
    assert bytes(frames[0][3]) == first and frames[0][1] == OUT
    assert b"".join(bytes(packet) for *_, packet in frames).count(first) == 1
