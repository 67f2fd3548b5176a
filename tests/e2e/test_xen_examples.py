"""Examples as guests of Xen: clocks and stores both bare and on real Xen, networks on real Xen. The other examples do there
what they do on Unix (test_examples.py), or are with what they are there for (test_xen_x86.py, test_xen_network.py)."""
import datetime
import re

import pytest
from namespaces import OwnNamespace
from support import ROOT, RUN_SECONDS, Process, built
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
