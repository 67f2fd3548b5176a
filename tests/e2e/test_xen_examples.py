"""Every example as a guest of Xen does what its README says: bare without devices, on real Xen with networks and disks.
hello, static_website and iperf3 are with what they are there for: test_xen_x86.py, test_xen_network.py."""
import datetime
import re

import pytest
from namespaces import OwnNamespace
from support import ROOT, RUN_SECONDS, Process, built
from test_examples import make_disk, sector, ticket
from test_linux_services import OFF_LINK, PAGE, Web, dnsmasq, leases, linux_side, tool
from test_xen_bench import FIRST_SECONDS
from test_xen_bench import RUN_SECONDS as XEN_SECONDS

ELSEWHERE = {"hello", "static_website", "network", "iperf3"}
BARE = {"app_info", "clock", "hello-key", "kv_ro", "local-library", "noop", "task_echo_server", "task_heads1", "task_heads2",
        "task_timeout1", "task_timeout2"}
WITH_DEVICES = {"block", "dhcp_server", "disk-lottery", "dns", "fetch"}


def example(name, *choices):
    return built(ROOT / "examples" / name, "xen-x86", choices)


def test_no_example_is_left_out():
    there = {folder.name for folder in (ROOT / "examples").iterdir() if (folder / "unikernel.toml").exists()}
    assert there == ELSEWHERE | BARE | WITH_DEVICES


# ---- bare ---------------------------------------------------------------------------------------------

def test_noop_ends_at_once():
    example("noop").run().expect(0)


def test_hello_key_says_its_option():
    app = example("hello-key")
    assert app.run().expect(0).messages("hello") == ["Hello World!"] * 4
    assert app.run("--hello=Good morning").expect(0).messages("hello") == ["Good morning"] * 4


def test_local_library_uses_its_library():
    assert example("local-library").run().expect(0).messages("hello") == ["hello from a local library"]


def test_app_info_lists_the_packages_of_its_image():
    assert "llhttp 9.2.1 (MIT)" in example("app_info").run().expect(0).output.replace("\r", "").splitlines()


def test_echo_server_echoes_ten_lines():
    said = example("task_echo_server").run("--delay-max=20ms").expect(0).messages("echo")
    assert len(said) == 11 and said[-1] == "Finished"
    assert all(re.fullmatch("a{1,20}", line) for line in said[:-1])


def test_heads_come_before_tails_and_both_before_the_end():
    assert example("task_heads1").run().expect(0).messages("heads") == ["Heads", "Tails", "Finished"]
    assert example("task_heads2").run().expect(0).messages("heads") == ["Heads", "Tails", "Finished: Heads and Tails"]


@pytest.mark.parametrize("name", ["task_timeout1", "task_timeout2"])
def test_a_task_returns_or_is_cancelled(name):
    app = example(name)
    assert app.run("--delay=1ms").expect(0).messages("timeout") == ["Returned Heads"]
    assert app.run("--delay=1h").expect(0).messages("timeout") == ["Cancelled"]


@pytest.mark.parametrize("machine", ["microvm", "xen"])
def test_clock_tells_both_times(machine):
    """Civil time is the host's, also where Xen has it from a machine that was kept for days."""
    said = example("clock", f"--machine={machine}").run("--times=2", seconds=FIRST_SECONDS).expect(0).messages("clock")
    form = r"(\d+) ns since boot, (20\d\d-\d\d-\d\d \d\d:\d\d:\d\d) \+00:00"
    (first, civil), (second, _) = (re.fullmatch(form, line).groups() for line in said)
    assert int(second) - int(first) >= 9 * 10**8   # of the moment at which the tasks that are ready were begun with
    told = datetime.datetime.fromisoformat(civil).replace(tzinfo=datetime.timezone.utc)
    assert abs(datetime.datetime.now(datetime.timezone.utc) - told) < datetime.timedelta(minutes=10)


@pytest.mark.parametrize("machine", ["microvm", "xen"])
def test_kv_ro_finds_its_secret(machine):
    said = example("kv_ro", f"--machine={machine}").run(seconds=FIRST_SECONDS).expect(0).messages("kv_ro")
    assert "matches" in said[0]


