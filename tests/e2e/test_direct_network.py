"""Our own TCP/IP end to end: guests on the direct stack, with Linux as the peer, over tap interfaces in a namespace of
the test's own, with and without offloads, and over an inherited descriptor."""
import http.client
import os
import re
import select
import socket
import struct
import subprocess
import threading
import zlib
import fcntl

import pytest
from namespaces import OwnNamespace, ip
from support import MORGANA, ROOT, RUN_SECONDS, Process, built

STREAMS = ROOT / "tests/e2e/apps/streams"
WEBSITE = ROOT / "examples/static_website"
HTDOCS = WEBSITE / "htdocs"
V4, V6 = "10.0.0.2", "2001:db8::2"
MEGABYTE = 1 << 20

# As the guest's content() makes it.
BLOCK = bytes((i * 2654435761 & 0xffffffffffffffff) >> 13 & 0xff for i in range(65521))


def website():
    return built(WEBSITE, choices=["--network.use=direct"])


def linux_side(name="guest0"):
    ip("link", "set", "lo", "up")
    ip("tuntap", "add", "dev", name, "mode", "tap")
    ip("address", "add", "10.0.0.1/24", "dev", name)
    ip("address", "add", "2001:db8::1/64", "dev", name, "nodad")
    ip("link", "set", name, "up")


def guest_on_tap(app, *arguments, offloads="yes"):
    linux_side()
    return app.start(*arguments, f"--network.ipv6={V6}/64",
                     driver=("--network", f"tap:guest0,offloads={offloads}"))


def connect(address, port):
    return socket.create_connection((address, port), timeout=RUN_SECONDS)


def receive_all(connection):
    parts = []
    while part := connection.recv(MEGABYTE):
        parts.append(part)
    return b"".join(parts)


def fetch(address, path="/"):
    connection = http.client.HTTPConnection(address, 8080, timeout=RUN_SECONDS)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


offloads = pytest.mark.parametrize("offloads", ["yes", "no"], ids=["offloads", "plain"])


