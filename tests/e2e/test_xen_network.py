"""Networks of a guest on real Xen: from Linux, over a tap of the test's own, through the bench's trunk and dom0's bridge and
netback, to netfront and our own TCP/IP in the guest, and back."""
import os
import re
import select
import shutil
import socket
import subprocess
import threading
import time
import zlib

import pytest
from namespaces import OwnNamespace, ip
from runner_client import Guest, network
from support import ROOT, built
from test_choices import DIRECT, PLAIN, WITHOUT, check_plain_requests
from test_direct_network import BLOCK, HTDOCS, MEGABYTE, V4, V6, connect, fetch, linux_side, receive_all
from test_xen_bench import FIRST_SECONDS, RUN_SECONDS, on_xen

APPS = ROOT / "tests/e2e/apps"
IS_LONG = bool(os.environ.get("MORGANA_TEST_LONG"))
SMALLEST_WEBSITE_BYTES = 256 * 1024
CONNECTIONS = 1000 if IS_LONG else 60
TRANSFER_BYTES = (100 if IS_LONG else 4) * MEGABYTE
long = pytest.mark.skipif(not IS_LONG, reason="takes minutes: scripts/test --long")


def direct(source, folder):
    """An application that asks for a network, on our own stack."""
    copy = folder / f"{source.name}-xen"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build"))
    with (copy / "unikernel.toml").open("a") as description:
        if '"direct"' not in (copy / "unikernel.toml").read_text():
            description.write('\n[devices.network]\nuse = "direct"\n')
        description.write('\n[target.xen-x86]\nmachine = "xen"\nmemory = "8 MiB"\n')
    return built(copy, "xen-x86")


@pytest.fixture(scope="module")
def website(tmp_path_factory):
    return direct(ROOT / "examples/static_website", tmp_path_factory.mktemp("xen"))


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    return direct(APPS / "streams", tmp_path_factory.mktemp("xen"))


@pytest.fixture(scope="module")
def cycles(tmp_path_factory):
    return on_xen(APPS / "xen_network", tmp_path_factory.mktemp("xen"))


def served(app, ready, work, *driver, arguments=(f"--network.ipv6={V6}/64",)):
    """Runs `work(guest)` beside a guest on a tap that Linux has the other end of; the guest then ends in order."""

    def inside():
        linux_side()
        with app.start(*arguments, driver=("--network", "tap:guest0", *driver)) as guest:
            guest.wait_for(ready, FIRST_SECONDS)
            work(guest)
            ended.append(guest.stop(RUN_SECONDS).expect(0))

    ended = []
    OwnNamespace(inside)
    return ended[0]


