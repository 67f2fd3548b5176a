"""Linux as the peer of our TCP: gigabytes by hash, iperf3 either way, a seeded bad link, load, and what a scanner
sees. Guests on the direct stack, in namespaces of the tests' own."""
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess

import pytest
from namespaces import OwnNamespace, ip
from support import MORGANA, ROOT, RUN_SECONDS, Process, built

STREAMS = ROOT / "tests/e2e/apps/streams"
IPERF3 = ROOT / "examples/iperf3"
WEBSITE = ROOT / "examples/static_website"
RELAY = MORGANA.parent.parent / "tests/morgana-relay"
V4, V6 = "10.0.0.2", "2001:db8::2"
MEGABYTE = 1 << 20
BLOCK_BYTES = 65_521
LONG_SECONDS = 300


def tool(name, package):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert found, f"this test needs `{name}`: apt-get install {package}"
    return found


def linux_side(name="guest0", mtu=1500, make=True):
    ip("link", "set", "lo", "up")
    if make:
        ip("tuntap", "add", "dev", name, "mode", "tap")
    ip("link", "set", name, "mtu", str(mtu))
    ip("address", "add", "10.0.0.1/24", "dev", name)
    ip("address", "add", "2001:db8::1/64", "dev", name, "nodad")
    ip("link", "set", name, "up")


def guest_on_tap(app, *arguments, offloads="yes"):
    # The same address each time: Linux remembers for a while whose 10.0.0.2 was.
    network = f"tap:guest0,mac=02:00:00:00:00:02,offloads={offloads}"
    return app.start(*arguments, f"--network.ipv6={V6}/64", driver=("--network", network))


# ---- by hash ------------------------------------------------------------------------------------------

