"""Whole packets through a whole host: scapy makes what comes in and reads what goes out."""

import ipaddress

from scapy.contrib.igmpv3 import IGMPv3, IGMPv3mq, IGMPv3mr
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, IPOption_LSRR, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLQuery2,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6ParamProblem,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    HBHOptUnknown,
    IPerror6,
    defragment6,
    fragment6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.utils import checksum

import draw

mine, mine4, mine6 = "02:00:00:00:00:01", "10.0.0.1", "2001:db8::1"
peer, peer4, peer6 = "02:00:00:00:00:09", "10.0.0.9", "2001:db8::9"
local6 = "fe80::9"


def incoming(packet, destination=mine):
    return f"host input {bytes(Ether(src=peer, dst=destination) / packet).hex()}"


def meet():
    """The host learns the peer's link address in both families, so that nothing waits for it."""
    return [
        incoming(ARP(op=1, hwsrc=peer, psrc=peer4, hwdst="00:00:00:00:00:00", pdst=mine4), "ff:ff:ff:ff:ff:ff"),
        incoming(IPv6(src=peer6, dst=mine6, hlim=255) / ICMPv6ND_NS(tgt=mine6) / ICMPv6NDOptSrcLLAddr(lladdr=peer)),
    ]


def frames_of(answer):
    """What came out, read by scapy; every checksum is the one scapy would write."""
    made = []
    for text in answer["frames"]:
        raw = bytes.fromhex(text)
        frame = Ether(raw)
        rebuilt = Ether(raw)
        is_part = IPv6ExtHdrFragment in frame or (IP in frame and (frame[IP].frag != 0 or "MF" in frame[IP].flags))
        for layer in rebuilt.layers():
            if layer in (IPerror, IPerror6):
                break  # what is quoted has sums of its own
            # The sum of a datagram that was cut is over all of it.
            if is_part and layer is not IP:
                continue
            for name in ("chksum", "cksum"):
                if name in rebuilt[layer].fields:
                    rebuilt[layer].delfieldval(name)
        # UDP's sum of zero is written as all ones; every other is unique.
        assert bytes(rebuilt) == raw or (UDP in frame and frame[UDP].chksum == 0xFFFF), frame.show(dump=True)
        made.append(frame)
    return made


def test_arp_is_answered(codec, chance):
    lines, askers = [], []
    for _ in range(100):
        lines.append("host new")
        askers.append((draw.mac(chance)[:1] + "2" + draw.mac(chance)[2:], f"10.0.0.{chance.randrange(2, 255)}"))
        request = ARP(op=1, hwsrc=askers[-1][0], psrc=askers[-1][1], hwdst="00:00:00:00:00:00", pdst=mine4)
        lines.append(f"host input {bytes(Ether(src=askers[-1][0], dst='ff:ff:ff:ff:ff:ff') / request).hex()}")
    for (mac, address), answer in zip(askers, codec.ask(lines)[1::2]):
        (frame,) = frames_of(answer)
        assert (frame.dst, frame[ARP].op, frame[ARP].hwdst, frame[ARP].pdst) == (mac, 2, mac, address)
        assert (frame[ARP].hwsrc, frame[ARP].psrc) == (mine, mine4)


