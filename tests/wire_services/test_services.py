"""DNS, DHCPv4 and DHCPv6: what scapy writes we read, and what we write of it scapy reads the same."""

import ipaddress
import json
import os
import random
import subprocess

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DHCP6_Reply,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptRapidCommit,
    DHCP6OptServerId,
    DHCP6OptStatusCode,
    DUID_LL,
)
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRROPT, DNSRRSOA

cases = 200
seed = os.environ.get("MORGANA_WIRE_SEED", "1")


def ask(lines):
    program = os.environ.get("MORGANA_SERVICES_CODEC")
    assert program, "MORGANA_SERVICES_CODEC names the program test_services_codec (ctest sets it)"
    run = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(lines)
    return answers


@pytest.fixture
def chance(request):
    print(f"MORGANA_WIRE_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")


def v4(chance):
    return str(ipaddress.IPv4Address(chance.randrange(1 << 32)))


def v6(chance):
    return str(ipaddress.IPv6Address(chance.randrange(1 << 128)))


def mac(chance):
    return ":".join(f"{chance.randrange(256):02x}" for _ in range(6))


def name(chance):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return ".".join("".join(chance.choices(letters, k=chance.randrange(1, 20))) for _ in range(chance.randrange(1, 6)))


def dns_packet(chance):
    asked = name(chance)
    kind = chance.choice([1, 28])
    alias = name(chance)
    answers = DNSRR(rrname=asked, type=5, ttl=chance.randrange(1 << 31), rdata=alias)
    count = chance.randrange(4)
    for _ in range(count):
        answers /= DNSRR(rrname=alias, type=kind, ttl=chance.randrange(1 << 31), rdata=v4(chance) if kind == 1 else v6(chance))
    return DNS(id=chance.randrange(1 << 16), qr=1, rd=1, ra=1, tc=chance.randrange(2), rcode=chance.randrange(6),
               qd=DNSQR(qname=asked, qtype=kind), an=answers, ancount=count + 1, ar=DNSRROPT(rclass=1232), arcount=1)


def test_dns_messages(chance):
    made = [dns_packet(chance) for _ in range(cases)]
    for sent, read in zip(made, ask([f"dns {bytes(one).hex()}" for one in made])):
        assert (read["id"], read["truncated"], read["code"]) == (sent.id, bool(sent.tc), sent.rcode)
        assert read["questions"] == [{"name": sent.qd.qname.decode().rstrip("."), "type": sent.qd.qtype}]
        found = [one for one in read["records"] if one["section"] == 0]
        assert found[0]["target"] == sent.an[0].rdata.decode().rstrip(".")
        for ours, theirs in zip(found[1:], [sent.an[i] for i in range(1, sent.ancount)], strict=True):
            assert ipaddress.ip_address(ours["address"]) == ipaddress.ip_address(theirs.rdata)
            assert ours["ttl"] == theirs.ttl
        assert read["records"][-1]["udp_bytes"] == 1232
        again = DNS(bytes.fromhex(read["again"]))
        assert (again.id, again.tc, again.rcode, again.ancount) == (sent.id, sent.tc, sent.rcode, sent.ancount)
        assert again.qd.qname == sent.qd.qname
        for i in range(sent.ancount):
            assert (again.an[i].rrname, again.an[i].type, again.an[i].rdata) == (
                sent.an[i].rrname, sent.an[i].type, sent.an[i].rdata)


def test_compressed_dns_names_and_the_authority_of_negative_answers(chance):
    lines, expected = [], []
    for _ in range(cases):
        zone = name(chance)
        minimum = chance.randrange(1 << 31)
        packet = DNS(qr=1, rcode=3, qd=DNSQR(qname="www." + zone), nscount=1,
                     ns=DNSRRSOA(rrname=zone, mname="ns." + zone, rname="admin." + zone, minimum=minimum, ttl=5))
        lines.append(f"dns {bytes(packet.compress()).hex()}")
        expected.append((zone, minimum))
    for (zone, minimum), read in zip(expected, ask(lines)):
        assert read["records"][0]["name"] == zone
        assert read["records"][0]["minimum"] == minimum


