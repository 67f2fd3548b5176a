"""The emulated machine that Xen runs in: a process of QEMU's, its monitor, dom0's port and log, the guest's console and
the trunk. What is inherited has no name. Every wait has a deadline, and its failure says what was waited for and how
dom0's log ends."""
import ctypes
import json
import select
import signal
import socket
import subprocess
import time

from dom0 import BenchError

EMULATOR = "qemu-system-x86_64"
MEMORY_MIB = 512
NETWORKS = 8
DISKS = 4
# What dom0 attaches first: the guest's image and configuration. Disks follow it on the bus.
PAYLOAD_PLACE = 5
LOG_BYTES = 16384
LOG_LINES_SHOWN = 30
ANSWER_SECONDS = 120
# Without SMAP, whose emulation breaks Xen's return to a paravirtual kernel, without RDTSCP, which Xen cannot step over
# there. Without XSAVE and AVX, because with them programs of dom0's were seen to die of segmentation faults while a guest was
# busy (10 of 280 starts of xl, QEMU 7.2; why is not known), and without them none of 200.
PROCESSOR = "max,-smap,-rdtscp,-xsave,-avx,-avx2"
RECEIVE_BYTES = 1 << 16


def with_parent():
    """For a child: it ends when its parent does (prctl's PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Drive:
    """A file that is one of the machine's disks. Its device may differ between machines that resume from one state."""

    def __init__(self, descriptor=None, read_only=True, sector_bytes=512):
        self.descriptor, self.read_only, self.sector_bytes = descriptor, read_only, sector_bytes

    def arguments(self, name, place):
        if self.descriptor is None:
            backend = f"driver=null-co,node-name={name},size=1048576,read-zeroes=on"
        else:
            backend = f"driver=raw,node-name={name},read-only={'on' if self.read_only else 'off'},discard=unmap," \
                      f"file.driver=file,file.filename=/dev/fd/{self.descriptor}"
        return ["-blockdev", backend, "-device", f"virtio-blk-pci,addr={place},drive={name},"
                f"logical_block_size={self.sector_bytes},physical_block_size={max(self.sector_bytes, 512)}"]


class Machine:
    """`memory_is_kept`: it writes the memory that others are to begin with. `descriptors`: those that `arguments` name."""

    def __init__(self, folder, memory_is_kept, drives, arguments, descriptors=()):
        ends = {}
        for name in ("monitor", "commands", "console", "serial", "trunk"):
            ours, ends[name] = socket.socketpair()
            setattr(self, name, ours)
        chardevs = [word for name, end in ends.items() if name != "trunk"
                    for word in ("-chardev", f"socket,id={name},fd={end.fileno()}")]
        drives = drives + [Drive()] * (1 + DISKS - len(drives))
        places = [word for number, drive in enumerate(drives)
                  for word in drive.arguments(f"drive{number}", PAYLOAD_PLACE + number)]
        share = "on" if memory_is_kept else "off"
        command = [EMULATOR, "-M", "q35,memory-backend=ram", "-accel", "tcg", "-cpu", PROCESSOR, "-m", str(MEMORY_MIB),
                   "-object", f"memory-backend-file,id=ram,size={MEMORY_MIB}M,mem-path=memory,share={share}",
                   "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot", *chardevs,
                   "-serial", "chardev:serial", "-mon", "chardev=monitor,mode=control",
                   "-device", "virtio-serial-pci,addr=3",
                   "-device", "virtserialport,chardev=commands,nr=1", "-device", "virtserialport,chardev=console,nr=2",
                   "-netdev", f"socket,id=trunk,fd={ends['trunk'].fileno()}",
                   "-device", "virtio-net-pci,addr=4,netdev=trunk,mac=02:00:00:00:00:01,romfile=", *places, *arguments]
        inherited = [*descriptors, *(end.fileno() for end in ends.values())] + [d.descriptor for d in drives if d.descriptor is not None]
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, pass_fds=inherited,
                                        preexec_fn=with_parent)
        for end in ends.values():
            end.close()
        self.answers, self.said, self.log = b"", b"", b""
        self.deadline = None
        self.next_answer("its greeting")
        self.ask("qmp_capabilities")

    def failure(self, what):
        """`what` was waited for in vain."""
        self.collect_log()
        lines = self.log.decode(errors="replace").replace("\r", "").splitlines()[-LOG_LINES_SHOWN:]
        return BenchError(what + ("\nthe log of Xen and dom0 ends so:\n  " + "\n  ".join(lines) if lines else ""))

    def collect_log(self):
        while self.process.poll() is None and select.select([self.serial], [], [], 0)[0]:
            data = self.serial.recv(RECEIVE_BYTES)
            if not data:
                return
            self.log = (self.log + data)[-LOG_BYTES:]

    def ended(self):
        self.kill()
        said = self.process.stderr.read().decode(errors="replace")[-2000:].strip()
        return self.failure("the emulated machine ended by itself" + (": " + said if said else ""))

    def receive(self, end, what, until):
        """Something from `end`, where `what` is to come."""
        while True:
            left = until - time.monotonic()
            ready = select.select([end, self.serial], [], [], max(left, 0))[0]
            if self.serial in ready:
                self.collect_log()
            if end in ready:
                if data := end.recv(RECEIVE_BYTES):
                    return data
            if end in ready or self.process.poll() is not None:
                raise self.ended()
            if left <= 0:
                raise self.failure(f"{what} did not come in time")

    def next_answer(self, what):
        until = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self.answers:
            self.answers += self.receive(self.monitor, f"the emulated machine: {what}", until)
        line, self.answers = self.answers.split(b"\n", 1)
        return json.loads(line)

    def ask(self, what, **arguments):
        self.monitor.sendall(json.dumps({"execute": what, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self.next_answer(f"an answer to {what}")
            if "error" in answer:
                raise self.failure(f"the emulated machine refused {what}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def wait_until(self, what, wanted):
        until = time.monotonic() + ANSWER_SECONDS
        while (status := self.ask(what)["status"]) not in wanted:
            if status == "failed":
                raise self.failure("the emulated machine's state could not be moved")
            if time.monotonic() > until:
                raise self.failure(f"the emulated machine's state stayed {status}, not {' or '.join(wanted)}")
            time.sleep(0.01)

    def memory_stays_in_its_file(self):
        self.ask("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])

    def save(self):
        """Writes the state beside the memory. The machine does not run any more."""
        self.ask("stop")
        self.memory_stays_in_its_file()
        self.ask("migrate", uri="exec:cat > state")
        self.wait_until("query-migrate", ["completed"])

    def resume(self):
        self.memory_stays_in_its_file()
        self.ask("migrate-incoming", uri="exec:cat state")
        self.wait_until("query-status", ["paused", "running"])
        self.ask("cont")

    def next_line(self):
        """The next line of dom0's, or nothing yet."""
        if b"\n" not in self.said:
            return None
        line, self.said = self.said.split(b"\n", 1)
        return line.decode(errors="replace").strip()

    def wait_for_line(self, wanted, seconds):
        until = time.monotonic() + seconds
        while (line := self.next_line()) != wanted:
            if line is None:
                self.said += self.receive(self.commands, f"{wanted} of dom0's", until)

    def kill(self):
        self.process.kill()
        self.process.wait()
