"""What scripts/bench tap measures: guests over tap with Linux as the peer, and Linux with Linux over veth, in turns, in
namespaces of the benchmark's own.

CPU time is that of the processes at both ends, as the scheduler counts it (/proc/PID/schedstat, wait4). The kernel's
work for an interface is done in the context of whoever sent and so is in it; what it leaves to ksoftirqd is not, on
neither side. Both ends use CUBIC."""
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from namespaces import OwnNamespace, ip  # noqa: E402

TUNSETIFF, TAP, NO_INFORMATION, VNET_HEADER = 0x400454ca, 0x0002, 0x1000, 0x4000
SIOCETHTOOL = 0x8946
OFFLOADS = {"tx": 0x17, "sg": 0x19, "tso": 0x1f, "gso": 0x24, "gro": 0x2c}   # ETHTOOL_S...
GUEST, HOST = "10.0.0.2", "10.0.0.1"


def need(name, package):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        sys.exit(f"bench: {name} is not there: apt-get install {package}")
    return found


def cpu_seconds(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) * 1e-9


def open_tap(name, with_header):
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = TAP | NO_INFORMATION | (VNET_HEADER if with_header else 0)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH14x", name.encode(), flags))
    return descriptor


def address(interface, own):
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{own}/24", "dev", interface)
    ip("link", "set", interface, "up")


class Guest:
    """An image whose network is that descriptor."""

    def __init__(self, image, descriptor, with_header, *arguments):
        variable = f"fd:{descriptor},mac=02:00:00:00:00:02,mtu=1500,vnet={int(with_header)}"
        self.process = subprocess.Popen([str(image), *arguments], pass_fds=[descriptor], stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, MORGANA_NETWORK=variable))
        for line in self.process.stdout:
            if "listening on" in line:
                return
        sys.exit(f"bench: {image} ended with {self.process.wait()} before it listened")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.close()
        self.process.wait(20)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)


