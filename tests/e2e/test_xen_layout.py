"""Image sizes: page tables, stacks and the heap's beginning depend on where an image's segments end, so they end in many
places. (Elsewhere a guest once crashed at some sizes and not at others.)

One image is built; copies of it are linked with padding (the morgana_padding symbols of image.ld). A handful of them
boots; with scripts/test --long all do, and eight as domU of real Xen."""
import os
import re
import struct
import subprocess

import pytest
from support import ROOT, built
from test_xen_x86 import boot

LONG = bool(os.environ.get("MORGANA_TEST_LONG"))
SEGMENTS = ["constant", "code", "sealed", "data"]
PAGE, STEP, LARGE = 4096, 64 << 10, 2 << 20
LINK_SECONDS = 120


@pytest.fixture(scope="module")
def folder():
    return built(ROOT / "tests/e2e/apps/endings", "xen-x86").build_folder / "xen-x86"


def loads_of(image):
    """Address and size in memory of each segment."""
    data = image.read_bytes()
    offset, = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    entries = [struct.unpack_from("<IIQQQQQ", data, at) for at in range(offset, offset + size * count, size)]
    return [(entry[3], entry[6]) for entry in entries if entry[0] == 1]


def end_of(image):
    return max(address + size for address, size in loads_of(image))


def linked(folder, path, **padding):
    """The image with so many bytes more at the end of its segments; `end` is zeros behind all of them."""
    command = subprocess.run(["ninja", "-C", folder, "-t", "commands", "endings.elf.debug"], capture_output=True, text=True,
                             check=True, timeout=LINK_SECONDS).stdout.splitlines()[-1]
    command = re.sub(r"-o endings\.elf\.debug|-Wl,-Map=\S+", "", command) + f" -s -o {path}"
    for where, size in padding.items():
        command += f" -Wl,--defsym=morgana_padding{'' if where == 'end' else '_' + where}={size}"
    subprocess.run(command, shell=True, cwd=folder, check=True, timeout=LINK_SECONDS)
    return path


def boots(image):
    ended = boot(image, memory="32", arguments="--code=42").expect(2 * 42 + 1)
    assert ended.messages("first") == ["connected", "started", "disconnecting", "disconnected"]


def paddings(end):
    """By what the image's end moves: to a page before, at and after each boundary of 2 MiB, and in steps up to 2 MiB."""
    edges = range(-(-end // LARGE) * LARGE, end + LARGE + PAGE, LARGE)
    around = [edge + pages * PAGE - end for edge in edges for pages in (-1, 0, 1)]
    steps = range(STEP, LARGE + 1, STEP)
    return sorted({more for more in [*around, *(steps if LONG else [STEP])] if more >= 0})


def test_an_image_boots_wherever_it_ends(folder, tmp_path):
    plain = linked(folder, tmp_path / "plain.elf")
    end = end_of(plain)
    for more in paddings(end):
        image = linked(folder, tmp_path / "padded.elf", end=more)
        assert end_of(image) == end + more
        boots(image)


@pytest.mark.parametrize("segment", SEGMENTS)
def test_an_image_boots_wherever_a_segment_ends(folder, tmp_path, segment):
    address, size = loads_of(linked(folder, tmp_path / "plain.elf"))[SEGMENTS.index(segment)]
    to_page = -(address + size) % PAGE
    for more in {to_page, to_page + 16, to_page + PAGE - 16, to_page + PAGE} if LONG else {to_page}:
        boots(linked(folder, tmp_path / "padded.elf", **{segment: more & -16}))


@pytest.mark.skipif(not LONG, reason="scripts/test --long: eight boots of a domU")
@pytest.mark.parametrize("more", [index * LARGE // 8 + PAGE * (index % 3) for index in range(8)])
def test_a_domu_boots_wherever_it_ends(folder, tmp_path, more):
    from test_xen_requests import Guest
    domain = Guest(linked(folder, tmp_path / "padded.elf", end=more), "--code=42")
    try:
        assert domain.wait_for_line("@@EXIT") == "@@EXIT 42"
    finally:
        domain.machine.kill()
