"""Snapshots of guests: the whole machine in a file, from which others go on."""
import pytest
from support import ROOT, RUN_SECONDS, built

import morgana


def endings(target="xen-x86"):
    return built(ROOT / "tests/e2e/apps/endings", target).image


def test_a_guest_goes_on_and_so_do_others_from_its_snapshot(tmp_path):
    image = endings()
    with morgana.run(image, arguments=["--how=wait"]) as vm:
        vm.expect("first: info: started")
        file = vm.snapshot(tmp_path / "it's one")
        assert vm.is_running and vm.stop() == 0
    for _ in range(2):
        with morgana.run(image, snapshot=file) as again:
            assert "snapshot" in again.capabilities
            assert again.stop(RUN_SECONDS) == 0
        # It did not boot: what it was told and where it waited is as it was, and so was its clock.
        assert "started" not in again.console and [record.message for record in again.log].count("disconnected") == 2
        assert again.log[0].time > 0


def test_a_snapshot_that_cannot_be_written_says_why_and_the_guest_goes_on(tmp_path):
    with morgana.run(endings(), arguments=["--how=wait"]) as vm:
        vm.expect("first: info: started")
        with pytest.raises(morgana.RunError, match="wrote no snapshot"):
            vm.snapshot(tmp_path / "nowhere" / "file")
        assert vm.is_running and vm.snapshot(tmp_path / "file").exists() and vm.stop() == 0


def test_who_cannot_go_on_from_a_snapshot_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"nothing of a machine's")
    with pytest.raises(morgana.RunError, match="does not exist"):
        morgana.run(endings("unix"), snapshot=tmp_path / "nowhere")
    with morgana.run(endings("unix"), snapshot=tmp_path / "file") as vm:
        with pytest.raises(morgana.RunError, match="cannot resume from a snapshot"):
            vm.wait()
    with morgana.run(endings(), snapshot=tmp_path / "file") as vm:
        with pytest.raises(morgana.RunError):
            vm.wait()
