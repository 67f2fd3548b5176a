#!/usr/bin/env python3
"""Runs one guest on real Xen, in an emulated machine: xen-x86-runner starts this as the guest's process.

Xen and a Linux dom0 are booted once; the machine's memory and state are kept in the cache, and each guest gets a copy of
them, which takes half a second. Standard output and input are the guest's console. On the control socket "s" asks for an
orderly end, "k" for one at once, "c PATH" for a core, which "core" or "nocore WHY" answers, and "exit N" is said at the end;
before that, of a guest that crashed and is to be held, "crashed", and then "e" is waited for. Status 1 with a message: the
bench itself failed."""
import argparse
import fcntl
import hashlib
import io
import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

import dom0
import guest
import xen_core
from dom0 import BenchError
from machine import DISKS, EMULATOR, NETWORKS, PAYLOAD_PLACE, Drive, Machine
from trunk import Trunk

IMAGE_MIB_MAX = 16
# In the cache, 260 MB each.
KEPT_MACHINES_MAX = 4
# Generous: a slow machine is no failure.
BOOT_SECONDS = 300
STEP_SECONDS = 120
SAID_LINES_MAX = 100
# Exit statuses that are crashes (docs/exit-codes.md); a guest that said none has crashed, too.
CRASHED = (70, 71, None)
HELD = "what is to become of the crashed guest"
CONSOLE_BYTES_MAX = 1 << 16
TRUNK_MTU = 9216
# What dom0 says, and what is to come then.
FOLLOWING = {"@@HAVE": "the guest's image in dom0", "@@UNPACKED": "the guest's creation by xl", "@@RUNNING": None}
XEN = "console=com1 com1=115200,8n1 dom0_mem=192M spec-ctrl=no bootscrub=0"
LINUX = "console=hvc0 quiet mitigations=off init_on_alloc=0 audit=0 nowatchdog ipv6.disable=1 " \
        f"NETWORKS={NETWORKS} TRUNK_MTU={TRUNK_MTU}"


def boot(folder):
    """Boots dom0 and keeps the machine as the files memory and state, and Xen for guests that are the only domain."""
    machine = Machine(folder, True, [], ["-kernel", "xen", "-append", XEN, "-initrd", f"vmlinux {LINUX},dom0.cpio"])
    try:
        machine.wait_for_line("@@READY", BOOT_SECONDS)
        machine.save()
    finally:
        machine.kill()
    for done_with in ("vmlinux", "dom0.cpio"):
        (folder / done_with).unlink()


def hold(machine):
    """Keeps its folder from being removed as long as this process lives."""
    held = os.open(machine, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_SH)
    os.utime(held)