def test_udp_arrives_whole_in_fragments_of_any_order(codec, chance):
    lines, expected = ["host new"] + meet() + ["host read 53"], []
    for number in range(150):
        data = chance.randbytes(chance.choice([0, 1, 7, 1472, 1473, chance.randrange(9000), chance.randrange(40000)]))
        port = chance.randrange(1, 65536)
        if chance.random() < 0.5:
            # A source route would send the packet elsewhere.
            options = [one for one in draw.ip4_options(chance) if not isinstance(one, IPOption_LSRR)]
            whole = IP(src=peer4, dst=mine4, id=number + 1, options=options) / UDP(sport=port, dport=53) / Raw(data)
            parts = fragment(whole, fragsize=chance.randrange(64, 1400) // 8 * 8) if chance.random() < 0.7 else [whole]
        else:
            whole = IPv6(src=peer6, dst=mine6) / IPv6ExtHdrFragment(id=number + 1) / UDP(sport=port, dport=53) / Raw(data)
            parts = fragment6(whole, chance.randrange(1280, 1500))
        parts = [bytes(one) for one in parts]
        if chance.random() < 0.5:
            chance.shuffle(parts)
        kind = 0x86DD if parts[0][0] >> 4 == 6 else 0x800
        # More fragments than the host's limit are the host's to drop.
        if len(parts) > 64:
            continue
        lines += [f"host input {bytes(Ether(src=peer, dst=mine, type=kind) / Raw(part)).hex()}" for part in parts]
        lines.append("host read 53")
        expected.append((len(lines) - 1, data, port, peer6 if kind == 0x86DD else peer4))
    answers = codec.ask(lines)
    for at, data, port, source in expected:
        assert answers[at].get("data") == data.hex(), lines[at - 1][:200]
        address, _, number = answers[at]["from"].rpartition(":")
        assert draw.same_address(address.strip("[]"), source) and int(number) == port


def test_udp_leaves_whole_in_fragments(codec, chance):
    lines, expected = [], []
    for mtu in (1500, 1280, 9000, 576, 68):
        lines += [f"host new mtu={mtu}"] + meet()
        for _ in range(30):
            data = chance.randbytes(chance.choice([0, 1, 18, mtu - 28, mtu - 27, chance.randrange(4 * mtu)]))
            is_v6 = mtu >= 1280 and chance.random() < 0.5
            lines.append(f"host udp 5000 {f'[{peer6}]' if is_v6 else peer4}:77 {data.hex() or '-'}")
            expected.append((len(lines) - 1, mtu, is_v6, data))
    answers = codec.ask(lines)
    for at, mtu, is_v6, data in expected:
        assert answers[at]["good"]
        frames = frames_of(answers[at])
        assert frames and all(len(frame) - 14 <= mtu for frame in frames)
        packets = [frame.payload for frame in frames]
        if is_v6:
            whole = defragment6([IPv6(bytes(one)) for one in packets]) if len(packets) > 1 else packets[0]
            datagram = bytes(whole)[40:] if IPv6ExtHdrFragment not in whole else bytes(whole[IPv6ExtHdrFragment].payload)
            assert all(len(one) % 8 == 0 for one in packets[:-1])
        else:
            assert len({one.id for one in packets}) == 1
            assert [one.frag * 8 for one in packets] == [sum(len(p) - 20 for p in packets[:i]) for i in range(len(packets))]
            assert ["MF" in one.flags for one in packets] == [True] * (len(packets) - 1) + [False]
            datagram = b"".join(bytes(one.payload) for one in packets)
        read = UDP(datagram)
        assert (read.sport, read.dport, read.len) == (5000, 77, len(datagram)) and datagram[8:] == data
        network = IPv6(src=mine6, dst=peer6) if is_v6 else IP(src=mine4, dst=peer4)
        rebuilt = bytes(network / UDP(sport=5000, dport=77) / Raw(data))[40 if is_v6 else 20:]
        assert rebuilt == datagram


def test_echo_is_answered(codec, chance):
    lines, expected = ["host new"] + meet(), []
    for _ in range(100):
        named = dict(id=draw.bits(chance, 16), seq=draw.bits(chance, 16))
        data = draw.payload(chance, 1000)
        is_v6 = chance.random() < 0.5
        lines.append(incoming(IPv6(src=peer6, dst=mine6) / ICMPv6EchoRequest(data=data, **named) if is_v6 else
                              IP(src=peer4, dst=mine4) / ICMP(type=8, **named) / Raw(data)))
        expected.append((len(lines) - 1, is_v6, named, data))
    answers = codec.ask(lines)
    for at, is_v6, named, data in expected:
        (frame,) = frames_of(answers[at])
        reply = frame[ICMPv6EchoReply] if is_v6 else frame[ICMP]
        assert is_v6 or reply.type == 0
        assert (reply.id, reply.seq) == (named["id"], named["seq"])
        assert (bytes(reply.data) if is_v6 else bytes(reply.payload)) == data


def test_echo_requests_are_what_scapy_expects(codec, chance):
    lines = ["host new"] + meet()
    sizes = [chance.randrange(1400) for _ in range(50)]
    lines += [f"host ping {chance.choice([peer4, peer6])} {7 + i} {i} {size}" for i, size in enumerate(sizes)]
    for i, (size, answer) in enumerate(zip(sizes, codec.ask(lines)[3:])):
        (frame,) = frames_of(answer)
        asked = frame[ICMPv6EchoRequest] if ICMPv6EchoRequest in frame else frame[ICMP]
        assert (asked.id, asked.seq) == (7 + i, i)
        assert len(asked.data if ICMPv6EchoRequest in frame else asked.payload) == size


def test_errors_quote_what_they_are_about(codec, chance):
    lines, expected = ["host new"] + meet(), []
    for _ in range(60):
        data = draw.payload(chance, 1200)
        port = chance.randrange(1, 65536)
        is_v6 = chance.random() < 0.5
        packet = (IPv6(src=peer6, dst=mine6) if is_v6 else IP(src=peer4, dst=mine4)) / UDP(sport=port, dport=9) / Raw(data)
        lines.append(incoming(packet))
        expected.append((len(lines) - 1, is_v6, bytes(packet)))
    answers = codec.ask(lines)
    for at, is_v6, packet in expected:
        (frame,) = frames_of(answers[at])
        if is_v6:
            error = frame[ICMPv6DestUnreach]
            assert error.code == 4 and len(frame) - 14 <= 1280
            quoted = bytes(error)[8:]
        else:
            error = frame[ICMP]
            assert (error.type, error.code) == (3, 3) and len(frame) - 14 <= 576
            assert frame[IPerror].src == peer4
            quoted = bytes(error)[8:]
        assert len(quoted) >= min(len(packet), 28) and packet.startswith(quoted)


def test_unknown_options_are_reported_at_their_place(codec, chance):
    lines, expected = ["host new"] + meet(), []
    for _ in range(40):
        before = chance.randrange(3)
        header = chance.choice([IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt])
        options = [HBHOptUnknown(otype=0x1E, optdata=bytes(before)), HBHOptUnknown(otype=0x9E, optdata=b"")]
        packet = IPv6(src=peer6, dst=mine6) / header(options=options, autopad=1) / UDP(dport=9)
        lines.append(incoming(packet))
        expected.append((len(lines) - 1, bytes(packet).index(0x9E, 42)))
    answers = codec.ask(lines)
    for at, pointer in expected:
        (frame,) = frames_of(answers[at])
        assert (frame[ICMPv6ParamProblem].code, frame[ICMPv6ParamProblem].ptr) == (2, pointer)


def test_neighbour_solicitations_are_answered(codec, chance):
    lines, sources = [], []
    for _ in range(60):
        source = chance.choice([str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + chance.randbytes(8))), "::"])
        options = ICMPv6ND_NS(tgt=mine6)
        if source != "::":
            options /= ICMPv6NDOptSrcLLAddr(lladdr=peer)
        lines += ["host new", incoming(IPv6(src=source, dst="ff02::1:ff00:1", hlim=255) / options, "33:33:ff:00:00:01")]
        sources.append(source)
    for source, answer in zip(sources, codec.ask(lines)[1::2]):
        (frame,) = frames_of(answer)
        told = frame[ICMPv6ND_NA]
        assert draw.same_address(told.tgt, mine6) and told[ICMPv6NDOptDstLLAddr].lladdr == mine
        assert frame[IPv6].hlim == 255 and told.R == 0
        assert draw.same_address(frame[IPv6].dst, "ff02::1" if source == "::" else source)
        assert told.S == (source != "::")