def test_dhcp4_messages(chance):
    made = []
    for _ in range(cases):
        hardware = mac(chance)
        kind = chance.randrange(1, 9)
        options = [
            ("message-type", kind), ("server_id", v4(chance)), ("lease_time", chance.randrange(1 << 32)),
            ("renewal_time", chance.randrange(1 << 32)), ("subnet_mask", v4(chance)),
            ("router", *[v4(chance) for _ in range(chance.randrange(1, 4))]),
            ("name_server", *[v4(chance) for _ in range(chance.randrange(1, 4))]),
            ("domain", name(chance).encode()), ("interface-mtu", chance.randrange(68, 65536)),
            ("client_id", bytes(chance.randrange(256) for _ in range(chance.randrange(2, 40)))), "end",
        ]
        head = BOOTP(op=chance.choice([1, 2]), xid=chance.randrange(1 << 32), flags=chance.choice([0, 0x8000]),
                     yiaddr=v4(chance), ciaddr=v4(chance), chaddr=bytes.fromhex(hardware.replace(":", "")))
        made.append((hardware, dict((one[0], one[1:]) for one in options if one != "end"), head / DHCP(options=options)))
    for (hardware, options, sent), read in zip(made, ask([f"dhcp4 {bytes(one[2]).hex()}" for one in made])):
        # The option that scapy calls name_server is IEN 116's (5); its list of DNS servers has a name of its own.
        assert (read["type"], read["transaction"], read["hardware"]) == (options["message-type"][0], sent.xid, hardware)
        assert (read["yours"], read["client"], read["broadcast"]) == (sent.yiaddr, sent.ciaddr, bool(sent.flags))
        assert read["server"] == options["server_id"][0]
        assert (read["lease"], read["renewal"]) == (options["lease_time"][0], options["renewal_time"][0])
        assert read["mask"] == options["subnet_mask"][0]
        assert read["routers"] == list(options["router"])
        assert read["domain"] == options["domain"][0].decode()
        assert read["mtu"] == options["interface-mtu"][0]
        assert read["identifier"] == options["client_id"][0].hex()
        again = BOOTP(bytes.fromhex(read["again"]))
        theirs = {one[0]: one[1:] for one in again[DHCP].options if isinstance(one, tuple)}
        for key in options.keys() - {"name_server"}:
            assert theirs[key] == options[key], key
        assert (again.xid, again.yiaddr, again.ciaddr, int(again.flags)) == (sent.xid, sent.yiaddr, sent.ciaddr, int(sent.flags))


def duid(chance):
    return DUID_LL(lladdr=mac(chance))


def test_dhcp6_messages(chance):
    made = []
    for _ in range(cases):
        client, server = duid(chance), duid(chance)
        leases = [(v6(chance), chance.randrange(1 << 32), chance.randrange(1 << 32)) for _ in range(chance.randrange(1, 4))]
        servers = [v6(chance) for _ in range(chance.randrange(1, 4))]
        status = chance.choice([0, 1, 5])
        identity, t1 = chance.randrange(1 << 32), chance.randrange(1 << 32)
        rapid = chance.random() < 0.5
        packet = (chance.choice([DHCP6_Reply, DHCP6_Solicit])(trid=chance.randrange(1 << 24))
                  / DHCP6OptClientId(duid=client) / DHCP6OptServerId(duid=server)
                  / DHCP6OptIA_NA(iaid=identity, T1=t1, T2=7, ianaopts=[
                      DHCP6OptIAAddress(addr=a, preflft=p, validlft=v) for a, p, v in leases])
                  / DHCP6OptStatusCode(statuscode=status, statusmsg=b"as it is") / DHCP6OptDNSServers(dnsservers=servers))
        if rapid:
            packet /= DHCP6OptRapidCommit()
        made.append((packet, client, server, leases, servers, status, identity, t1, rapid))
    for one, read in zip(made, ask([f"dhcp6 {bytes(one[0]).hex()}" for one in made])):
        packet, client, server, leases, servers, status, identity, t1, rapid = one
        assert (read["type"], read["transaction"]) == (packet.msgtype, packet.trid)
        assert (read["client"], read["server"]) == (bytes(client).hex(), bytes(server).hex())
        assert (read["association"], read["renewal"], read["status"]) == (identity, t1, status)
        assert [(ipaddress.ip_address(x["address"]), x["preferred"], x["valid"]) for x in read["leases"]] == [
            (ipaddress.ip_address(a), p, v) for a, p, v in leases]
        assert [ipaddress.ip_address(x) for x in read["name_servers"]] == [ipaddress.ip_address(x) for x in servers]
        assert read["rapid_commit"] == rapid
        again = type(packet)(bytes.fromhex(read["again"]))
        assert again.trid == packet.trid
        assert bytes(again[DHCP6OptClientId].duid) == bytes(client)
        assert [x.addr for x in again[DHCP6OptIA_NA].ianaopts] == [
            str(ipaddress.ip_address(a)) for a, _, _ in leases]
        assert (DHCP6OptRapidCommit in again) == rapid
