#!/usr/bin/env python3
"""Runs one guest on real Xen, in an emulated machine: xen-x86-runner starts this as the guest's process.

Xen and a Linux dom0 are booted once; the machine's memory and state are kept in the cache, and each guest gets a copy of
them, which takes half a second. Standard output and input are the guest's console. On the control socket "s" asks for an
orderly end, and "exit N" is said at the end. Status 1 with a message: the bench itself failed."""
import argparse
import ctypes
import fcntl
import hashlib
import io
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

import dom0
from dom0 import BenchError

EMULATOR = "qemu-system-x86_64"
MEMORY_MIB = 512
PAYLOAD_BYTES = 16 << 20
# Generous: a slow machine is no failure.
BOOT_SECONDS = 300
RESUME_SECONDS = 120
CREATE_LINES_MAX = 100
XEN = "console=com1 com1=115200,8n1 dom0_mem=192M spec-ctrl=no bootscrub=0"
LINUX = "console=hvc0 quiet mitigations=off init_on_alloc=0 audit=0 nowatchdog"
# Without SMAP, whose emulation breaks Xen's return to a paravirtual kernel, and without RDTSCP, which Xen cannot step over
# there.
PROCESSOR = "max,-smap,-rdtscp"


class Machine:
    """The emulated machine; its sockets are inherited, so nothing of it has a name."""

    def __init__(self, folder, payload, memory_is_kept, arguments):
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)))
        self.monitor, self.commands, self.console = ours
        names = ["monitor", "commands", "console"]
        chardevs = [word for name, end in zip(names, theirs)
                    for word in ("-chardev", f"socket,id={name},fd={end.fileno()}")]
        share = "on" if memory_is_kept else "off"
        command = [EMULATOR, "-M", "q35,memory-backend=ram", "-accel", "tcg", "-cpu", PROCESSOR, "-m", str(MEMORY_MIB),
                   "-object", f"memory-backend-file,id=ram,size={MEMORY_MIB}M,mem-path=memory,share={share}",
                   "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot", "-serial", "null", *chardevs,
                   "-mon", "chardev=monitor,mode=control", "-device", "virtio-serial-pci",
                   "-device", "virtserialport,chardev=commands,nr=1", "-device", "virtserialport,chardev=console,nr=2",
                   "-drive", f"if=none,id=payload,file=/dev/fd/{payload},format=raw,readonly=on",
                   "-device", "virtio-blk-pci,drive=payload", *arguments]
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, pass_fds=[payload, *(end.fileno() for end in theirs)],
                                        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))
        for end in theirs:
            end.close()
        self.said, self.answers = b"", b""
        self.deadline = time.monotonic() + BOOT_SECONDS
        self.next_answer()
        self.ask("qmp_capabilities")

    def receive(self, end):
        left = self.deadline - time.monotonic()
        ready = select.select([end], [], [], max(left, 0))[0]
        data = end.recv(65536) if ready else None
        if data:
            return data
        if data is None:
            raise BenchError("the emulated machine does not answer")
        self.kill()
        raise BenchError("the emulated machine ended: " + self.process.stderr.read().decode(errors="replace")[-2000:])

    def next_answer(self):
        while b"\n" not in self.answers:
            self.answers += self.receive(self.monitor)
        line, self.answers = self.answers.split(b"\n", 1)
        return json.loads(line)

    def ask(self, what, **arguments):
        self.monitor.sendall(json.dumps({"execute": what, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self.next_answer()
            if "error" in answer:
                raise BenchError(f"the emulated machine refused {what}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def wait_until(self, what, wanted):
        while (status := self.ask(what)["status"]) not in wanted:
            if status == "failed":
                raise BenchError("the emulated machine's state could not be moved")
            if time.monotonic() > self.deadline:
                raise BenchError("the emulated machine's state does not arrive")
            time.sleep(0.01)

    def memory_stays_in_its_file(self):
        self.ask("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])

    def next_line(self):
        """The next line of dom0's, or nothing yet."""
        if b"\n" not in self.said:
            return None
        line, self.said = self.said.split(b"\n", 1)
        return line.decode(errors="replace").strip()

    def kill(self):
        self.process.kill()
        self.process.wait()


def boot(folder):
    """Boots dom0 and keeps the machine as the files memory and state."""
    with tempfile.TemporaryFile() as payload:
        payload.truncate(PAYLOAD_BYTES)
        machine = Machine(folder, payload.fileno(), True,
                          ["-kernel", "xen", "-append", XEN, "-initrd", f"vmlinux {LINUX},dom0.cpio"])
        try:
            while machine.next_line() != "@@READY":
                if b"\n" not in machine.said:
                    machine.said += machine.receive(machine.commands)
            machine.ask("stop")
            machine.memory_stays_in_its_file()
            machine.ask("migrate", uri="exec:cat > state")
            machine.wait_until("query-migrate", ["completed"])
        finally:
            machine.kill()
    for done_with in ("xen", "vmlinux", "dom0.cpio"):
        (folder / done_with).unlink()


def kept_machine():
    """The folder of the machine as it is after boot; made when it is not there."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "morgana/xen-bench"
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(subprocess.run([EMULATOR, "--version"], stdout=subprocess.PIPE, check=True).stdout)
    for source in ("init", "dom0.py", "xen_bench.py"):
        key.update((pathlib.Path(__file__).parent / source).read_bytes())
    folder = cache / key.hexdigest()[:16]
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "state").exists():
            print("xen bench: boots a dom0 from Debian packages, once", file=sys.stderr, flush=True)
            for old in cache.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            made = pathlib.Path(tempfile.mkdtemp(dir=cache))
            dom0.build(made)
            boot(made)
            made.rename(folder)
    return folder


def quoted(text):
    """A text of xl's configuration."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def payload_of(image, memory_kib, command_line):
    """The guest and its configuration as a disk: the disk, and how much of it counts."""
    configuration = f'name = "guest"\ntype = "pvh"\nkernel = "/guest/guest.elf"\nmemory = {(memory_kib + 1023) // 1024}\n' \
                    f'vcpus = 1\ntsc_mode = "native"\nextra = {quoted(command_line)}\n' \
                    'on_poweroff = "preserve"\non_reboot = "preserve"\non_crash = "preserve"\n'
    disk = tempfile.TemporaryFile()
    with tarfile.open(fileobj=disk, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (("guest.elf", image), ("guest.cfg", configuration.encode())):
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    disk.flush()
    size = os.fstat(disk.fileno()).st_size
    if size > PAYLOAD_BYTES:
        raise BenchError(f"the image is larger than the {PAYLOAD_BYTES >> 20} MiB that the bench takes")
    disk.truncate(PAYLOAD_BYTES)
    return disk, size


def run_guest(machine, control):
    """Moves console, input and requests until the guest has ended; its status, or None."""
    inputs = [machine.commands, machine.console, control, sys.stdin.fileno()]
    failures = []
    while True:
        for source in select.select(inputs, [], [])[0]:
            data = os.read(source, 65536) if isinstance(source, int) else source.recv(65536)
            if not data:
                if source is machine.commands or source is machine.console:
                    raise BenchError("the emulated machine ended by itself")
                inputs.remove(source)
            elif source is machine.commands:
                machine.said += data
            elif source is machine.console:
                os.write(sys.stdout.fileno(), data)
            elif source is control:
                machine.commands.sendall(b"xl shutdown guest\n")
            else:
                machine.console.sendall(data)
        while (line := machine.next_line()) is not None:
            word, _, rest = line.partition(" ")
            if word == "@@FAILED" and len(failures) < CREATE_LINES_MAX:
                failures.append(rest)
            if word != "@@EXIT":
                continue
            if rest == "failed":
                raise BenchError("xl did not create the guest:\n" + "\n".join(failures))
            # The console's last words may be on their way.
            while select.select([machine.console], [], [], 0.05)[0]:
                if not (data := machine.console.recv(65536)):
                    break
                os.write(sys.stdout.fileno(), data)
            return int(rest) if rest.isdecimal() else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--image", type=pathlib.Path, required=True)
    parser.add_argument("--memory-kib", type=int, required=True)
    parser.add_argument("command_line")
    asked = parser.parse_args()
    control = socket.socket(fileno=asked.control)
    folder = kept_machine()
    disk, size = payload_of(asked.image.read_bytes(), asked.memory_kib, asked.command_line)
    machine = Machine(folder, disk.fileno(), False, ["-incoming", "defer"])
    try:
        machine.deadline = time.monotonic() + RESUME_SECONDS
        machine.memory_stays_in_its_file()
        machine.ask("migrate-incoming", uri="exec:cat state")
        machine.wait_until("query-status", ["paused", "running"])
        machine.ask("cont")
        machine.commands.sendall(f"guest {size} &\n".encode())
        status = run_guest(machine, control)
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
