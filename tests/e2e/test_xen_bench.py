"""The target xen-x86 on real Xen: the bench boots a dom0 once and runs each guest as a domU (plugins/xen/bench)."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
from runner_client import Guest
from support import MORGANA, ROOT, built, morgana

APPS = ROOT / "tests/e2e/apps"
# The first run fetches Debian packages and boots dom0.
FIRST_SECONDS = 500
RUN_SECONDS = 150


def on_xen(source, folder):
    copy = folder / f"{source.name}-xen"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build"))
    with (copy / "unikernel.toml").open("a") as description:
        description.write('\n[target.xen-x86]\nmachine = "xen"\nmemory = "8 MiB"\n')
    return built(copy, "xen-x86")


@pytest.fixture(scope="module")
def endings(tmp_path_factory):
    application = on_xen(APPS / "endings", tmp_path_factory.mktemp("xen"))
    application.run(seconds=FIRST_SECONDS).expect(0)
    return application


@pytest.fixture(scope="module")
def attacks(endings, tmp_path_factory):
    return on_xen(APPS / "attacks", tmp_path_factory.mktemp("xen"))


def test_console_and_exit_status_arrive(endings):
    ended = endings.run("--code=124", seconds=RUN_SECONDS).expect(124)
    assert ended.messages("first") == ["connected", "started", "disconnecting", "disconnected"]


def test_time_passes_while_the_guest_is_halted(endings, tmp_path):
    ended = on_xen(ROOT / "examples/hello", tmp_path).run(seconds=RUN_SECONDS).expect(0)
    times = [float(time) for time in re.findall(r"^\[ *(\d+\.\d+)\] hello: info: hello$", ended.output, re.MULTILINE)]
    assert len(times) == 4
    assert all(later - sooner >= 0.999 for sooner, later in zip(times, times[1:]))


def test_xls_shutdown_is_an_orderly_stop(endings):
    with endings.start("--how=wait") as guest:
        guest.wait_for("first: info: started", RUN_SECONDS)
        ended = guest.stop(RUN_SECONDS).expect(0)
    assert re.findall(r"(first|second): info: disconnecting", ended.output) == ["second", "first"]


def test_a_guest_can_be_killed_before_it_runs(endings):
    with Guest(endings.build_folder / "xen-x86/endings.elf", arguments=["--how=wait"], machine="xen") as guest:
        guest.ask("kill")
        ended = guest.end()
    assert (ended["reason"], ended["status"]) == ("killed", 137), (guest.errors, guest.console)
    assert "started" not in guest.console


def test_arguments_arrive_whole(endings):
    ended = endings.run(r'--code=a "b\c,d', seconds=RUN_SECONDS).expect(64)
    assert r'a "b\c,d' in ended.output


def test_two_mib_of_memory_are_enough(endings):
    endings.run(driver=["--memory=2MiB"], seconds=RUN_SECONDS).expect(0)


def test_a_guest_that_reaches_its_memory_is_71(endings):
    assert "reason: out of memory" in endings.run("--how=memory", seconds=RUN_SECONDS).expect(71).output


def test_a_wait_that_fails_says_what_it_was_for(endings, tmp_path):
    (tmp_path / "image").write_bytes(b"no image")
    ours, theirs = socket.socketpair()
    guest = {"image": str(tmp_path / "image"), "memory_kib": 8192, "command_line": "", "networks": [], "disks": [],
             "hold_crashed": False}
    script = "import xen_bench; xen_bench.STEP_SECONDS = 0; xen_bench.main()"
    ended = subprocess.run([sys.executable, "-B", "-c", script, "--control", str(theirs.fileno()), "--core",
                            MORGANA.parents[1] / "libexec/morgana/xen-core", json.dumps(guest)],
                           cwd=ROOT / "plugins/xen/bench", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=RUN_SECONDS, pass_fds=[theirs.fileno()])
    ours.close(), theirs.close()
    assert ended.returncode != 0 and "dom0's answer did not come in time" in ended.stdout


@pytest.mark.skipif(not os.environ.get("MORGANA_TEST_LONG"), reason="scripts/test --long: some twenty boots of a domU")
def test_every_level_of_the_conformance_kit_is_passed_on_real_xen(endings, tmp_path):
    """By the same plugin, but for its name and where its guests run unless they say otherwise."""
    folder = tmp_path / "on"
    folder.mkdir()
    text = (ROOT / "plugins/xen/x86.toml").read_text().replace('"../../targets/', f'"{ROOT}/targets/')
    for old, new in (('name = "xen-x86"', 'name = "on-xen"'), ('machine = { type = "text", default = "auto"',
                                                               'machine = { type = "text", default = "xen"')):
        assert old in text
        text = text.replace(old, new)
    (folder / "xen.toml").write_text(text)
    shutil.copy(ROOT / "plugins/xen/devices.toml", folder)
    said = morgana("plugin", "check", "on-xen", seconds=FIRST_SECONDS, MORGANA_PLUGIN_PATH=str(tmp_path)).expect(0).output
    assert said.endswith("on-xen: 8 passed, 0 failed\n")


@pytest.mark.parametrize("how, reason, message", [
    ("write-code", "fault", "write to code"),
    ("write-constant", "fault", "write to constant data"),
    ("execute-data", "fault", "execution of data"),
    ("read-null", "fault", "access through a null pointer"),
    ("overflow", "stack overflow", "the stack is full"),
    ("smash", "stack smashed", "a function wrote past the end of a local array"),
])
def test_an_attack_dies_with_the_right_report(attacks, how, reason, message):
    ended = attacks.run(f"--how={how}", seconds=RUN_SECONDS).expect(70)
    assert f"reason: {reason}\nmessage: {message}\n" in ended.output
