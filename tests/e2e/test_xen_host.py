"""`morgana run` on a Xen host: what it tells xl and xenstore, which are programs of the test's here."""
import json
import os
import pty
import socket
import subprocess
import sys
import time

import pytest
import xen_dump
from support import ROOT

HOST = ROOT / "plugins/xen/bench/xen_host.py"
SECONDS = 60

# A domain 7 with a pseudo-terminal of the test's. What xl is told is written down; the domain ends when it is shut down
# or destroyed, or when the test says so.
XL = """#!/bin/sh
echo "xl $*" >> "$FAKE/calls"
case $1 in
  create)
    cp "$4" "$FAKE/cfg"
    [ ! -e "$FAKE/refused" ] || { echo "libxl: error: no such kernel"; exit 3; }
    echo "Parsing config from $4"
    echo "Waiting for domain guest (domid 7) to die [pid 1]"
    until [ -e "$FAKE/ended" ]; do sleep 0.02; done
    echo "Domain 7 has shut down, reason code 0 0x0" ;;
  shutdown | destroy) : > "$FAKE/ended" ;;
  dump-core) cp "$FAKE/dump" "$3" ;;
esac
"""
XENSTORE_READ = """#!/bin/sh
case $1 in
  /local/domain/7/console/tty) cat "$FAKE/tty" ;;
  /local/domain/7/data/exit-status) cat "$FAKE/status" ;;
  *) exit 1 ;;
esac
"""
XENSTORE_WRITE = """#!/bin/sh
echo "xenstore-write $*" >> "$FAKE/calls"
"""


class Host:
    def __init__(self, folder):
        self.folder = folder
        self.terminal, end = pty.openpty()
        (folder / "tty").write_text(os.ttyname(end))
        (folder / "status").write_text("42\n")
        for name, text in (("xl", XL), ("xenstore-read", XENSTORE_READ), ("xenstore-write", XENSTORE_WRITE)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def start(self, networks=(), disks=(), hold_crashed=False):
        self.control, theirs = socket.socketpair()
        guest = {"name": "web", "image": "/images/web.elf", "memory_kib": 32768, "command_line": 'a "b"',
                 "networks": list(networks), "disks": list(disks), "hold_crashed": hold_crashed}
        environment = dict(os.environ, FAKE=str(self.folder), PATH=f"{self.folder}:{os.environ['PATH']}")
        process = subprocess.Popen([sys.executable, "-B", HOST, "--control", str(theirs.fileno()), json.dumps(guest)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env=environment, pass_fds=[theirs.fileno()])
        theirs.close()
        return process

    def calls(self):
        path = self.folder / "calls"
        return path.read_text() if path.exists() else ""

    def run(self, **devices):
        """A guest that says something and ends."""
        process = self.start(**devices)
        self.wait_for_call("xl unpause 7")
        os.write(self.terminal, b"said by the guest\n")
        (self.folder / "ended").touch()
        return process.communicate(timeout=SECONDS)[0]

    def wait_for_call(self, what):
        until = time.monotonic() + SECONDS
        while what not in self.calls():
            assert time.monotonic() < until, f"xl was not told `{what}`, but:\n{self.calls()}"
            time.sleep(0.02)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_a_guest_runs_to_its_end(host):
    said = host.run()
    assert "said by the guest" in said
    assert host.control.recv(100) == b"exit 42\n"
    assert "xl destroy 7" in host.calls()


def test_the_configuration_has_bridges_and_disks(host):
    host.run(networks=[{"name": "", "bridge": "xenbr0", "mac": "02:00:00:00:00:05", "mtu": 1500}],
             disks=[{"name": "a", "path": "/d/a.img", "read_only": False, "sector_bytes": 512},
                    {"name": "b", "path": "/d/b.img", "read_only": True, "sector_bytes": 512}])
    lines = (host.folder / "cfg").read_text().splitlines()
    assert 'kernel = "/images/web.elf"' in lines and 'extra = "a \\"b\\""' in lines and "memory = 32" in lines
    assert 'vif = ["mac=02:00:00:00:00:05,bridge=xenbr0,mtu=1500"]' in lines
    assert 'disk = ["format=raw,vdev=xvda,access=rw,backendtype=phy,target=/d/a.img", ' \
           '"format=raw,vdev=xvdb,access=ro,backendtype=phy,target=/d/b.img"]' in lines
    assert "xenstore-write /local/domain/7/data/disks/b 51728\n" in host.calls()


@pytest.mark.parametrize("asked, told", [(b"s", "xl shutdown 7"), (b"k", "xl destroy 7")])
def test_stop_and_kill_are_xls(host, asked, told):
    process = host.start()
    host.wait_for_call("xl unpause 7")
    host.control.sendall(asked)
    host.wait_for_call(told)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def test_a_core_is_xls_made_for_gdb(host):
    (host.folder / "dump").write_bytes(xen_dump.one_page(0x1000, b"memory"))
    process = host.start()
    host.wait_for_call("xl unpause 7")
    for path, answer in ((host.folder / "core", b"core\n"), (host.folder / "nowhere/core", b"nocore [Errno 2]")):
        host.control.sendall(f"c {path}\n".encode())
        assert host.control.recv(1000).startswith(answer)
    assert b"memory" in (host.folder / "core").read_bytes()
    assert host.calls().count("xl pause 7\nxl dump-core 7 ") == 2 and host.calls().endswith("xl unpause 7\n")
    host.control.sendall(b"k")
    process.communicate(timeout=SECONDS)


@pytest.mark.parametrize("status, is_held", [("70", True), ("71", True), ("", True), ("0", False)])
def test_a_crashed_guest_is_held_until_its_core_is_made(host, status, is_held):
    (host.folder / "dump").write_bytes(xen_dump.one_page(0x1000, b"memory"))
    (host.folder / "status").write_text(status)
    process = host.start(hold_crashed=True)
    host.wait_for_call("xl unpause 7")
    (host.folder / "ended").touch()
    if is_held:
        assert host.control.recv(100) == b"crashed\n"
        host.control.sendall(f"c {host.folder / 'core'}\n".encode())
        assert host.control.recv(100) == b"core\n"
        assert "xl destroy 7" not in host.calls()
        host.control.sendall(b"e")
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and "xl destroy 7" in host.calls()
    assert (host.folder / "core").exists() == is_held


def test_a_guest_that_was_killed_is_not_held(host):
    (host.folder / "status").write_text("")
    process = host.start(hold_crashed=True)
    host.wait_for_call("xl unpause 7")
    host.control.sendall(b"k")
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def test_a_refusal_of_xls_is_shown(host):
    (host.folder / "refused").touch()
    process = host.start()
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and "no such kernel" in said


def test_a_guest_does_not_outlive_its_runner(host):
    process = host.start()
    host.wait_for_call("xl unpause 7")
    process.kill()
    process.communicate(timeout=SECONDS)
    host.wait_for_call("xl destroy web-")
