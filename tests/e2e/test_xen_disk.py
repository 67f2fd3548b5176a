"""Disks of a guest on real Xen: a file of the host, in dom0's blkback, to blkfront in the guest and back."""
import os
import random
import re

import pytest
from runner_client import Guest, disk
from support import ROOT, tail
from test_xen_bench import FIRST_SECONDS, RUN_SECONDS, on_xen

APPS = ROOT / "tests/e2e/apps"
# Machines are ended at random moments this often.
POWER_CUTS = 20 if os.environ.get("MORGANA_TEST_LONG") else 2


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return on_xen(APPS / "records", tmp_path_factory.mktemp("xen"))


def image(application):
    return application.build_folder / "xen-x86/records.elf"


def make_disk(path, sectors=64, sector_bytes=512):
    path.write_bytes(bytes(sectors * sector_bytes))
    return path


def record_in(data, sector, sector_bytes=512):
    """The number of the record in a sector of a disk, 0 for an empty one; a sector that is not whole fails."""
    text = data[sector * sector_bytes:(sector + 1) * sector_bytes]
    if not any(text):
        return 0
    found = re.match(rb"record (\d+)\n", text)
    assert found, f"sector {sector} holds {text[:40]}"
    line = found[0]
    assert text == (line * (sector_bytes // len(line) + 1))[:sector_bytes], f"sector {sector} is torn: {text[:40]}"
    return int(found[1])


def test_the_hosts_bytes_are_the_guests_and_back(records, tmp_path):
    path = make_disk(tmp_path / "disk.img")
    with path.open("r+b") as file:
        file.seek(5 * 512)
        file.write(b"written by the host\n")
    ended = records.run("--show=5", "--records=100", driver=[f"--disk=storage={path}"], seconds=FIRST_SECONDS).expect(0)
    assert ended.messages("records")[0] == "64 sectors of 512 bytes, sector 5 says `written by the host`"
    data = path.read_bytes()
    assert [record_in(data, sector) for sector in range(64)] == [64, *range(65, 101), *range(37, 64)]


def test_large_sectors_and_two_disks_by_name(records, tmp_path):
    other, storage = make_disk(tmp_path / "other.img"), make_disk(tmp_path / "disk.img", 16, 4096)
    with Guest(image(records), arguments=["--records=10"], machine="xen",
               disks=[disk("other", other), disk("storage", storage, sector_bytes=4096)]) as guest:
        assert guest.end()["status"] == 0, guest.console
    assert "16 sectors of 4096 bytes" in guest.console
    assert [record_in(storage.read_bytes(), sector, 4096) for sector in range(12)] == [0, *range(1, 11), 0]
    assert not any(other.read_bytes())


def test_a_read_only_disk_is_not_written(records, tmp_path):
    path = make_disk(tmp_path / "disk.img")
    ended = records.run("--records=1", driver=[f"--disk=storage={path},ro"], seconds=RUN_SECONDS).expect(2)
    assert ended.messages("records")[-1].startswith("write: ")
    assert not any(path.read_bytes())


def test_a_disk_that_is_not_attached_is_named(records):
    ended = records.run(seconds=RUN_SECONDS, driver=["--timeout=120"])
    assert ended.code == 65 and "storage" in ended.output


@pytest.mark.parametrize("cut", ["xl destroy", "the machine's power"])
def test_what_was_flushed_survives(records, tmp_path, cut):
    """The guest is destroyed, or the whole machine, while it writes."""
    chance = random.Random(os.urandom(4).hex())
    for _ in range(POWER_CUTS):
        path = make_disk(tmp_path / "disk.img")
        with Guest(image(records), machine="xen", disks=[disk("storage", path)]) as guest:
            guest.wait_for(f"kept {4 * chance.randrange(1, 60)}\n")
            if cut == "xl destroy":
                guest.ask("kill")
                ended = guest.end()
                assert (ended["reason"], ended["status"]) == ("killed", 137), tail(guest.console)
        kept = int(re.findall(r"kept (\d+)\n", guest.console)[-1])
        data = path.read_bytes()
        held = [record_in(data, sector) for sector in range(64)]
        for number in range(max(kept - 63, 1), kept + 1):
            assert held[number % 64] >= number, f"record {number} is lost, {kept} were kept: {held}"