def test_the_website_is_served_to_curl_over_either_family_in_four_mib(website):
    expected = (HTDOCS / "bench.html").read_bytes()

    def work(_guest):
        for host in (V4, f"[{V6}]"):
            done = subprocess.run(["curl", "-sS", "--max-time", str(RUN_SECONDS), f"http://{host}:8080/bench.html"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert done.returncode == 0, done.stderr.decode()
            assert done.stdout == expected
        for _ in range(CONNECTIONS):
            assert fetch(V4, "/bench.html") == expected

    served(website, "listening on", work, "--memory=4MiB")


@pytest.fixture(scope="module")
def smallest_website(tmp_path_factory):
    """The example with only what it needs (docs/benchmarks.md)."""
    copy = tmp_path_factory.mktemp("xen") / "smallest_website"
    shutil.copytree(ROOT / "examples/static_website", copy, ignore=shutil.ignore_patterns("build"))
    description = copy / "unikernel.toml"
    description.write_text("help = false\n" + description.read_text())
    return built(copy, "xen-x86", (*DIRECT, *WITHOUT, *PLAIN, "--small=true", "--machine=xen", "--memory=8MiB"))


def test_the_smallest_website_with_tcp_ip_is_at_most_256_kib(smallest_website):
    assert smallest_website.image.path.stat().st_size <= SMALLEST_WEBSITE_BYTES


def test_the_smallest_website_is_served_in_four_mib(smallest_website):
    expected = (HTDOCS / "bench.html").read_bytes()

    def work(guest):
        for _ in range(CONNECTIONS):
            assert fetch(V4, "/bench.html") == expected
        check_plain_requests()

    served(smallest_website, "listening on", work, "--memory=4MiB", arguments=())


def test_the_network_example_reads_one_piece_and_closes(tmp_path):
    def work(guest):
        with connect(V4, 8080) as peer:
            peer.sendall(b"hello")
            assert peer.recv(1) == b""
        guest.wait_for("read 5 bytes: hello")

    served(direct(ROOT / "examples/network", tmp_path), "listening on", work)


def test_streams_arrive_whole_in_both_directions_over_either_family(streams):
    expected = (BLOCK * (TRANSFER_BYTES // len(BLOCK) + 1))[:TRANSFER_BYTES]

    def work(_guest):
        for address in (V4, V6):
            with connect(address, 19) as down:
                down.sendall(b"%d\n" % TRANSFER_BYTES)
                got = receive_all(down)
                assert len(got) == TRANSFER_BYTES and zlib.crc32(got) == zlib.crc32(expected)
            with connect(address, 20) as up:
                up.sendall(expected)
                up.shutdown(socket.SHUT_WR)
                assert receive_all(up) == b"%d %x\n" % (TRANSFER_BYTES, zlib.crc32(expected))
            with connect(address, 7) as one:
                one.sendall(b"x" * 50_000)
                one.shutdown(socket.SHUT_WR)
                assert receive_all(one) == b"x" * 50_000

    served(streams, "ready", work)


@long
def test_iperf3_of_linux_measures_our_server_both_ways(tmp_path):
    def work(_guest):
        for direction in ([], ["-R"], ["-P", "4"]):
            done = subprocess.run(["iperf3", "-c", V4, "-n", "50M", *direction], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=FIRST_SECONDS)
            assert done.returncode == 0, done.stdout

    served(direct(ROOT / "examples/iperf3", tmp_path), "listening on", work)


def test_a_guest_of_two_networks_forwards_from_one_to_the_other(tmp_path):
    """Each by its name in whatever order, and by boot options the other way round."""
    application = direct(APPS / "forwarder", tmp_path)

    def echo(server):
        peer, _ = server.accept()
        with peer:
            sent = receive_all(peer)
            peer.sendall(sent[::-1])

    def inside():
        linux_side("front0")
        ip("tuntap", "add", "dev", "back0", "mode", "tap")
        ip("address", "add", "10.1.0.1/24", "dev", "back0")
        ip("link", "set", "back0", "up")
        taps = "--network", "back_device=tap:back0", "--network", "front_device=tap:front0"
        crossed = "--network", "back_device=tap:front0", "--network", "front_device=tap:back0"
        vifs = "--front_device.vif=1", "--back_device.vif=0"
        for driver, options in ((taps, ()), (crossed, vifs)):
            with socket.create_server(("10.1.0.1", 7)) as server, \
                    application.start("--back.ipv4=10.1.0.2/24", *options, driver=driver) as guest:
                threading.Thread(target=echo, args=(server,), daemon=True).start()
                guest.wait_for("forwarder: info: ready", FIRST_SECONDS)
                with connect(V4, 80) as peer:
                    peer.sendall(BLOCK)
                    peer.shutdown(socket.SHUT_WR)
                    assert receive_all(peer) == BLOCK[::-1]
                ended = guest.stop(RUN_SECONDS).expect(0)
            assert re.search(r"forwarder: info: 10\.0\.0\.1:\d+ to 10\.1\.0\.1:7$", ended.output, re.MULTILINE)

    OwnNamespace(inside)


def on_a_link(app, *arguments):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, app.start(*arguments, driver=("--network", f"link=fd:{theirs.fileno()}"),
                                 inherited=[theirs.fileno()]) as guest:
        return guest.wait(FIRST_SECONDS)


def test_24_disconnects_and_connects_leave_no_grant(cycles):
    ended = on_a_link(cycles).expect(0)
    assert ended.messages("cycles") == [f"after {round}: 0 grants are out, 0 are stuck" for round in range(25)]


def test_a_read_past_a_grant_dies_with_the_right_report(cycles):
    ended = on_a_link(cycles, "--read-past").expect(70)
    assert "reason: fault\nmessage: access past a page that another domain shares\n" in ended.output
    assert "read_past_on_purpose" in ended.output


def test_a_user_mode_network_needs_no_privileges(website):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with website.start(driver=("--network", f"user,forward={port}:8080")) as guest:
        guest.wait_for("listening on", FIRST_SECONDS)
        done = subprocess.run(["curl", "-sS", "--max-time", str(RUN_SECONDS), f"http://127.0.0.1:{port}/bench.html"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == (HTDOCS / "bench.html").read_bytes()


def test_each_interface_has_its_own_wire(tmp_path):
    """Two networks, and a guest that answers on the first: what is sent on the other comes to nobody."""
    application = on_xen(APPS / "frames", tmp_path)
    ours, theirs, kind = b"\x02\0\0\0\0\x77", b"\x02\0\0\0\0\x05", b"\x88\xb5"
    (first, first_end), (second, second_end) = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    with Guest(application.build_folder / "xen-x86/frames.elf", machine="xen", seconds=FIRST_SECONDS,
               networks=[network("", first_end, mac="02:00:00:00:00:05"), network("", second_end)]) as guest:
        guest.wait_for("address 02:00:00:00:00:05, mtu 1500")
        second.send(theirs + ours + kind + b"astray".ljust(60, b"."))
        until, back = time.monotonic() + RUN_SECONDS, b""
        while back[12:14] != kind and time.monotonic() < until:
            first.send(theirs + ours + kind + b"hello".ljust(60, b"."))
            back = first.recv(65536) if select.select([first], [], [], 1)[0] else b""
        assert back[:19] == ours + theirs + kind + b"hello"
        assert not select.select([second], [], [], 0)[0]
