#!/usr/bin/python3
"""Counts the instructions of a guest on real Xen: those at its own addresses, by QEMU's counting plugin
(tests/e2e/count_instructions.c), read between requests. Prints a line of JSON for each number. Needs root: the network is a
tap in a namespace of its own. `scripts/bench xen` runs it."""
import http.client
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/e2e"))
from namespaces import OwnNamespace                                     # noqa: E402
from support import built                                               # noqa: E402
from test_direct_network import V4, connect, linux_side, receive_all    # noqa: E402
from test_xen_bench import FIRST_SECONDS, RUN_SECONDS                   # noqa: E402
from test_xen_network import direct                                     # noqa: E402

# Of morgana.layout=fixed (targets/xen/x86_64/boot.cpp).
LOW, HIGH = 1 << 39, (1 << 39) + (4 << 20)
REQUESTS, CONNECTIONS, BYTES = 300, 100, 4 << 20
WRAPPER = """#!/bin/sh
# The machine that is resumed counts; the one that boots dom0 does not.
case " $* " in *" -incoming "*) exec {emulator} "$@" -plugin {plugin},low={low},high={high},live={live},each={each};; esac
exec {emulator} "$@"
"""


class Counter:
    """A folder whose qemu-system-x86_64 counts."""

    def __init__(self, folder):
        self.live = folder / "count"
        self.each = folder / "each"
        plugin = folder / "count.so"
        subprocess.run(["clang-22", "-O2", "-shared", "-fPIC", "-o", plugin, ROOT / "tests/e2e/count_instructions.c"],
                       check=True, timeout=60)
        emulator = shutil.which("qemu-system-x86_64")
        assert emulator, "install it: apt-get install qemu-system-x86"
        wrapper = folder / "qemu-system-x86_64"
        wrapper.write_text(WRAPPER.format(emulator=emulator, plugin=plugin, low=LOW, high=HIGH, live=self.live, each=self.each))
        wrapper.chmod(0o755)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def read(self):
        return struct.unpack_from("<Q", self.live.read_bytes())[0]


def say(what, value):
    print(json.dumps({"what": what, "value": value}), flush=True)


def measured(app, ready, work):
    def inside():
        linux_side()
        with app.start("morgana.layout=fixed", driver=("--network", "tap:guest0")) as guest:
            guest.wait_for(ready, FIRST_SECONDS)
            work()
            guest.stop(RUN_SECONDS).expect(0)

    OwnNamespace(inside)


def website(count):
    say("start-up with a network, until the server listens", count.read())
    peer = http.client.HTTPConnection(V4, 8080, timeout=RUN_SECONDS)

    def request(connection, *more):
        connection.request("GET", "/bench.html", None, *more)
        assert len(connection.getresponse().read()) == 612

    def connection(*more):
        one = http.client.HTTPConnection(V4, 8080, timeout=RUN_SECONDS)
        request(one, *more)
        one.close()

    def each(what, times, work):
        work(0)
        before = count.read()
        for number in range(1, times + 1):
            work(number)
        say(what, (count.read() - before) / times)

    # No two of those that differ are the same: the field X-Number is another each time.
    each("an HTTP keep-alive request of 612 bytes", REQUESTS, lambda number: request(peer))
    each("an HTTP keep-alive request of 612 bytes, each another", REQUESTS,
         lambda number: request(peer, {"X-Number": str(1000 + number)}))
    each("a connection with one request", CONNECTIONS, lambda number: connection())
    each("a connection with one request, each another", CONNECTIONS,
         lambda number: connection({"X-Number": str(1000 + number)}))


def received(count):
    with connect(V4, 9) as into:
        before = count.read()
        into.sendall(bytes(BYTES))
        into.shutdown(socket.SHUT_WR)
        assert receive_all(into) == b""
        say("a byte received, by an application that discards it", (count.read() - before) / BYTES)
    with connect(V4, 20) as up:
        before = count.read()
        up.sendall(bytes(BYTES))
        up.shutdown(socket.SHUT_WR)
        receive_all(up)
        say("a byte received, checksum by the application included", (count.read() - before) / BYTES)


def main():
    with tempfile.TemporaryDirectory(prefix="morgana-bench-xen-") as top:
        folder = pathlib.Path(top)
        count = Counter(folder)
        site = direct(ROOT / "examples/static_website", folder)
        [image] = (site.build_folder / "xen-x86").glob("*.elf")
        say("image of the website with TCP/IP, bytes", image.stat().st_size)
        smallest = built(folder / "static_website-xen", "xen-x86", ("--small=true",))
        [image] = (smallest.build_folder / "xen-x86").glob("*.elf")
        say("the same with the setting `small`, bytes", image.stat().st_size)
        measured(site, "listening on", lambda: website(count))
        count.live.unlink()
        measured(direct(ROOT / "tests/e2e/apps/streams", folder), "ready", lambda: received(count))


if __name__ == "__main__":
    main()
