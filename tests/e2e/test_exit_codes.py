"""Every row of docs/exit-codes.md, seen through `morgana run` on Unix."""
import os
import pathlib
import re
import shutil
import signal
import time

import pytest
from support import ROOT, RUN_SECONDS, built, morgana

APPS = ROOT / "tests/e2e/apps"
REPORT = re.compile(r"^---- morgana crash report ----\n(.*?)^---- end of crash report ----$", re.MULTILINE | re.DOTALL)


def endings(*arguments, **how):
    return built(APPS / "endings").run(*arguments, **how)


def children(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def process_of(guest):
    """The guest's process: the runner's child."""
    [process] = children(guest.runner)
    return process


# ---- what start() returned ----------------------------------------------------------------------------

@pytest.mark.parametrize("code", [0, 1, 62, 67, 73, 124])
def test_the_applications_own_code_arrives(code):
    endings(f"--code={code}").expect(code)


@pytest.mark.parametrize("code", [-1, 256])
def test_a_code_that_is_no_exit_status_becomes_66(code):
    ended = endings(f"--code={code}").expect(66)
    assert re.search(rf"^endings: start: .*{code}", ended.output, re.MULTILINE)


def test_help_is_63_and_start_is_not_called():
    ended = endings("--help").expect(63)
    assert "--how" in ended.output and "Options of the device first" in ended.output
    assert "started" not in ended.output


@pytest.mark.parametrize("argument, says", [("--hwo=trap", "--how"), ("--how=flying", "assertion"), ("--code=ten", "ten")])
def test_a_wrong_argument_is_64_and_says_what_would_be_right(argument, says):
    ended = endings(argument).expect(64)
    assert says in ended.output and "started" not in ended.output


def test_an_error_of_start_is_66_with_its_causes():
    ended = built(ROOT / "tests/conformance/guests/start-error").run().expect(66)
    assert re.search(r"^kit-start-error: start: ", ended.output, re.MULTILINE)


# ---- devices ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_a_device_that_does_not_connect_is_65_and_named(how):
    ended = endings(f"--second.{how}=true").expect(65)
    assert "start → second" in ended.output and "started" not in ended.output
    # The one that was up goes down again.
    assert ended.messages("first") == ["connected", "disconnecting", "disconnected"]


def test_a_device_nobody_attached_is_65():
    ended = built(ROOT / "tests/conformance/guests/missing-device").run().expect(65)
    assert "start → absent_disk" in ended.output


def test_devices_go_down_in_reverse():
    ended = endings().expect(0)
    going = re.findall(r"(first|second): info: (disconnect\w+)", ended.output)
    assert going == [("second", "disconnecting"), ("second", "disconnected"),
                     ("first", "disconnecting"), ("first", "disconnected")]


def test_a_device_that_does_not_go_down_is_72_and_named():
    ended = endings("--second.stays=true").expect(72)
    assert "start → second: did not disconnect" in ended.output
    assert ended.messages("first")[-1] == "disconnected"


# ---- stopping -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_cancels_start_then_takes_devices_down_in_reverse_and_is_0(number):
    with built(APPS / "endings").command("--how=wait") as guest:
        guest.wait_for("first: info: started")
        os.kill(guest._process.pid, number)
        ended = guest.wait().expect(0)
    assert re.findall(r"(first|second): info: disconnecting", ended.output) == ["second", "first"]


def test_a_second_stop_kills_and_is_137():
    with built(APPS / "endings").command("--how=wait", "--shutdown-grace=1h") as guest:
        guest.wait_for("first: info: started")
        os.kill(guest._process.pid, signal.SIGTERM)
        # The guest does not say that it was asked; a pending signal of the same number would be one with it.
        wait_for_signal_taken(guest._process.pid, signal.SIGTERM)
        os.kill(guest._process.pid, signal.SIGTERM)
        assert "disconnecting" not in guest.wait().expect(137).output


def wait_for_signal_taken(pid, number, seconds=RUN_SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pending = re.findall(r"^S(?:hd|ig)Pnd:\s*(\w+)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        if not any(int(mask, 16) >> (number - 1) & 1 for mask in pending):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} did not take signal {number}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_from_outside_is_128_and_its_number(number):
    with built(APPS / "endings").start("--how=wait") as guest:
        guest.wait_for("first: info: started")
        os.kill(process_of(guest), number)
        guest.wait().expect(128 + number)


# ---- crashes ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how, reason, function", [
    ("assertion", "assertion", "crash_on_purpose"),
    ("fault", "fault", "crash_on_purpose"),
    ("trap", "assertion", "crash_on_purpose"),
    ("overflow", "stack overflow", "crash_on_purpose"),
    ("smash", "stack smashed", "smash_on_purpose"),
    ("terminate", "assertion", "terminate"),
])
def test_a_crash_is_70_with_a_report_that_names_functions_and_their_places(how, reason, function):
    ended = endings(f"--how={how}").expect(70)
    report = REPORT.search(ended.output)
    assert report, ended.output
    assert f"reason: {reason}\n" in report[1]
    assert re.search(rf"^[ ?] \+0x[0-9a-f]+ .*{function}", report[1], re.MULTILINE), report[1]
    # Beside the guest's own words the driver knows the debug information: names as written, files and lines.
    places = ended.output[report.end():]
    if function != "terminate":
        assert re.search(rf"{function}\(.*\) at \S*unikernel\.hpp:\d+", places), places


def test_the_memory_limit_is_71_and_says_the_limit():
    ended = endings("--how=memory", memory="32 MiB").expect(71)
    report = REPORT.search(ended.output)
    assert report and "reason: out of memory\n" in report[1] and str(32 << 20) in report[1]


# ---- the driver's own failures ------------------------------------------------------------------------

def test_what_the_driver_cannot_do_is_125(tmp_path):
    ended = endings(driver=("--disk", f"storage={tmp_path / 'none.img'}")).expect(125)
    assert "none.img" in ended.output and "started" not in ended.output
    assert "no-such-size" in endings(driver=("--memory", "no-such-size")).expect(125).output


def test_a_guest_that_does_not_end_in_time_is_125():
    ended = endings("--how=wait", driver=("--timeout", "0.2")).expect(125)
    assert "--timeout" in ended.output
    assert re.findall(r"(first|second): info: disconnecting", ended.output) == ["second", "first"]


def test_an_application_that_cannot_be_built_is_125(tmp_path):
    shutil.copytree(APPS / "endings", tmp_path / "endings")
    source = tmp_path / "endings/unikernel.hpp"
    source.write_text(source.read_text() + "\nint broken = no_such_thing;\n")
    ended = morgana("run", tmp_path / "endings").expect(125)
    assert "no_such_thing" in ended.output


def test_wrong_usage_is_2():
    morgana("run", "--no-such-flag").expect(2)
