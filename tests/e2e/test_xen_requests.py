"""What Xen's tools ask of a guest, and what is attached to it by mistake: one domU, to whose dom0 the test speaks itself."""
import select
import sys
import time

from support import MORGANA, ROOT, built

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "plugins/xen/bench"))
import guest                                            # noqa: E402
from machine import PAYLOAD_PLACE, Drive, Machine                      # noqa: E402
from xen_bench import kept_machine, payload_of          # noqa: E402

# The first run fetches Debian packages and boots dom0; a slow machine is no failure.
SECONDS = 240
CORE = MORGANA.parents[1] / "libexec/morgana/xen-core"
CONTROL = "xenstore-write /local/domain/1/control/shutdown"


class Guest:
    """A guest with a vif in dom0's bridge net0, and with the disk that the file `disk` is."""

    def __init__(self, image, arguments, disk=None):
        network = {"mac": "", "mtu": 1500}
        disks = [guest.disk(0, "/dev/vdb", False, "block")] if disk else []
        payload, size = payload_of(image.read_bytes(), guest.configuration(
            "guest", "/guest/guest.elf", 8192, arguments, [guest.interface(network, "net0", "vif")], disks), [])
        drives = [Drive(payload.fileno()), *([Drive(disk.fileno(), read_only=False)] if disk else [])]
        self.machine = Machine(kept_machine(CORE), False, drives, ["-incoming", "defer"])
        self.console, self.lines = "", []
        self.machine.resume()
        self.command(f"guest {size}" + (f" {PAYLOAD_PLACE + 1}" if disk else ""))

    def command(self, text):
        self.machine.commands.sendall(text.encode() + b"\n")

    def wait_for(self, there, what):
        machine, deadline = self.machine, time.monotonic() + SECONDS
        while not (found := there()):
            left = deadline - time.monotonic()
            assert left > 0, f"{what} did not come in {SECONDS} s\n{self.console}\n{self.lines}"
            for end in select.select([machine.commands, machine.console, machine.serial], [], [], left)[0]:
                if end is machine.serial:
                    machine.collect_log()
                    continue
                data = end.recv(65536)
                assert data, f"the machine ended before {what} came"
                if end is machine.console:
                    self.console += data.decode(errors="replace")
                else:
                    machine.said += data
            while (line := machine.next_line()) is not None:
                self.lines.append(line)
        return found

    def wait_for_text(self, text):
        return self.wait_for(lambda: text in self.console, repr(text))

    def wait_for_line(self, begin):
        return self.wait_for(lambda: next((line for line in self.lines if line.startswith(begin)), None), begin)


def test_a_guest_names_what_is_attached_too_much_and_reboots_in_order():
    application = built(ROOT / "tests/e2e/apps/endings", "xen-x86")
    domain = Guest(application.build_folder / "xen-x86/endings.elf", "--how=wait")
    try:
        domain.wait_for_text("first: info: started")
        domain.wait_for_text("endings: device/vif/0 is attached, but the image has no such device")
        domain.command(f"{CONTROL} reboot")
        assert domain.wait_for_line("@@EXIT") == "@@EXIT 0"
        domain.wait_for_text("first: info: disconnected")
        # xl's own words: 1 is a reboot (public/sched.h).
        assert "@@LOG Domain 1 has shut down, reason code 1 0x1" in domain.lines
    finally:
        domain.machine.kill()
