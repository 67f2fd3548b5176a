"""The target xen-x86 as the only domain of real Xen, its dom0: no Linux beside it, a second for each guest."""
import shutil

import pytest
from support import ROOT, built
from test_xen_bench import FIRST_SECONDS, RUN_SECONDS

APPS = ROOT / "tests/e2e/apps"


@pytest.fixture(scope="module")
def endings(tmp_path_factory):
    copy = tmp_path_factory.mktemp("xen") / "endings-lone"
    shutil.copytree(APPS / "endings", copy, ignore=shutil.ignore_patterns("build"))
    with (copy / "unikernel.toml").open("a") as description:
        description.write('\n[target.xen-x86]\nmachine = "xen-dom0"\n')
    return built(copy, "xen-x86")


def test_console_and_exit_status_arrive(endings):
    ended = endings.run("--code=124", seconds=FIRST_SECONDS).expect(124)
    assert ended.messages("first") == ["connected", "started", "disconnecting", "disconnected"]
    assert "(XEN)" not in ended.output


def test_an_orderly_stop_reaches_it_while_it_sleeps(endings):
    with endings.start("--how=wait") as guest:
        guest.wait_for("first: info: started", RUN_SECONDS)
        assert "second: info: disconnecting" in guest.stop(RUN_SECONDS).expect(0).output


def test_a_guest_that_reaches_its_memory_is_71(endings):
    assert "reason: out of memory" in endings.run("--how=memory", seconds=RUN_SECONDS).expect(71).output