# ---- disks on real Xen --------------------------------------------------------------------------------

def test_block_passes_ten_checks(tmp_path):
    ended = example("block").run(driver=make_disk(tmp_path / "disk.img", 4096), seconds=FIRST_SECONDS).expect(0)
    assert ended.messages("block")[-1] == "10 started, 10 passed, 0 failed"


def test_disk_lottery_keeps_the_highest_score(tmp_path):
    path = tmp_path / "disk.img"
    disk = make_disk(path, 8)
    lottery = example("disk-lottery")
    best = 0
    for _ in range(2):
        said = lottery.run("--slot=2", driver=disk, seconds=XEN_SECONDS).expect(0).messages("lottery")[-1]
        drawn, outcome, before = re.fullmatch(r"drew (\d+): you (win|lose), the high score (?:is|was) (\d+)", said).groups()
        assert int(before) == best
        assert (outcome == "win") == (int(drawn) > best)
        best = max(best, int(drawn))
        assert sector(path, 2) == ticket(best).ljust(512, b"\0")


# ---- networks on real Xen -----------------------------------------------------------------------------

def test_fetch_gets_a_page_by_name_with_an_address_by_dhcp(tmp_path):
    app = example("fetch", "--network.use=direct")

    def work():
        linux_side("10.0.0.1/24")
        with Web() as web, dnsmasq(tmp_path, *leases(), f"--host-record=www.test,{OFF_LINK}") as server:
            ended = app.run("--host=www.test", f"--port={web.port}", "--network.ipv4=dhcp", seconds=XEN_SECONDS,
                            driver=("--network", "network_device=tap:guest0")).expect(0)
            said = ended.messages("fetch")
            assert said[0] == f"connected to {OFF_LINK}:{web.port}"
            assert said[1].startswith("HTTP/1.0 200") and int(said[2].split()[0]) > len(PAGE)
            server.wait_for(r"DHCPRELEASE\(guest0\) 10\.0\.0\.[56]\d")
            server.stop()

    OwnNamespace(work)


def test_dns_resolves_a_name(tmp_path):
    app = example("dns", "--dns_network.use=direct")

    def work():
        linux_side("10.0.0.1/24")
        with dnsmasq(tmp_path, "--host-record=www.test,192.0.2.1,2001:db8:9::1", "--cname=alias.test,www.test") as server:
            ended = app.run("--name=alias.test", "--dns.servers=10.0.0.1", seconds=XEN_SECONDS,
                            driver=("--network", "tap:guest0")).expect(0)
            assert sorted(ended.messages("dns")) == ["alias.test has address 192.0.2.1", "alias.test has address 2001:db8:9::1"]
            server.stop()

    OwnNamespace(work)


def test_dhcp_server_leases_to_a_client_of_linux(tmp_path):
    app = example("dhcp_server")
    script = tmp_path / "told"
    script.write_text(f'#!/bin/sh\nenv | grep -E "^(ip|subnet|router|dns|lease|serverid)=" >{tmp_path}/$1\n')
    script.chmod(0o755)

    def work():
        linux_side()
        with app.start("--network.ipv4=10.0.0.1/24", "--first=10.0.0.100", "--last=10.0.0.100", "--lease-seconds=600",
                       driver=("--network", "network_device=tap:guest0")) as guest:
            guest.wait_for("addresses 10.0.0.100 to 10.0.0.100", XEN_SECONDS)
            Process([tool("udhcpc", "udhcpc"), "-i", "guest0", "-f", "-q", "-n", "-t", "20", "-T", "1", "-R", "-s",
                     script]).wait(RUN_SECONDS).expect(0)
            told = dict(line.split("=", 1) for line in (tmp_path / "bound").read_text().splitlines())
            assert (told["ip"], told["lease"], told["serverid"]) == ("10.0.0.100", "600", "10.0.0.1")
            guest.stop(XEN_SECONDS).expect(0)

    OwnNamespace(work)
