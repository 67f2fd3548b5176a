#!/usr/bin/env python3
"""Runs one guest as the only domain of real Xen, its dom0, in an emulated machine: hypercalls, events and time of Xen's in
a second and without Linux. xen-x86-runner starts this as the guest's process.

The console is Xen's, without the lines of Xen itself. The control socket is the machine's second serial port: "s" asks for
an orderly end, and "exit N" is said at the end. "k" is this program's."""
import argparse
import json
import os
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import time

from dom0 import BenchError
from machine import EMULATOR, LOG_LINES_SHOWN, PROCESSOR, with_parent
from xen_bench import kept_machine

BOOT_SECONDS = 120
# What Xen needs for itself and the guest's tables, MiB.
XEN_MIB = 256
XEN = "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=none dom0=pvh spec-ctrl=no bootscrub=0"
# The last that Xen says before the guest runs.
STARTED = b"Serial input to DOM0"


class Console:
    """What the guest says of what the port says."""

    def __init__(self):
        self.pending, self.log, self.has_started = b"", b"", False

    def feed(self, data):
        self.pending += data.replace(b"\r", b"")
        said = b""
        while self.pending:
            if b"(XEN) ".startswith(self.pending[:6]):
                if b"\n" not in self.pending:
                    break
                line, self.pending = self.pending.split(b"\n", 1)
                self.log = (self.log + line + b"\n")[-16384:]
                self.has_started = self.has_started or STARTED in line
            else:
                end = self.pending.find(b"\n") + 1 or len(self.pending)
                piece, self.pending = self.pending[:end], self.pending[end:]
                # Before the guest runs it is the loader that speaks.
                said += piece if self.has_started else b""
        return said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--core", required=True, help="the program xen-core")
    parser.add_argument("guest", type=json.loads)
    asked = parser.parse_args()
    what, control = asked.guest, socket.socket(fileno=asked.control)
    folder = kept_machine(asked.core)
    memory = max(what["memory_kib"] // 1024, 1)
    console, serial = socket.socketpair()
    port, second = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="morgana-xen-") as links:
        (pathlib.Path(links) / "guest").symlink_to(what["image"])
        module = f"guest {what['command_line']}".replace(",", ",,")
        machine = subprocess.Popen(
            [EMULATOR, "-M", "q35", "-accel", "tcg", "-cpu", PROCESSOR, "-m", str(XEN_MIB + memory), "-device", "intel-iommu",
             "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot",
             "-chardev", f"socket,id=console,fd={serial.fileno()}", "-serial", "chardev:console",
             "-chardev", f"socket,id=control,fd={second.fileno()}", "-serial", "chardev:control",
             "-kernel", str(folder / "xen"), "-append", f"{XEN} dom0_mem={memory}M", "-initrd", module],
            cwd=links, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            pass_fds=[serial.fileno(), second.fileno()], preexec_fn=with_parent)
        serial.close(), second.close()
        try:
            move(machine, console, port, control)
        finally:
            machine.kill()
            machine.wait()
    return 0


def move(machine, console, port, control):
    """Moves console, input and requests until the machine has ended."""
    guest = Console()
    until = time.monotonic() + BOOT_SECONDS
    inputs = [console, port, control, sys.stdin]
    while console in inputs:
        left = None if guest.has_started else max(until - time.monotonic(), 0)
        readable = select.select(inputs, [], [], left)[0]
        if not readable and not guest.has_started:
            raise BenchError(f"Xen did not start the guest in {BOOT_SECONDS} s; its log ends so:\n{guest.log.decode()}")
        for source in readable:
            data = os.read(source.fileno(), 65536)
            if not data:
                inputs.remove(source)
            elif source is console:
                sys.stdout.buffer.write(guest.feed(data))
                sys.stdout.flush()
            elif source is port:
                control.sendall(data)
            elif source is sys.stdin:
                console.sendall(data)
            elif b"k" in data:
                return
            else:
                port.sendall(data)
    if not guest.has_started:
        said = machine.stderr.read().decode(errors="replace")
        lines = (said + guest.log.decode(errors="replace")).splitlines()[-LOG_LINES_SHOWN:]
        raise BenchError("Xen ended before it started the guest:\n" + "\n".join(lines))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"xen bench: {error}", file=sys.stderr)
        sys.exit(1)