@offloads
def test_the_website_is_served_to_curl_over_either_family(offloads):
    app = website()

    def work():
        with guest_on_tap(app, offloads=offloads) as guest:
            guest.wait_for("listening on")
            for host in (V4, f"[{V6}]"):
                done = subprocess.run(["curl", "-sS", "--max-time", str(RUN_SECONDS), f"http://{host}:8080/bench.html"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                assert done.returncode == 0, done.stderr.decode()
                assert done.stdout == (HTDOCS / "bench.html").read_bytes()
            guest.stop().expect(0)

    OwnNamespace(work)


def test_a_thousand_connections_are_served_one_after_the_other_and_two_hundred_at_once():
    app = website()

    def work():
        with guest_on_tap(app) as guest:
            guest.wait_for("listening on")
            expected = (HTDOCS / "bench.html").read_bytes()
            for _ in range(1000):
                assert fetch(V4, "/bench.html") == expected
            together = [connect(V4, 8080) for _ in range(200)]
            for one in together:
                one.sendall(b"GET /bench.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for one in together:
                assert receive_all(one).endswith(expected)
                one.close()
            guest.stop().expect(0)

    OwnNamespace(work)


@offloads
def test_large_transfers_arrive_whole_in_both_directions_over_either_family(offloads):
    app = built(STREAMS)
    size = 100 * MEGABYTE if offloads == "yes" else 20 * MEGABYTE
    expected = BLOCK * (size // len(BLOCK) + 1)
    expected = expected[:size]

    def work():
        with guest_on_tap(app, offloads=offloads) as guest:
            guest.wait_for("ready")
            for address in (V4, V6):
                with connect(address, 19) as down:
                    down.sendall(b"%d\n" % size)
                    got = receive_all(down)
                    assert len(got) == size and zlib.crc32(got) == zlib.crc32(expected)
                with connect(address, 20) as up:
                    up.sendall(expected)
                    up.shutdown(socket.SHUT_WR)
                    assert receive_all(up) == b"%d %x\n" % (size, zlib.crc32(expected))
            guest.stop().expect(0)

    OwnNamespace(work)


def test_a_half_closed_connection_still_carries_the_answer():
    app = built(STREAMS)

    def work():
        with guest_on_tap(app) as guest:
            guest.wait_for("ready")
            with connect(V4, 7) as one:
                one.sendall(b"x" * 50_000)
                one.shutdown(socket.SHUT_WR)
                assert receive_all(one) == b"x" * 50_000
            guest.stop().expect(0)

    OwnNamespace(work)


def test_a_guest_connects_to_a_linux_server_over_either_family():
    app = built(STREAMS)

    def work():
        linux_side()
        for family, address in ((socket.AF_INET, "10.0.0.1"), (socket.AF_INET6, "2001:db8::1")):
            with socket.create_server((address, 0), family=family) as server:
                server.settimeout(RUN_SECONDS)
                port = server.getsockname()[1]
                where = f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
                with app.start(f"--connect={where}", f"--network.ipv6={V6}/64", driver=("--network", "tap:guest0")) as guest:
                    peer, source = server.accept()
                    with peer:
                        assert source[0] == (V6 if family == socket.AF_INET6 else V4)
                        assert peer.recv(100) == b"hello\n"
                        peer.sendall(b"good day")
                        guest.wait_for("answer: good day")
                    said = guest.wait().expect(0).messages("streams")
                    assert said[-1] in ("the end", "read: connection reset by peer", "write: connection reset by peer") \
                        or "reset" in said[-1]

    OwnNamespace(work)


def test_a_refused_port_and_an_absent_host_are_errors_of_connect():
    app = built(STREAMS)

    def work():
        linux_side()
        ended = app.run("--connect=10.0.0.1:9", driver=("--network", "tap:guest0")).expect(0)
        assert re.search("connect: connection refused", ended.output)
        ended = app.run("--connect=10.0.0.99:9", "--patience=8s", driver=("--network", "tap:guest0")).expect(0)
        assert re.search("connect: (no way to that address|timed out)", ended.output)

    OwnNamespace(work)


def test_a_peer_that_vanishes_ends_in_an_error():
    app = built(STREAMS)

    def work():
        linux_side()
        with socket.create_server(("10.0.0.1", 0)) as server:
            server.settimeout(RUN_SECONDS)
            port = server.getsockname()[1]
            with app.start(f"--connect=10.0.0.1:{port}", "--patience=5s", driver=("--network", "tap:guest0")) as guest:
                peer, _ = server.accept()
                guest.wait_for("connected from")
                # Whoever answered is gone without a word: the interface forgets its address.
                ip("address", "flush", "dev", "guest0")
                assert re.search("(read|write): .*timed out", guest.wait().expect(0).output)
                peer.close()

    OwnNamespace(work)


class Relay(threading.Thread):
    """Carries frames between a descriptor and a tap interface of this namespace."""

    def __init__(self, ours, name):
        super().__init__(daemon=True)
        self.ours = ours
        self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tap, 0x400454ca, struct.pack("16sH14x", name.encode(), 0x1002))   # TUNSETIFF: tap, no PI
        self.stopping = False
        self.start()

    def run(self):
        while not self.stopping:
            readable, _, _ = select.select([self.ours, self.tap], [], [], 0.1)
            try:
                if self.ours in readable:
                    os.write(self.tap, self.ours.recv(65536))
                if self.tap in readable:
                    self.ours.send(os.read(self.tap, 65536))
            except OSError:
                pass

    def stop(self):
        self.stopping = True
        self.join()
        os.close(self.tap)


def test_the_website_is_served_over_an_inherited_descriptor():
    app = website()

    def work():
        linux_side()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        relay = Relay(ours, "guest0")
        try:
            with ours, theirs, app.start(driver=("--network", f"fd:{theirs.fileno()}"), inherited=[theirs.fileno()]) as guest:
                guest.wait_for("listening on")
                for path in sorted(HTDOCS.rglob("*.html")):
                    assert fetch(V4, f"/{path.relative_to(HTDOCS)}") == path.read_bytes()
                guest.stop().expect(0)
        finally:
            relay.stop()

    OwnNamespace(work)


def test_a_guest_whose_link_is_gone_ends_with_an_error_and_does_not_hang():
    app = built(STREAMS)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, app.start(driver=("--network", f"fd:{theirs.fileno()}"), inherited=[theirs.fileno()]) as guest:
        guest.wait_for("ready")
        theirs.close()
        ours.close()
        output = guest.wait().expect(66).output
        assert "the network device is gone" in output and "accept: no way to that address" in output


def test_run_makes_a_tap_interface_with_an_address_and_it_goes_with_the_guest():
    app = website()

    def work():
        ip("link", "set", "lo", "up")
        with app.start(driver=("--network", "tap")) as guest:
            guest.wait_for("listening on")
            assert fetch(V4, "/bench.html") == (HTDOCS / "bench.html").read_bytes()
            assert "morgana0" in subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout
            # A second one would have the same addresses: refused, with another choice, which works.
            again = app.run(driver=("--network", "tap")).expect(125)
            assert "10.0.0.1/24 on `morgana0` already" in again.output and "host=10.77.0.1/24" in again.output
            with app.start("--network.ipv4=10.77.0.2/24", driver=("--network", "tap,host=10.77.0.1/24")) as other:
                other.wait_for("listening on")
                assert fetch("10.77.0.2", "/bench.html") == (HTDOCS / "bench.html").read_bytes()
                other.kill()   # SIGKILL to the driver: its runner and the guest follow, and with them the interface
            guest.stop().expect(0)
        wait_until(lambda: "morgana" not in subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout)

    OwnNamespace(work)


def wait_until(holds):
    for _ in range(int(RUN_SECONDS * 20)):
        if holds():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not become so")


# A user who may do nothing but read: the cache may lie in a home that is closed to others.
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+dac_read_search",
          "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]


def website_for_everyone():
    """The website, in folders that everyone may enter: in a namespace of its own a guest is nobody special."""
    app = website()
    for folder in (app.build_folder, app.build_folder.parent, app.build_folder.parent.parent):
        os.chmod(folder, 0o755)
    return app


def with_tun(mode, *command):
    """That command where /dev/net/tun has this mode, in a namespace without interfaces."""
    return ["unshare", "--mount", "--net", "sh", "-c", f"mount -t tmpfs tmpfs /dev/net && mknod /dev/net/tun c 10 200 && "
            f'chmod {mode} /dev/net/tun && exec "$@"', "sh", *map(str, command)]


def run_for_nobody(app, *arguments):
    return [*NOBODY, MORGANA, "run", app.source, "-o", app.build_folder, "--network", "tap", *arguments]


def test_run_without_privileges_says_exactly_what_to_run():
    app = website_for_everyone()
    done = subprocess.run(with_tun("600", *run_for_nobody(app)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=RUN_SECONDS, env=dict(os.environ, NO_COLOR="1"))
    assert done.returncode == 125, done.stdout
    assert "sudo ip tuntap add dev morgana0 mode tap user $USER" in done.stdout
    assert "sudo chmod 0666 /dev/net/tun" in done.stdout
    assert "--network tap:morgana0" in done.stdout


def test_run_without_privileges_takes_namespaces_of_its_own_where_it_may():
    app = website_for_everyone()
    with Process(with_tun("666", *run_for_nobody(app)), env=dict(os.environ, NO_COLOR="1")) as guest:
        guest.wait_for("listening on")
        reach = guest.wait_for(r"nsenter (--preserve-credentials -U -n -t \d+) curl")[1].split()
        done = subprocess.run([*NOBODY, "nsenter", *reach, "curl", "-sS", "--max-time", str(RUN_SECONDS),
                               f"http://{V4}:8080/bench.html"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.stdout == (HTDOCS / "bench.html").read_bytes(), done.stderr.decode()
        guest.stop().expect(0)
    assert "morgana" not in subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize("text, why", [
    ("veth", "neither a tap nor a descriptor"), ("user,forward=80", "two ports"), ("user,host=10.0.0.1/24", "not known here"),
    ("user", "no user-mode networks"), ("=tap", "no name before"), ("tap:", "no interface after"),
    ("fd:x", "no descriptor"), ("tap,mtu=60", "mtu is not between"), ("tap,speed=9", "`speed=9` is not known"),
    ("fd:9,host=10.0.0.1/24", "is not open"), ("tap,host=10.0.0.1", "no IPv4 address with a prefix"),
])
def test_a_network_that_cannot_be_is_refused_with_what_to_write(text, why):
    ended = website().run(driver=("--network", text)).expect(125)
    assert why in ended.output


def test_addresses_that_cannot_be_end_the_guest_with_one_line():
    app = built(STREAMS)

    def work():
        linux_side()
        for argument, why in (("--network.ipv4=10.0.0.255/24", "ipv4: 10.0.0.255/24 is no address that a host can have"),
                              ("--network.gateway=10.9.9.9", "gateway: 10.9.9.9 is on none of the networks"),
                              ("--network.mtu=9000", "mtu: 9000 is not between")):
            ended = app.run(argument, driver=("--network", "tap:guest0")).expect(65)
            assert why in ended.output and "start → network" in ended.output

    OwnNamespace(work)


def test_a_download_arrives_whole_through_faults_around_the_device():
    app = built(STREAMS, choices=["--network_device.wrap=faults"])
    size = 3 * MEGABYTE
    expected = (BLOCK * (size // len(BLOCK) + 1))[:size]

    def work():
        linux_side()
        faults = [f"--network_device_faults.{kind}-ppm=5000" for kind in ("loss", "duplicate", "swap", "damage")]
        with app.start(*faults, driver=("--network", "network_device=tap:guest0")) as guest:
            guest.wait_for("ready")
            with connect(V4, 19) as down:
                down.sendall(b"%d\n" % size)
                got = receive_all(down)
                assert len(got) == size and zlib.crc32(got) == zlib.crc32(expected)
            guest.stop().expect(0)

    OwnNamespace(work)
