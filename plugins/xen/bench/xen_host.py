#!/usr/bin/env python3
"""Runs one guest on this host's Xen by xl: xen-x86-runner starts this where it runs in a dom0.

Standard output and input are the guest's console. On the control socket "s" asks for an orderly end, "k" for one at once, "c
PATH" for a core, which "core" or "nocore WHY" answers, and "exit N" is said at the end; before that, of a guest that crashed
and is to be held, "crashed", and then "e" is waited for. The guest never outlives this process: another one, of a session of
its own, waits for this one's end and destroys what is left. Status 1 with a message: xl did not run the guest."""
import argparse
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tty

import guest
import xen_core

CREATE_SECONDS = 120
COMMAND_SECONDS = 60
CONSOLE_SECONDS = 20
# xenconsoled takes up to 30 pieces in 200 ms and then waits for their end.
LAST_WORDS_SECONDS = 0.5
CONSOLE_BYTES_MAX = 1 << 16
HELD_SECONDS = 120
# Exit statuses that are crashes (docs/exit-codes.md); a guest that said none has crashed, too.
CRASHED = (70, 71, None)


class HostError(Exception):
    pass


def run(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        raise HostError(f"`{' '.join(command)}` did not end in {COMMAND_SECONDS} s") from None
    if done.returncode != 0:
        raise HostError(f"`{' '.join(command)}` failed: {done.stdout.strip()[-2000:]}")
    return done.stdout.strip()


class Guardian:
    """Destroys the guest when this process is gone, however it went."""

    def __init__(self, name):
        ours, self.end = os.pipe()
        os.set_inheritable(ours, True)
        script = f'read -r done <&{ours}; [ "$done" = ended ] || xl destroy "$0" 2>/dev/null'
        self.process = subprocess.Popen(["sh", "-c", script, name], pass_fds=[ours], start_new_session=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(ours)

    def dismiss(self):
        os.write(self.end, b"ended\n")
        self.process.wait()


class Domain:
    """A guest that xl created and that is paused."""

    def __init__(self, configuration):
        self.xl = subprocess.Popen(["xl", "create", "-F", "-p", configuration], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.is_destroyed = False
        self.number = self.wait_for_creation()
        self.place = f"/local/domain/{self.number}"
        self.console = self.open_console()

    def wait_for_creation(self):
        said, until = b"", time.monotonic() + CREATE_SECONDS
        while not (found := re.search(rb"^Waiting for domain .*\(domid (\d+)\)", said, re.MULTILINE)):
            left = until - time.monotonic()
            data = os.read(self.xl.stdout.fileno(), 65536) if select.select([self.xl.stdout], [], [], max(left, 0))[0] else None
            if not data:
                self.xl.kill()
                why = "ended" if data == b"" else f"did not create the guest in {CREATE_SECONDS} s"
                raise HostError(f"xl {why}:\n{said.decode(errors='replace')[-2000:]}")
            said += data
        return int(found[1])

    def open_console(self):
        until = time.monotonic() + CONSOLE_SECONDS
        while time.monotonic() < until:
            try:
                if path := run("xenstore-read", f"{self.place}/console/tty"):
                    console = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
                    tty.setraw(console)
                    return console
            except HostError:
                pass
            time.sleep(0.02)
        raise HostError(f"xenconsoled gave the guest no console in {CONSOLE_SECONDS} s")

    def obey(self, request, control):
        """Of what stands on the control socket, a core is the one thing that is answered."""
        if not request.startswith(b"c "):
            self.is_destroyed = self.is_destroyed or b"k" in request
            run("xl", "destroy" if b"k" in request else "shutdown", str(self.number))
            return
        path = os.fsdecode(request[2:].rstrip(b"\n"))
        try:
            with tempfile.NamedTemporaryFile(prefix="morgana-xl-core-") as dump:
                run("xl", "pause", str(self.number))
                try:
                    run("xl", "dump-core", str(self.number), dump.name)
                finally:
                    run("xl", "unpause", str(self.number))
                xen_core.convert(dump.fileno(), path)
        except (HostError, *xen_core.FAILURES) as error:
            control.sendall(b"nocore " + str(error).replace("\n", " ").encode() + b"\n")
        else:
            control.sendall(b"core\n")

    def exit_status(self):
        try:
            status = run("xenstore-read", f"{self.place}/data/exit-status")
        except HostError:
            return None
        return int(status) if status.isdecimal() else None


def move(domain, control):
    """Moves console, input and requests until xl says that the guest has ended and its console is silent."""
    console, xl = domain.console, domain.xl.stdout.fileno()
    inputs = [console, xl, control.fileno(), sys.stdin.fileno()]
    to_guest = b""
    while True:
        wanted = [one for one in inputs if one != sys.stdin.fileno() or len(to_guest) < CONSOLE_BYTES_MAX]
        readable, writable, _ = select.select(wanted, [console] if to_guest else [], [],
                                              None if xl in inputs else LAST_WORDS_SECONDS)
        if xl not in inputs and console not in readable:
            return
        if writable:
            to_guest = to_guest[os.write(console, to_guest[:1024]):]
        for source in readable:
            data = read(source)
            if source == console:
                sys.stdout.buffer.write(data)
                sys.stdout.flush()
            elif source == sys.stdin.fileno():
                to_guest += data
            elif source == control.fileno() and data:
                domain.obey(data, control)
            if not data:
                inputs.remove(source)


def hold(domain, control):
    """A crashed guest, until its core is made."""
    control.sendall(b"crashed\n")
    until = time.monotonic() + HELD_SECONDS
    while select.select([control], [], [], max(until - time.monotonic(), 0))[0]:
        request = control.recv(CONSOLE_BYTES_MAX)
        if not request.startswith(b"c "):
            return
        domain.obey(request, control)


def read(descriptor):
    try:
        return os.read(descriptor, CONSOLE_BYTES_MAX)
    except OSError:             # a pseudo-terminal whose other side is closed
        return b""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("guest", type=json.loads)
    asked = parser.parse_args()
    what = asked.guest
    control = socket.socket(fileno=asked.control)
    name = f"{what['name']}-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="morgana-xl-") as folder:
        path = pathlib.Path(folder) / "guest.cfg"
        path.write_text(guest.configuration(
            name, what["image"], what["memory_kib"], what["command_line"],
            [guest.interface(one, one["bridge"], None) for one in what["networks"]],
            [guest.disk(number, one["path"], one["read_only"], None) for number, one in enumerate(what["disks"])]))
        guardian = Guardian(name)
        domain = Domain(str(path))
    for kind, device, number in guest.names(what["disks"]):
        run("xenstore-write", f"{domain.place}/data/{kind}/{device}", str(number))
    run("xl", "unpause", str(domain.number))
    move(domain, control)
    status = domain.exit_status()
    if what["hold_crashed"] and status in CRASHED and not domain.is_destroyed:
        hold(domain, control)
    try:
        run("xl", "destroy", str(domain.number))
    except HostError:
        pass                    # it is destroyed already
    guardian.dismiss()
    if status is not None:
        control.sendall(f"exit {status}\n".encode())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (HostError, OSError, subprocess.SubprocessError) as error:
        print(f"xen host: {error}", file=sys.stderr)
        sys.exit(1)