def seeded(seed, size):
    """The pieces of the stream that tests/e2e/apps/streams makes of this seed."""
    words, mask = [], (1 << 64) - 1
    for _ in range(BLOCK_BYTES // 8 + 1):
        seed = (seed + 0x9e3779b97f4a7c15) & mask
        word = ((seed ^ seed >> 30) * 0xbf58476d1ce4e5b9) & mask
        word = ((word ^ word >> 27) * 0x94d049bb133111eb) & mask
        words.append(word ^ word >> 31)
    block = bytearray(struct.pack(f"<{len(words)}Q", *words)[:BLOCK_BYTES])
    times = 0
    while size > 0:
        block[:8] = struct.pack("<Q", times)
        yield bytes(block[:size])
        size -= BLOCK_BYTES
        times += 1


def upload(address, seed, size):
    """Linux sends, the guest compares each byte with what the seed makes."""
    with socket.create_connection((address, 21), timeout=LONG_SECONDS) as up:
        up.sendall(b"%d\n" % seed)
        for piece in seeded(seed, size):
            up.sendall(piece)
        up.shutdown(socket.SHUT_WR)
        assert up.makefile("rb").read() == b"%d same\n" % size


def download(address, seed, size):
    """The guest sends, and the hash tells."""
    expected = hashlib.sha256()
    for piece in seeded(seed, size):
        expected.update(piece)
    got, total, room = hashlib.sha256(), 0, bytearray(MEGABYTE)
    with socket.create_connection((address, 22), timeout=LONG_SECONDS) as down:
        down.sendall(b"%d %d\n" % (seed, size))
        while count := down.recv_into(room):
            got.update(memoryview(room)[:count])
            total += count
    assert total == size and got.digest() == expected.digest()


def test_a_gigabyte_arrives_whole_in_either_direction():
    app = built(STREAMS)

    def work():
        linux_side()
        with guest_on_tap(app) as guest:
            guest.wait_for("ready")
            upload(V4, 1, 1024 * MEGABYTE)
            download(V6, 2, 1024 * MEGABYTE)
            guest.stop().expect(0)

    OwnNamespace(work)


def test_the_check_of_a_stream_finds_one_byte_that_is_wrong():
    app = built(STREAMS)

    def work():
        linux_side()
        with guest_on_tap(app) as guest:
            guest.wait_for("ready")
            content = bytearray(b"".join(seeded(3, 200_000)))
            content[150_000] ^= 1
            with socket.create_connection((V4, 21), timeout=RUN_SECONDS) as up:
                up.sendall(b"3\n" + content)
                up.shutdown(socket.SHUT_WR)
                assert b"other bytes" in up.makefile("rb").read()
            guest.stop().expect(0)

    OwnNamespace(work)


# ---- a bad link ---------------------------------------------------------------------------------------

def open_tap(name):
    """The descriptor of a new tap interface of this namespace, a frame a message."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, 0x400454ca, struct.pack("16sH14x", name.encode(), 0x1002))   # TUNSETIFF: tap, no PI
    return descriptor


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hundred_megabytes_arrive_whole_over_a_link_that_loses_swaps_doubles_and_damages(seed):
    app = built(STREAMS)
    assert RELAY.exists(), f"this test needs {RELAY}: ninja -C build morgana-relay"
    faults = ["--delay-us", 500, "--loss-ppm", 1000, "--reorder-ppm", 5000, "--reorder-us", 2000, "--duplicate-ppm", 5000,
              "--corrupt-ppm", 500, "--rate-mbit", 1000, "--queue-kib", 1024]

    def work():
        tap = open_tap("relay0")
        linux_side("relay0", make=False)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):   # room for a burst; beyond it the relay loses frames and counts them
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MEGABYTE)
        with ours, theirs, Process([RELAY, tap, ours.fileno(), "--seed", seed, *faults], inherited=[tap, ours.fileno()]) as relay, \
                app.start(f"--network.ipv6={V6}/64", driver=("--network", f"fd:{theirs.fileno()}"),
                          inherited=[theirs.fileno()]) as guest:
            os.close(tap)
            relay.wait_for("relaying")
            guest.wait_for("ready")
            upload(V4 if seed % 2 else V6, seed, 50 * MEGABYTE)
            download(V6 if seed % 2 else V4, seed, 50 * MEGABYTE)
            guest.stop().expect(0)
            said = relay.stop().expect(0).output
            # The link was as bad as it was to be.
            for direction in ("a to b", "b to a"):
                counts = re.search(rf"{direction}: (\d+) frames, (\d+) lost, \d+ queue-full, (\d+) duplicated, (\d+) reordered, "
                                   rf"(\d+) corrupted", said)
                assert counts and all(int(one) > 0 for one in counts.groups()), said

    OwnNamespace(work)


# ---- iperf3 -------------------------------------------------------------------------------------------

def iperf3(*words):
    done = subprocess.run([tool("iperf3", "iperf3"), *map(str, words), "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=RUN_SECONDS)
    told = json.loads(done.stdout)
    assert done.returncode == 0 and "error" not in told, done.stdout[-2000:] + done.stderr
    return told


@pytest.mark.parametrize("offloads", ["yes", "no"], ids=["offloads", "plain"])
def test_iperf3_of_linux_measures_our_server_both_ways_with_one_stream_and_four(offloads):
    app = built(IPERF3, choices=["--network.use=direct"])
    size = 32 * MEGABYTE

    def work():
        linux_side()
        with guest_on_tap(app, offloads=offloads) as guest:
            guest.wait_for("listening on")
            for address in (V4, V6):
                for direction in ((), ("-R",)):
                    for streams in (1, 4):
                        told = iperf3("-c", address, "-n", size, "-P", streams, *direction)
                        assert told["end"]["sum_received"]["bytes"] >= size * 0.9
                        assert len(told["end"]["streams"]) == streams
            told = subprocess.run(["iperf3", "-c", V4, "-u", "-t", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=RUN_SECONDS)
            assert told.returncode != 0   # UDP is refused, and the next test is served
            iperf3("-c", V4, "-n", MEGABYTE)
            ended = guest.stop().expect(0)
            assert len(re.findall(r"iperf3: info: received", ended.output)) == 5
            assert len(re.findall(r"iperf3: info: sent", ended.output)) == 4

    OwnNamespace(work)


@pytest.mark.parametrize("mtu, mss", [(1500, 536), (1500, 1220), (4000, 3948), (9000, 8948)])
def test_segments_of_every_size_pass_both_ways(mtu, mss):
    app = built(IPERF3, choices=["--network.use=direct"])

    def work():
        linux_side(mtu=mtu)
        for offloads in ("yes", "no"):
            with guest_on_tap(app, offloads=offloads) as guest:
                guest.wait_for("listening on")
                chosen = ("-M", mss) if mtu == 1500 else ()
                for direction in ((), ("-R",)):
                    told = iperf3("-c", V4, "-n", 8 * MEGABYTE, *chosen, *direction)
                    assert told["end"]["sum_received"]["bytes"] >= 7 * MEGABYTE
                    if not chosen:   # what both sides agreed on; timestamps take twelve bytes
                        assert told["start"]["tcp_mss_default"] == mss
                guest.stop().expect(0)

    OwnNamespace(work)


def test_our_iperf3_is_a_client_of_linux_both_ways():
    app = built(IPERF3, choices=["--network.use=direct"])

    def work():
        linux_side()
        with Process([tool("iperf3", "iperf3"), "-s", "--forceflush"]) as server:
            server.wait_for("Server listening")
            for more, word in ((), "sent"), (("--reverse", "--parallel=3"), "received"):
                ended = app.run("--client=10.0.0.1:5201", "--seconds=1", *more, driver=("--network", "tap:guest0")).expect(0)
                found = re.search(rf"{word} (\d+) bytes on (\d) streams", ended.output)
                assert found and int(found[1]) > MEGABYTE and found[2] == ("3" if more else "1")
            server.kill()

    OwnNamespace(work)


# ---- load, and what a scanner sees --------------------------------------------------------------------

def test_the_website_stands_the_load_of_wrk():
    app = built(WEBSITE, choices=["--network.use=direct"])

    def work():
        linux_side()
        with guest_on_tap(app) as guest:
            guest.wait_for("listening on")
            for more in ((), ("-H", "Connection: close")):
                done = subprocess.run([tool("wrk", "wrk"), "-t1", "-c64", "-d2s", "--timeout", "20s", *more,
                                       f"http://{V4}:8080/bench.html"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, timeout=RUN_SECONDS)
                assert done.returncode == 0, done.stdout
                assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
                assert int(re.search(r"(\d+) requests in", done.stdout)[1]) > 100
            guest.stop().expect(0)

    OwnNamespace(work)


def test_nmap_can_predict_neither_sequence_numbers_nor_identifications():
    app = built(WEBSITE, choices=["--network.use=direct"])

    def work():
        linux_side()
        with guest_on_tap(app) as guest:
            guest.wait_for("listening on")
            done = subprocess.run([tool("nmap", "nmap"), "-n", "-Pn", "-v", "-O", "--max-os-tries", "1", "-p", "1,8080", V4],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONG_SECONDS)
            assert done.returncode == 0, done.stdout
            said = done.stdout
            assert re.search(r"8080/tcp +open", said) and re.search(r"1/tcp +closed", said), said
            assert re.search(r"TCP Sequence Prediction: Difficulty=\d+ \(Good luck!\)", said), said
            # Each flow its own (RFC 7739); whole packets need none (RFC 6864).
            assert re.search(r"IP ID Sequence Generation: (Randomized|All zeros|Random positive increments)", said), said
            guest.stop().expect(0)

    OwnNamespace(work)
