"""What xl dump-core wrote becomes a core for gdb (plugins/xen/bench/xen_core.py)."""
import sys

import pytest
import xen_dump
from support import ROOT, RUN_SECONDS, Process

sys.path.insert(0, str(ROOT / "plugins/xen/bench"))

import xen_core  # noqa: E402  (found by the line above)

AT = 0x0000_1234_5678_9000


def converted(raw, folder):
    (folder / "dump").write_bytes(raw)
    with open(folder / "dump", "rb") as file:
        xen_core.convert(file.fileno(), folder / "core")
    return folder / "core"


def gdb(core, *commands):
    words = [word for command in commands for word in ("-ex", command)]
    with Process(["gdb", "-nx", "-batch", *words, "--core", core]) as process:
        return process.wait(RUN_SECONDS).output


def test_registers_and_memory_are_the_guests_own(tmp_path):
    core = converted(xen_dump.one_page(AT, b"text of the guest"), tmp_path)
    said = gdb(core, "p/x $rip", "p/x $rsp", f"x/s {AT}", f"x/x {AT + 4096}")
    assert f"$1 = {AT:#x}" in said and f"$2 = {AT + 8:#x}" in said and '"text of the guest"' in said
    assert f"Cannot access memory at address {AT + 4096:#x}" in said


def test_addresses_of_the_upper_half_and_large_pages_are_understood(tmp_path):
    # 2 MiB at the top: pages 512 and on, of which the domain has two.
    top = (1 << 64) - (2 << 20)
    pages = {1: xen_dump.table({511: 2 << 12 | 1}), 2: xen_dump.table({511: 3 << 12 | 1}),
             3: xen_dump.table({511: 512 << 12 | 1 << 7 | 1}), 512: b"first", 513: b"second"}
    core = converted(xen_dump.dump(pages, {xen_dump.CR3: 1 << 12}), tmp_path)
    said = gdb(core, f"x/s {top:#x}", f"x/s {top + 4096:#x}", f"x/x {top + 8192:#x}")
    assert '"first"' in said and '"second"' in said and "Cannot access memory" in said


@pytest.mark.parametrize("raw, why", [
    (b"", "mmap"), (b"not a core at all" * 100, "xl wrote no core"),
    (xen_dump.dump({}, {xen_dump.CR3: 1 << 12}), "show no memory"),
    (xen_dump.dump({1: xen_dump.table({n: 1 << 12 | 1 for n in range(512)})}, {xen_dump.CR3: 1 << 12}), "have no end"),
    (xen_dump.one_page(AT, b"")[:200], None)])
def test_what_makes_no_sense_is_refused_in_finite_time(raw, why, tmp_path):
    with pytest.raises(Exception, match=why) as caught:
        converted(raw, tmp_path)
    assert isinstance(caught.value, xen_core.FAILURES)
    assert not (tmp_path / "core").exists()