def test_what_a_host_asks_its_link(codec, chance):
    """Solicitations of routers and of neighbours, and the connection that waits for them: all as scapy reads them."""
    answers = codec.ask(["host new router=1", "host connect [2001:db8::9]:80", "host connect 10.0.0.9:80"])
    seen = [frame for answer in answers for frame in frames_of(answer)]
    assert any(ICMPv6ND_RS in frame and frame[IPv6].dst == "ff02::2" for frame in seen)
    asked = [frame for frame in seen if ICMPv6ND_NS in frame and draw.same_address(frame[ICMPv6ND_NS].tgt, peer6)]
    assert asked and asked[0].dst == "33:33:ff:00:00:09" and asked[0][ICMPv6NDOptSrcLLAddr].lladdr == mine
    assert any(ARP in frame and frame[ARP].pdst == peer4 and frame[ARP].op == 1 for frame in seen)


def test_advertised_prefixes_become_addresses(codec, chance):
    lines, prefixes = [], []
    for _ in range(60):
        prefix = ipaddress.IPv6Network((b"\x20\x01" + chance.randbytes(6) + bytes(8), 64))
        packet = IPv6(src=local6, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(
            lladdr=peer) / ICMPv6NDOptPrefixInfo(prefix=str(prefix[0]), prefixlen=64, L=1, A=1)
        lines += ["host new router=1", incoming(packet, "33:33:00:00:00:01"), "host addresses"]
        prefixes.append(prefix)
    for prefix, answer in zip(prefixes, codec.ask(lines)[2::3]):
        assert any(ipaddress.ip_interface(one).ip in prefix for one in answer["addresses"]), (prefix, answer)


def test_syn_segments(codec, chance):
    answers = codec.ask(["host new"] + meet() + [f"host connect {peer4}:80", f"host connect [{peer6}]:443"])
    for answer, segment_size in zip(answers[-2:], (1460, 1440)):
        (frame,) = frames_of(answer)
        named = dict(frame[TCP].options)
        assert frame[TCP].flags == "S" and named["MSS"] == segment_size and named["SAckOK"] == b""
        assert "Timestamp" in named and named["WScale"] <= 14


def test_igmp_reports_and_queries(codec, chance):
    query = IP(src=peer4, dst="224.0.0.1", ttl=1, options=[IPOption_Router_Alert()]) / IGMPv3(mrcode=10) / IGMPv3mq()
    answers = codec.ask(["host new", "host join 239.1.2.3", incoming(query, "01:00:5e:00:00:01"), "host pass 3000",
                         "host leave 239.1.2.3"])
    # 4: joined, to exclude nobody; 2: is so; 3: left, to include nobody (RFC 3376 4.2.12).
    igmp = 2
    joined, told, left = ([frame for frame in frames_of(answers[i]) if IP in frame and frame[IP].proto == igmp] for i in (1, 3, 4))
    for frames, kind in ((joined, 4), (told, None), (left, 3)):
        assert frames
        for frame in frames:
            assert (frame[IP].dst, frame[IP].ttl, frame.dst) == ("224.0.0.22", 1, "01:00:5e:00:00:16")
            assert isinstance(frame[IP].options[0], IPOption_Router_Alert)
            # scapy knows the type, but takes a report for its own only when asked to.
            raw = bytes(frame[IP].payload)
            assert raw[0] == 0x22 and checksum(raw) == 0
            record = IGMPv3mr(raw[4:]).records[0]
            assert record.maddr == "239.1.2.3" and record.srcaddrs == []
            assert kind is None or record.rtype == kind


def test_mld_reports_and_queries(codec, chance):
    group = "ff05::1234"
    query = IPv6(src=local6, dst="ff02::1", hlim=1) / IPv6ExtHdrHopByHop(options=[]) / ICMPv6MLQuery2(mrd=1000)
    answers = codec.ask(["host new", f"host join {group}", incoming(query, "33:33:00:00:00:01"), "host pass 3000",
                         f"host leave {group}"])
    kinds = []
    for answer in answers[1:]:
        for frame in frames_of(answer):
            if ICMPv6MLReport2 not in frame or not draw.same_address(frame[ICMPv6MLReport2].records[0].dst, group):
                continue
            assert draw.same_address(frame[IPv6].dst, "ff02::16") and frame[IPv6].hlim == 1
            assert IPv6ExtHdrHopByHop in frame and frame[IPv6ExtHdrHopByHop].options[0].otype == 5
            assert frame[ICMPv6MLReport2].records_number == 1
            kinds.append(frame[ICMPv6MLReport2].records[0].rtype)
    assert kinds[0] == 4 and kinds[-1] == 3
