"""Guests on the direct stack and the servers that Linux hosts have: dnsmasq for DHCP, DHCPv6 and names, radvd for router
advertisements, udhcpc as a client of our DHCP server. All of it in a namespace of the test's own."""
import http.server
import os
import re
import shutil
import socket
import threading

from namespaces import OwnNamespace, ip
from support import ROOT, RUN_SECONDS, Process, built

STREAMS = ROOT / "tests/e2e/apps/streams"
FETCH, DNS, DHCP_SERVER = (ROOT / "examples" / name for name in ("fetch", "dns", "dhcp_server"))
OFF_LINK = "192.0.2.1"
PAGE = b"a page of the test's own\n" * 300


def tool(name, package):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert found, f"this test needs `{name}`: apt-get install {package}"
    return found


def linux_side(*addresses, name="guest0"):
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{OFF_LINK}/32", "dev", "lo")
    ip("tuntap", "add", "dev", name, "mode", "tap")
    ip("link", "set", name, "up")
    for address in addresses:
        ip("address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))


def dnsmasq(folder, *arguments, ready="started"):
    """dnsmasq on guest0, without any of the machine's files; its log is its output."""
    process = Process([tool("dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=",
                       "--log-facility=-", "--log-dhcp", "--log-queries", "--user=root", "--no-resolv", "--no-hosts",
                       "--interface=guest0", "--bind-dynamic", f"--dhcp-leasefile={folder / 'leases'}", *arguments])
    process.wait_for(ready)
    return process


def leases(first="10.0.0.50", last="10.0.0.60", *options):
    # dnsmasq leases for two minutes at least; options 58 and 59 say when to ask again.
    return [f"--dhcp-range={first},{last},255.255.255.0,2m", "--dhcp-option=58,3", "--dhcp-option=59,100",
            "--dhcp-option=option:router,10.0.0.1", "--dhcp-option=option:dns-server,10.0.0.1", "--no-ping", *options]


class Web:
    """One page at any path, on every address of this thread's namespace."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(PAGE)))
                self.end_headers()
                self.wfile.write(PAGE)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
            daemon_threads = True

        self.server = Server(("::", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def echo(address):
    with socket.create_connection((address, 7), timeout=RUN_SECONDS) as one:
        one.sendall(b"anyone there?")
        one.shutdown(socket.SHUT_WR)
        said = b""
        while part := one.recv(100):
            said += part
    assert said == b"anyone there?"


def fetch_by_name(app, web, name, *arguments):
    ended = app.run(f"--host={name}", f"--port={web.port}", *arguments,
                    driver=("--network", "network_device=tap:guest0")).expect(0)
    said = ended.messages("fetch")
    assert said[1].startswith("HTTP/1.0 200") and re.fullmatch(r"\d+ bytes", said[2]), ended.output
    assert int(said[2].split()[0]) > len(PAGE)
    return said[0]


# ---- DHCPv4 -------------------------------------------------------------------------------------------

def test_a_guest_leases_its_address_router_and_name_server_from_dnsmasq(tmp_path):
    app = built(FETCH, choices=["--network.use=direct"])

    def work():
        linux_side("10.0.0.1/24")
        with Web() as web, dnsmasq(tmp_path, *leases(), f"--host-record=www.test,{OFF_LINK}") as server:
            # The page is behind the router of the lease, its name with the name server of the lease.
            assert fetch_by_name(app, web, "www.test", "--network.ipv4=dhcp") == f"connected to {OFF_LINK}:{web.port}"
            server.wait_for(r"DHCPACK\(guest0\) 10\.0\.0\.[56]\d")
            server.wait_for(r"query\[A\] (?i:www\.test) from 10\.0\.0\.[56]\d")
            server.wait_for(r"DHCPRELEASE\(guest0\) 10\.0\.0\.[56]\d")   # given back at the end
            server.stop()

    OwnNamespace(work)


def test_a_lease_is_renewed_and_a_refusal_makes_the_guest_ask_anew(tmp_path):
    app = built(STREAMS)

    def work():
        linux_side("10.0.0.1/24")
        with app.start("--network.ipv4=dhcp", driver=("--network", "tap:guest0")) as guest:
            with dnsmasq(tmp_path, *leases()) as server:
                first = guest.wait_for(r"(10\.0\.0\.[56]\d)/24 by DHCP from 10\.0\.0\.1 for 120 s")[1]
                guest.wait_for("ready")
                echo(first)
                server.wait_for(rf"(?s)(DHCPACK\(guest0\) {first}.*){{2}}")   # at T1
                echo(first)
                assert len(re.findall("DHCPDISCOVER", server.output)) == 1
                server.stop()
            # Another server, which knows nothing of that lease and says so: its pool is another one.
            (tmp_path / "leases").unlink()
            with dnsmasq(tmp_path, *leases("10.0.0.70", "10.0.0.80", "--dhcp-authoritative")) as server:
                server.wait_for(rf"DHCPNAK\(guest0\) {first}", seconds=90)
                second = guest.wait_for(r"(10\.0\.0\.[78]\d)/24 by DHCP from 10\.0\.0\.1")[1]
                assert f"{first}/24: the lease is over" in guest.output or "is not ours any more" in guest.output
                echo(second)
                guest.stop().expect(0)
                server.wait_for(rf"DHCPRELEASE\(guest0\) {second}")
                server.stop()

    OwnNamespace(work)


def test_an_address_that_another_host_has_is_declined(tmp_path):
    app = built(STREAMS)

    def work():
        # Linux itself answers for the only address that dnsmasq offers first.
        linux_side("10.0.0.1/24", "10.0.0.50/24")
        with dnsmasq(tmp_path, *leases("10.0.0.50", "10.0.0.51")) as server, \
                app.start("--network.ipv4=dhcp", driver=("--network", "tap:guest0")) as guest:
            found = server.wait_for(r"(?s)DHCPACK\(guest0\) (10\.0\.0\.5[01])")[1]
            if found == "10.0.0.50":
                server.wait_for(r"DHCPDECLINE\(guest0\) 10\.0\.0\.50")
            guest.wait_for(r"10\.0\.0\.51/24 by DHCP")
            guest.wait_for("ready")
            guest.stop().expect(0)
            server.stop()

    OwnNamespace(work)


def test_our_dhcp_server_leases_to_a_client_of_linux(tmp_path):
    app = built(DHCP_SERVER)
    script = tmp_path / "told"
    script.write_text(f'#!/bin/sh\nenv | grep -E "^(ip|subnet|router|dns|lease|serverid)=" >{tmp_path}/$1\n')
    script.chmod(0o755)

    def work():
        linux_side()
        with app.start("--network.ipv4=10.0.0.1/24", "--first=10.0.0.100", "--last=10.0.0.101", "--lease-seconds=600",
                       "--router=10.0.0.1", "--name-server=10.0.0.9", driver=("--network", "network_device=tap:guest0")) as guest:
            guest.wait_for("addresses 10.0.0.100 to 10.0.0.101")
            for _ in range(2):   # the second time, the same address
                done = Process([tool("udhcpc", "udhcpc"), "-i", "guest0", "-f", "-q", "-n", "-t", "10", "-T", "1", "-R",
                                "-O", "router", "-O", "dns", "-s", script]).wait()
                done.expect(0)
                told = dict(line.split("=", 1) for line in (tmp_path / "bound").read_text().splitlines())
                address = told["ip"]
                assert told == {"ip": address, "subnet": "255.255.255.0", "router": "10.0.0.1", "dns": "10.0.0.9",
                                "lease": "600", "serverid": "10.0.0.1"}
                assert address in ("10.0.0.100", "10.0.0.101")
            guest.stop().expect(0)

    OwnNamespace(work)


# ---- IPv6 ---------------------------------------------------------------------------------------------

def radvd(folder, text):
    (folder / "radvd.conf").write_text(text)
    process = Process([tool("radvd", "radvd"), "-n", "-C", folder / "radvd.conf", "-p", folder / "radvd.pid", "-m", "stderr",
                       "-d", "1"])
    return process


def test_a_guest_makes_its_address_and_finds_names_by_advertisements_of_radvd(tmp_path):
    app = built(FETCH, choices=["--network.use=direct"])

    def work():
        linux_side("2001:db8:1::1/64")
        ip("address", "add", "2001:db8:9::1/128", "dev", "lo", "nodad")
        with Web() as web, dnsmasq(tmp_path, "--host-record=six.test,2001:db8:9::1") as server, radvd(tmp_path, """
                interface guest0 {
                  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 60; AdvLinkMTU 1400;
                  prefix 2001:db8:1::/64 { AdvOnLink on; AdvAutonomous on; };
                  RDNSS 2001:db8:1::1 { AdvRDNSSLifetime 60; };
                };""") as routers:
            said = fetch_by_name(app, web, "six.test", "--network.ipv4=none")
            assert said == f"connected to [2001:db8:9::1]:{web.port}"
            server.wait_for(r"query\[AAAA\] (?i:six\.test) from 2001:db8:1:0?:[0-9a-f:]+")
            routers.stop()
            server.stop()

    OwnNamespace(work)


def test_a_guest_leases_an_ipv6_address_from_dnsmasq(tmp_path):
    app = built(STREAMS)

    def work():
        linux_side("2001:db8:2::1/64")
        with dnsmasq(tmp_path, "--enable-ra", "--dhcp-range=2001:db8:2::100,2001:db8:2::1ff,64,2m",
                     "--dhcp-option=option6:dns-server,[2001:db8:2::1]") as server, \
                app.start("--network.ipv4=none", driver=("--network", "tap:guest0")) as guest:
            address = guest.wait_for(r"(2001:db8:2::1[0-9a-f]{2})\S* by DHCPv6")[1]
            guest.wait_for("ready")
            server.wait_for(rf"DHCPREPLY\(guest0\) {address}|{address}")
            echo(address)
            guest.stop().expect(0)
            server.wait_for(r"DHCPRELEASE\(guest0\)")
            server.stop()

    OwnNamespace(work)


# ---- names --------------------------------------------------------------------------------------------

def test_the_dns_example_resolves_names_that_dnsmasq_has(tmp_path):
    app = built(DNS, choices=["--dns_network.use=direct"])

    def work():
        linux_side("10.0.0.1/24")
        with dnsmasq(tmp_path, "--host-record=www.test,192.0.2.1,2001:db8:9::1", "--cname=alias.test,www.test") as server:
            ended = app.run("--name=alias.test", "--dns.servers=10.0.0.1", driver=("--network", "tap:guest0")).expect(0)
            assert sorted(ended.messages("dns")) == ["alias.test has address 192.0.2.1", "alias.test has address 2001:db8:9::1"]
            ended = app.run("--name=nobody.test", "--dns.servers=10.0.0.1", driver=("--network", "tap:guest0"))
            assert ended.code != 0 and "resolve" in ended.output
            server.stop()

    OwnNamespace(work)