class OtherNamespace:
    """A second namespace; `inside` runs a program there."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
        ours = os.stat("/proc/thread-self/ns/net").st_ino
        for _ in range(200):
            if os.stat(f"/proc/{self.holder.pid}/ns/net").st_ino != ours:
                return
            time.sleep(0.02)
        sys.exit("bench: no second network namespace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()

    def inside(self, *words):
        return ["nsenter", f"--target={self.holder.pid}", "--net", *map(str, words)]


def set_offloads(interface, on):
    with socket.socket() as any_socket:
        for command in OFFLOADS.values():
            value = ctypes.create_string_buffer(struct.pack("II", command, int(on)), 8)
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def veth(other, offloads):
    ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
    if not offloads:
        set_offloads("veth0", False)
        set_offloads("veth1", False)
    ip("link", "set", "veth1", "netns", str(other.holder.pid))
    address("veth0", HOST)
    for words in (("link", "set", "lo", "up"), ("address", "add", f"{GUEST}/24", "dev", "veth1"), ("link", "set", "veth1", "up")):
        subprocess.run(other.inside("ip", *words), check=True)


def waited(process):
    """CPU seconds and output of a process that ends by itself."""
    output = process.stdout.read()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench: {process.args} ended with {process.returncode}\n{output}")
    return used.ru_utime + used.ru_stime, output


def iperf3_client(*words):
    process = subprocess.Popen([need("iperf3", "iperf3"), "-c", GUEST, "-C", "cubic", "--json", *map(str, words)],
                               stdout=subprocess.PIPE, text=True)
    spent, output = waited(process)
    return spent, json.loads(output)["end"]["sum_received"]["bytes"]


def iperf3_server(other):
    process = subprocess.Popen(other.inside(need("iperf3", "iperf3"), "-s", "-1", "--forceflush"), stdout=subprocess.PIPE,
                               text=True)
    for line in process.stdout:
        if "listening" in line:
            return process
    sys.exit("bench: iperf3 does not listen")


def in_namespace(work):
    """What `work` gives in a namespace that goes with it."""
    given = []
    OwnNamespace(lambda: given.append(work()))
    return given[0]


def bulk_over_tap(image, offloads, *direction):
    def work():
        descriptor = open_tap("guest0", offloads)
        address("guest0", HOST)
        try:
            with Guest(image, descriptor, offloads) as guest:
                iperf3_client("-n", "1M", *direction)
                before = guest.cpu_seconds()
                spent, count = iperf3_client("-t", 2, *direction)
                return 8e-9 * count / (spent + guest.cpu_seconds() - before)
        finally:
            os.close(descriptor)
    return in_namespace(work)


def bulk_over_veth(offloads, *direction):
    def work():
        with OtherNamespace() as other:
            veth(other, offloads)
            server = iperf3_server(other)
            spent, count = iperf3_client("-t", 2, *direction)
            return 8e-9 * count / (spent + waited(server)[0])
    return in_namespace(work)


def wrk(*more):
    words = ["taskset", "-c", "1", need("wrk", "wrk"), "-t1", "-c64", "-d3s", *more, f"http://{GUEST}:8080/bench.html"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if done.returncode != 0 or "Non-2xx" in done.stdout:
        sys.exit(f"bench: the server failed under load\n{done.stdout}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]), int(re.search(r"(\d+) requests in", done.stdout)[1])


def http_over_tap(image, *more):
    def work():
        descriptor = open_tap("guest0", True)
        address("guest0", HOST)
        try:
            with Guest(image, descriptor, True) as guest:
                os.sched_setaffinity(guest.process.pid, {0})
                before = guest.cpu_seconds()
                rate, count = wrk(*more)
                return rate, count / (guest.cpu_seconds() - before)
        finally:
            os.close(descriptor)
    return in_namespace(work)


def http_over_veth(configuration, *more):
    def work():
        with OtherNamespace() as other:
            veth(other, True)
            server = subprocess.Popen(other.inside("taskset", "-c", "0", need("nginx", "nginx-light"), "-c", configuration))
            try:
                for _ in range(200):
                    try:
                        socket.create_connection((GUEST, 8080), timeout=1).close()
                        break
                    except OSError:
                        time.sleep(0.05)
                before = cpu_seconds(server.pid)
                rate, count = wrk(*more)
                return rate, count / (cpu_seconds(server.pid) - before)
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(20)
    return in_namespace(work)


# ---- goodput over a bad link --------------------------------------------------------------------------

def relayed(relay, a, b, seed, faults):
    process = subprocess.Popen([str(relay), str(a), str(b), "--seed", str(seed), *map(str, faults)], pass_fds=[a, b],
                               stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def rate_through_relay(direction):
    done = subprocess.run([need("iperf3", "iperf3"), "-c", GUEST, "-C", "cubic", "--json", "-t", "5", *direction],
                          stdout=subprocess.PIPE, text=True, timeout=120)
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]


def goodput_of_ours(image, relay, seed, faults, *direction):
    def work():
        tap = open_tap("relay0", False)
        address("relay0", HOST)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        process = relayed(relay, tap, ours.fileno(), seed, faults)
        try:
            with ours, theirs, Guest(image, theirs.fileno(), False):
                return rate_through_relay(direction)
        finally:
            os.close(tap)
            process.terminate()
            process.wait(20)
    return in_namespace(work)


def goodput_of_linux(relay, seed, faults, *direction):
    def work():
        taps = []
        with OtherNamespace() as other:
            taps.append(open_tap("relay0", False))
            address("relay0", HOST)
            taps.append(open_tap("relay1", False))
            ip("link", "set", "relay1", "netns", str(other.holder.pid))
            for words in (("address", "add", f"{GUEST}/24", "dev", "relay1"), ("link", "set", "relay1", "up")):
                subprocess.run(other.inside("ip", *words), check=True)
            process = relayed(relay, *taps, seed, faults)
            server = iperf3_server(other)
            try:
                rate = rate_through_relay(direction)
                server.wait(20)   # of one client, so that it ends by itself
                return rate
            finally:
                if server.poll() is None:
                    server.terminate()
                    server.wait(20)
                server.stdout.close()
                process.terminate()
                process.wait(20)
                for one in taps:
                    os.close(one)
    return in_namespace(work)


# ---- the rows -----------------------------------------------------------------------------------------

# One seed's losses favour one side by a tenth: the relay drops by the count of frames, and theirs are not ours.
SEEDS = 8
LINKS = [("0.1 % loss, 20 ms", ["--loss-ppm", 1000, "--delay-us", 10000, "--rate-mbit", 200, "--queue-kib", 512]),
         ("1 % loss, 20 ms", ["--loss-ppm", 10000, "--delay-us", 10000, "--rate-mbit", 200, "--queue-kib", 512])]


def write_cost(program):
    def work():
        descriptor = open_tap("guest0", False)
        address("guest0", HOST)
        try:
            done = subprocess.run([str(program), str(descriptor)], pass_fds=[descriptor], stdout=subprocess.PIPE, text=True,
                                  check=True, timeout=60)
            return float(done.stdout)
        finally:
            os.close(descriptor)
    return in_namespace(work)


def rows(iperf3_image, website_image, nginx_configuration, relay, write_cost_program, rounds):
    middle = statistics.median
    made = [("a frame of 1,514 bytes written to a tap that drops it", middle(write_cost(write_cost_program) for _ in range(rounds)),
             "ns", "")]
    for offloads in (True, False):
        for name, direction in (("Linux sends", ()), ("Linux receives", ("-R",))):
            turns = [(bulk_over_tap(iperf3_image, offloads, *direction), bulk_over_veth(offloads, *direction))
                     for _ in range(rounds)]
            label = f"bulk over tap, {name}, {'offloads' if offloads else 'a frame a packet'}"
            made.append((label, middle(one for one, _ in turns), "Gbit/CPU-s", "≥ 34" if offloads else "≥ 6.5"))
            made.append((f"{label}: Linux-Linux over veth", middle(one for _, one in turns), "Gbit/CPU-s", ""))
            made.append((f"{label}: ratio, median of turns", middle(a / b for a, b in turns), "×", "≥ 1"))
    for name, more, promise in (("keep-alive", (), "≥ 2"), ("new connections", ("-H", "Connection: close"), "≥ 3")):
        turns = [(http_over_tap(website_image, *more), http_over_veth(nginx_configuration, *more)) for _ in range(rounds)]
        for label, which in (("requests/s", 0), ("requests per CPU-second of the server", 1)):
            made.append((f"HTTP over tap, {name}, {label}", middle(one[which] for one, _ in turns), "/s", ""))
            made.append((f"HTTP, {name}, {label}: nginx over veth", middle(one[which] for _, one in turns), "/s", ""))
            made.append((f"HTTP, {name}, {label}: ratio, median of turns", middle(a[which] / b[which] for a, b in turns), "×",
                         promise))
    for name, faults in LINKS:
        for direction, more in (("we receive", ()), ("we send", ("-R",))):
            turns = [(goodput_of_ours(iperf3_image, relay, seed, faults, *more), goodput_of_linux(relay, seed, faults, *more))
                     for seed in range(1, SEEDS + 1)]
            ours, theirs = (statistics.mean(side) for side in zip(*turns))
            made.append((f"goodput, {name}, {direction}", ours / 1e6, "Mbit/s", ""))
            made.append((f"goodput, {name}, {direction}: of Linux-Linux, all seeds", 100 * ours / theirs, "%", "≥ 95"))
    return made