def remove_oldest(cache):
    """Makes room for one machine: those of other benches and emulators stay, but not all, and none that is in use."""
    kept = sorted((one for one in cache.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in kept[KEPT_MACHINES_MAX - 1:]:
        held = os.open(old, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
        except BlockingIOError:
            pass
        finally:
            os.close(held)


def kept_machine(core):
    """The folder of the machine as it is after boot; made when it is not there. `core` is the program xen-core."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "morgana/xen-bench"
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(subprocess.run([EMULATOR, "--version"], stdout=subprocess.PIPE, check=True).stdout)
    for source in (*dom0.SCRIPTS, "dom0.py", "machine.py", "xen_bench.py"):
        key.update((pathlib.Path(__file__).parent / source).read_bytes())
    key.update(pathlib.Path(core).read_bytes())
    folder = cache / key.hexdigest()[:16]
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "state").exists():
            print("xen bench: boots a dom0 from Debian packages, once", file=sys.stderr, flush=True)
            remove_oldest(cache)
            made = pathlib.Path(tempfile.mkdtemp(dir=cache))
            dom0.build(made, core)
            boot(made)
            made.rename(folder)
        hold(folder)
    return folder


def payload_of(image, configuration, names, core_bytes=0):
    """The guest, its configuration and its devices' names as a disk with room for a core: the disk, and how much of it
    counts."""
    if len(image) > IMAGE_MIB_MAX << 20:
        raise BenchError(f"the image is larger than the {IMAGE_MIB_MAX} MiB that the bench takes")
    disk = tempfile.TemporaryFile()
    lines = "".join(f"{kind} {name} {number}\n" for kind, name, number in names)
    with tarfile.open(fileobj=disk, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (("guest.elf", image), ("guest.cfg", configuration.encode()), ("names", lines.encode())):
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    disk.flush()
    size = os.fstat(disk.fileno()).st_size
    disk.truncate(max(size, core_bytes))
    return disk, size


def drive_of(disk):
    """Opens a disk's file."""
    path, sector_bytes = disk["path"], disk["sector_bytes"]
    try:
        descriptor = os.open(path, os.O_RDONLY if disk["read_only"] else os.O_RDWR)
    except OSError as error:
        raise BenchError(f"disk `{disk['name']}`: cannot open {path}: {error.strerror}") from None
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size == 0 or size % sector_bytes:
        raise BenchError(f"disk `{disk['name']}`: {path} has {size} bytes, which is not a number of whole sectors of "
                         f"{sector_bytes}; make it longer: truncate -s %{sector_bytes} {path}")
    return Drive(descriptor, disk["read_only"], sector_bytes)


def user_network(number, forwards):
    """A network of the emulator's own behind address translation: our end of it, its end, and what tells the emulator."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ports = "".join(f",hostfwd=tcp:127.0.0.1:{host}-10.0.0.2:{guest}" for host, guest in forwards)
    return ours, theirs, ["-netdev", f"user,id=user{number},ipv6=off,net=10.0.0.0/24,host=10.0.0.1,dns=10.0.0.3{ports}",
                          "-netdev", f"hubport,hubid={number},id=inner{number},netdev=user{number}",
                          "-netdev", f"dgram,id=outer{number},local.type=fd,local.str={theirs.fileno()}",
                          "-netdev", f"hubport,hubid={number},id=hub{number},netdev=outer{number}"]


class Session:
    """A guest from its request to its end. Steps before it runs have deadlines, and so has its end when it was asked for."""

    def __init__(self, machine, trunk, control, disk, memory_kib, hold_crashed):
        """`disk` is that on which dom0 finds the guest, and leaves its cores."""
        self.machine, self.trunk, self.control = machine, trunk, control
        self.memory_kib = memory_kib
        self.disk, self.hold_crashed, self.is_held = disk, hold_crashed, False
        self.requests, self.core_path = bytearray(), None
        self.inputs = {control, sys.stdin.fileno()}
        self.to_guest, self.to_user = bytearray(), bytearray()
        self.said = []
        self.status = None
        self.over = self.is_killed = False
        self.await_step("dom0's answer")

    def await_step(self, what):
        """`what` comes next, or nothing that has to come in time; the end of a guest that is killed has to."""
        if self.is_killed:
            what = "the end of a destroyed guest"
        self.step, self.deadline = what, what and time.monotonic() + STEP_SECONDS

    def run(self):
        os.set_blocking(sys.stdout.fileno(), False)
        self.machine.console.setblocking(False)
        while not self.over:
            self.turn()
        os.set_blocking(sys.stdout.fileno(), True)
        # dom0 said the end after the console's last byte was on its way.
        try:
            while data := self.machine.console.recv(CONSOLE_BYTES_MAX):
                self.to_user += data
        except BlockingIOError:
            pass
        sys.stdout.buffer.write(self.to_user)
        sys.stdout.flush()
        return self.status

    def turn(self):
        machine, trunk = self.machine, self.trunk
        reading = [machine.commands, machine.serial, trunk.stream, *trunk.readable(), self.control]
        if len(self.to_user) < CONSOLE_BYTES_MAX:
            reading.append(machine.console)
        if len(self.to_guest) < CONSOLE_BYTES_MAX:
            reading.append(sys.stdin.fileno())
        reading = [one for one in reading if one in self.inputs or one not in (self.control, sys.stdin.fileno())]
        writing = [end for end, wanted in ((machine.console, self.to_guest), (sys.stdout.fileno(), self.to_user),
                                           (trunk.stream, trunk.wants_to_send())) if wanted] + trunk.queued()
        left = None if self.deadline is None else max(self.deadline - time.monotonic(), 0)
        readable, writable, _ = select.select(reading, writing, [], left)
        for end in readable:
            self.take(end)
        if trunk.stream in writable:
            trunk.send()
        for descriptor in trunk.queued():
            if descriptor in writable:
                trunk.give(descriptor)
        if machine.console in writable:
            del self.to_guest[:machine.console.send(self.to_guest)]
        if sys.stdout.fileno() in writable:
            del self.to_user[:os.write(sys.stdout.fileno(), self.to_user[:4096])]
        while (line := machine.next_line()) is not None:
            self.hear(line)
        if self.deadline is not None and time.monotonic() >= self.deadline and not self.over:
            raise machine.failure("\n".join([f"{self.step} did not come in time", *self.said]))

    def take(self, end):
        machine = self.machine
        if end is machine.serial:
            machine.collect_log()
        elif end is self.trunk.stream:
            if not self.trunk.receive():
                raise machine.ended()
        elif end in self.trunk.vlans:
            self.trunk.take(end)
        else:
            data = os.read(end if isinstance(end, int) else end.fileno(), CONSOLE_BYTES_MAX)
            if end is machine.commands or end is machine.console:
                if not data:
                    raise machine.ended()
                if end is machine.commands:
                    machine.said += data
                else:
                    self.to_user += data
            elif not data:
                self.inputs.discard(end)
            elif end is self.control:
                self.obey(data)
            else:
                self.to_guest += data

    def obey(self, data):
        self.requests += data
        while self.requests and not self.over:
            request, end = self.requests[:1], 1
            if request == b"c":
                if b"\n" not in self.requests:
                    return
                end = self.requests.index(b"\n") + 1
                self.take_core(os.fsdecode(bytes(self.requests[2:end - 1])))
            elif self.is_held:
                self.over = request in (b"e", b"k")
            elif request == b"k":
                self.is_killed = True
                self.machine.commands.sendall(b"destroy\n")
                self.await_step(None)
            elif request == b"s":
                self.machine.commands.sendall(b"stop\n")
            del self.requests[:end]

    def take_core(self, path):
        if self.step is not None and not self.is_held:
            self.control.sendall(f"nocore the guest does not run: {self.step} is still to come\n".encode())
            return
        self.core_path = path
        self.machine.commands.sendall(f"core {self.memory_kib // 4}\n".encode())
        self.await_step("the guest's core")

    def core_of(self, answer):
        """dom0's core becomes one for gdb; what the runner is told."""
        try:
            if answer != "written":
                raise xen_core.CoreError(answer)
            xen_core.convert(self.disk, self.core_path)
        except xen_core.FAILURES as error:
            return f"nocore {error}\n".encode()
        return b"core\n"

    def hear(self, line):
        word, _, rest = line.partition(" ")
        if word in FOLLOWING:
            self.await_step(FOLLOWING[word])
        elif word in ("@@LOG", "@@FAILED"):
            self.said = self.said[-SAID_LINES_MAX:] + [rest]
        elif word == "@@EXIT":
            if rest == "failed":
                raise BenchError("xl did not create the guest:\n" + "\n".join(self.said))
            self.status = int(rest) if rest.isdecimal() else None
            self.is_held = self.hold_crashed and not self.is_killed and self.status in CRASHED
            if self.is_held:
                self.control.sendall(b"crashed\n")
                self.await_step(HELD)
            self.over = not self.is_held
        elif word == "@@CORE":
            self.await_step(HELD if self.is_held else None)
            self.control.sendall(self.core_of(rest))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--core", required=True, help="the program xen-core")
    parser.add_argument("guest", type=json.loads, help="image, memory_kib, command_line, networks and disks")
    asked = parser.parse_args()
    control = socket.socket(fileno=asked.control)
    networks, disks = asked.guest["networks"], asked.guest["disks"]
    for wanted, most, what in ((networks, NETWORKS, "networks"), (disks, DISKS, "disks")):
        if len(wanted) > most:
            raise BenchError(f"the guest has {len(wanted)} {what}, and the bench takes {most}")
    drives = [drive_of(disk) for disk in disks]
    payload, size = payload_of(pathlib.Path(asked.guest["image"]).read_bytes(), guest.configuration(
        "guest", "/guest/guest.elf", asked.guest["memory_kib"], asked.guest["command_line"],
        [guest.interface(one, f"net{number}", "vif") for number, one in enumerate(networks)],
        [guest.disk(number, f"/dev/vd{'bcde'[number]}", one["read_only"], "block") for number, one in enumerate(disks)]),
        guest.names(disks), xen_core.size_max(asked.guest["memory_kib"]))
    # A device more than the kept machine has there could not be; networks that are no device's can.
    arguments, user_ends = ["-incoming", "defer"], []
    for number, one in enumerate(networks):
        if "descriptor" not in one:
            ours, theirs, words = user_network(number, one["forwards"])
            one["descriptor"] = ours.fileno()
            arguments += words
            user_ends += [ours, theirs]
    machine = Machine(kept_machine(asked.core), False, [Drive(payload.fileno(), False), *drives], arguments,
                      [end.fileno() for end in user_ends[1::2]])
    try:
        machine.resume()
        places = " ".join(str(PAYLOAD_PLACE + 1 + number) for number in range(len(disks)))
        # The kept machine's clock stood still; dom0 tells Xen of the change, and Xen the guest.
        machine.commands.sendall(f"date -u -s @{int(time.time())} > /dev/null; guest {size} {places}\n".encode())
        status = Session(machine, Trunk(machine.trunk, [one["descriptor"] for one in networks]), control, payload.fileno(),
                         asked.guest["memory_kib"], asked.guest["hold_crashed"]).run()
    finally:
        machine.kill()
    if status is not None:
        control.sendall(f"exit {status}\n".encode())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"xen bench: {error}", file=sys.stderr)
        sys.exit(1)
