"""Cores of guests, which gdb opens beside their image: of those that run, and of those that crashed."""
import pytest
from support import ROOT, RUN_SECONDS, Process, built

import morgana

APPS = ROOT / "tests/e2e/apps"
XEN_SECONDS = 300    # a bench's first boot fetches packages


def endings(target="unix"):
    return built(APPS / "endings", target).image


def seen_by_gdb(image, core, *commands):
    """What gdb says of a core."""
    words = [word for command in commands for word in ("-ex", command)]
    with Process(["gdb", "-nx", "-batch", *words, image.artefacts.get("debug", image.path), core]) as gdb:
        return gdb.wait(RUN_SECONDS).output


@pytest.mark.parametrize("target", ["unix", "xen-x86"])
def test_a_running_guest_leaves_cores_that_gdb_opens_and_goes_on(target, tmp_path):
    with morgana.run(endings(target), arguments=["--how=wait"]) as vm:
        vm.expect("first: info: started")
        for name in ("once", "another time"):
            core = vm.core(tmp_path / name)
        assert vm.is_running and vm.stop() == 0
        with pytest.raises(morgana.RunError, match="endings has ended"):
            vm.core(core)
    said = seen_by_gdb(vm.image, core, "bt")
    # Of the guest of Xen wait_until() jumps to it and has no frame.
    waits_in = {"unix": "wait_until ()", "xen-x86": "halt_without_xen ()"}[target]
    assert waits_in in said and "main ()" in said, said


def test_a_core_that_cannot_be_written_says_why(tmp_path):
    with morgana.run(endings(), arguments=["--how=wait"]) as vm:
        vm.expect("first: info: started")
        with pytest.raises(morgana.RunError, match="wrote no core to .*nowhere"):
            vm.core(tmp_path / "nowhere" / "core")
        assert vm.is_running


@pytest.mark.parametrize("target", ["unix", "xen-x86"])
@pytest.mark.parametrize("how, status", [("fault", 70), ("terminate", 70), ("overflow", 70), ("memory", 71)])
def test_a_guest_that_crashes_leaves_its_core_and_ends_as_without(target, how, status, tmp_path):
    ends = []
    for core in (None, tmp_path / "core"):
        with morgana.run(endings(target), arguments=[f"--how={how}", "morgana.layout=fixed"][:1 + (target != "unix")],
                         crash_core=core) as vm:
            ends.append((vm.wait(), vm.reason, vm.errors, vm.crash.report.splitlines()[:2], vm.crash.core))
    assert ends[0][:4] == ends[1][:4] and ends[0][0] == status and ends[0][2] == []
    assert (ends[0][4], ends[1][4]) == (None, core)
    said = seen_by_gdb(vm.image, core, "bt -3")
    assert "main ()" in said and "run_ready ()" in said, said
    assert how == "memory" or "crash_on_purpose ()" in seen_by_gdb(vm.image, core, "bt"), said


def test_guests_on_real_xen_leave_cores_running_and_crashed(tmp_path):
    image = endings("xen-x86")
    on_xen = {"settings": {"machine": "xen"}, "crash_core": tmp_path / "crashed"}
    with morgana.run(image, arguments=["--how=wait"], **on_xen) as vm:
        vm.expect("first: info: started", XEN_SECONDS)
        core = vm.core(tmp_path / "running")
        assert vm.stop(XEN_SECONDS) == 0 and (vm.errors, vm.crash) == ([], None)
    said = seen_by_gdb(image, core, "bt")
    assert "wait_until ()" in said and "main ()" in said, said
    with morgana.run(image, arguments=["--how=fault"], **on_xen) as vm:
        assert (vm.wait(XEN_SECONDS), vm.reason, vm.errors) == (70, "crashed", [])
    said = seen_by_gdb(image, vm.crash.core, "bt")
    assert "crash_on_purpose ()" in said and "main ()" in said, said


def test_a_guest_that_is_xens_only_domain_says_that_it_gives_none(tmp_path):
    with morgana.run(endings("xen-x86"), arguments=["--how=wait"], settings={"machine": "xen-dom0"}) as vm:
        vm.expect("first: info: started", XEN_SECONDS)
        assert "core" not in vm.capabilities and "kill" in vm.capabilities
        with pytest.raises(morgana.NotSupported):
            vm.core(tmp_path / "core")


def test_a_simulated_guest_that_crashes_leaves_a_core_of_its_process(tmp_path):
    with morgana.run(endings("sim"), arguments=["--how=fault"], crash_core=tmp_path / "core") as vm:
        assert (vm.wait(), vm.reason, vm.errors) == (70, "crashed", [])
    assert vm.crash.core.read_bytes()[:4] == b"\x7fELF"


@pytest.mark.parametrize("target", ["unix", "xen-x86"])
def test_a_crash_without_room_for_its_core_says_so_and_is_a_crash(target, tmp_path):
    with morgana.run(endings(target), arguments=["--how=fault"], crash_core=tmp_path / "nowhere" / "core") as vm:
        assert (vm.wait(), vm.reason, vm.crash.core) == (70, "crashed", None)
        [why] = vm.errors
        assert "wrote no core" in why


@pytest.mark.parametrize("target", ["unix", "xen-x86"])
@pytest.mark.parametrize("how, status", [("return", 0), ("wait", 0)])
def test_who_does_not_crash_leaves_no_core(target, how, status, tmp_path):
    with morgana.run(endings(target), arguments=[f"--how={how}"], crash_core=tmp_path / "core") as vm:
        vm.expect("first: info: started")
        if how == "wait":
            vm.stop()
        assert (vm.wait(), vm.reason, vm.errors, vm.crash) == (status, "finished", [], None)
    assert not (tmp_path / "core").exists()


def test_a_crashed_guest_that_is_killed_while_its_core_is_made_ends(tmp_path):
    with morgana.run(endings(), arguments=["--how=fault"], crash_core=tmp_path / "core") as vm:
        vm.expect("end of crash report")
        vm.kill()
    assert vm.status in (70, 137)
