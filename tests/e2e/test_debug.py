"""morgana debug: gdb at the start of a guest, with names and lines, wherever the guest is."""
import re
import shutil

import pytest
from support import ROOT, built, morgana

SECONDS = 150


def test_the_debugger_is_installed():
    assert shutil.which("gdb"), "install it: apt-get install gdb"


@pytest.mark.parametrize("target", ["unix", "xen-x86"])
def test_a_breakpoint_is_reached_and_the_calls_have_names(target):
    app = built(ROOT / "examples/hello", target)
    ended = morgana("debug", app.source, "-o", app.build_folder, "--batch", "--execute=break morgana::boot_session::run_ready",
                    "--execute=run" if target == "unix" else "--execute=continue", "--execute=backtrace",
                    seconds=SECONDS).expect(0)
    # What stands there may be of a function that was inlined.
    assert re.search(r"#[01] .*run_ready \(.*core/boot.cpp:\d+\n#[12] .*\bmain \(", ended.output), ended.output


def test_the_commands_by_hand_are_printed_and_nothing_runs():
    app = built(ROOT / "examples/hello", "xen-x86")
    ended = morgana("debug", app.source, "-o", app.build_folder, "--print").expect(0)
    emulator, debugger = ended.output.splitlines()
    assert emulator.startswith("qemu-system-x86_64 ") and "-gdb unix:/tmp/hello.gdb,server=on,wait=off" in emulator
    assert debugger.startswith("gdb ") and "'target remote /tmp/hello.gdb'" in debugger


def test_a_target_without_a_debugger_says_so():
    app = built(ROOT / "examples/hello", "sim")
    ended = morgana("debug", app.source, "-o", app.build_folder).expect(125)
    assert "the target `sim` says nothing about a debugger" in ended.output and "[not-supported]" in ended.output
