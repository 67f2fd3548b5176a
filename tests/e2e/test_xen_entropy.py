"""Randomness of a guest on real Xen whose processor has none (xl hides RDRAND), from dom0 by the console channel
org.openmirage.entropy.1. The channel's backend is a program in dom0, as xentropyd was; xl's own needs QEMU there."""
import re
import subprocess
import tempfile

import pytest
from support import ROOT, built
from test_xen_requests import CORE, PAYLOAD_PLACE, Drive, Machine, guest, kept_machine, payload_of
from test_xen_suspend import Suspended

FRONT, BACK = "/local/domain/1/device/console/1", "/local/domain/0/backend/console/1/1"
CHANNEL = [
    f"xenstore-write {BACK}/frontend {FRONT} {BACK}/frontend-id 1 {BACK}/online 1 {BACK}/state 2",
    f"xenstore-write {FRONT}/backend {BACK} {FRONT}/backend-id 0 {FRONT}/name org.openmirage.entropy.1 {FRONT}/state 1",
    f"xenstore chmod -r {FRONT} n1 r0", f"xenstore chmod -r {BACK} n0 r1",
]
# Serves it once the guest has said where its page is.
SERVE = (f"tries=0; until [ \"$(xenstore-read {FRONT}/state)\" = 3 ]; do tries=$((tries + 1)); [ $tries -lt 600 ] || exit 1; "
         f"usleep 50000; done; xenstore-write {BACK}/state 4; "
         f"/tmp/backend 1 $(xenstore-read {FRONT}/ring-ref) $(xenstore-read {FRONT}/port) < /dev/urandom")


class Poor(Suspended):
    """A guest without RDRAND, which xl has created and nobody has begun; the channel's backend is in dom0."""

    def __init__(self, image, backend):
        configuration = guest.configuration("guest", "/guest/guest.elf", 8192, "", [], []) + 'cpuid = "host,rdrand=0"\n'
        payload, size = payload_of(image.read_bytes(), configuration, [])
        program, bytes_of_program = backend.read_bytes(), backend.stat().st_size
        with tempfile.TemporaryFile() as disk:
            disk.write(program + bytes(-bytes_of_program % 512))
            disk.flush()
            self.machine = Machine(kept_machine(CORE), False, [Drive(payload.fileno()), Drive(disk.fileno())],
                                   ["-incoming", "defer"])
        self.console, self.lines = "", []
        self.machine.resume()
        self.step("unpack", f"attach {PAYLOAD_PLACE}; attach {PAYLOAD_PLACE + 1}; head -c {size} /dev/vda | tar x -C /guest; "
                            f"head -c {bytes_of_program} /dev/vdb > /tmp/backend; chmod +x /tmp/backend")
        self.step("create", "xl create -p /guest/guest.cfg")
        self.command('cat < "$(xenstore-read /local/domain/1/console/tty)" >&6')

    def run(self):
        self.step("unpause", "xl unpause 1")


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    program = tmp_path_factory.mktemp("backend") / "backend"
    subprocess.run(["clang-22", "-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-o", program,
                    ROOT / "tests/e2e/xen_entropy_backend.c"], check=True)
    return program


@pytest.fixture(scope="module")
def image():
    return built(ROOT / "tests/conformance/guests/entropy", "xen-x86").build_folder / "xen-x86/kit-entropy.elf"


def test_the_channel_seeds_a_guest_whose_processor_has_no_randomness(image, backend):
    domain = Poor(image, backend)
    try:
        for line in CHANNEL:
            domain.step("channel", line)
        domain.begin("serve", SERVE)
        domain.run()
        found = domain.wait_for(lambda: re.search(r"kit:random ([0-9a-f]{128})\r?\n", domain.console), "64 random bytes")
        drawn = bytes.fromhex(found[1])
        assert len(set(drawn)) > 16
        assert "no source of randomness" not in domain.console
    finally:
        domain.machine.kill()


def test_without_the_channel_such_a_guest_refuses(image, backend):
    domain = Poor(image, backend)
    try:
        domain.run()
        domain.wait_for_text("kit:not-seeded")
        assert "no source of randomness that counts" in domain.console and "kit:random" not in domain.console
    finally:
        domain.machine.kill()
