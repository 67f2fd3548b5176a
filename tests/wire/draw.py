"""What random packets are made of."""

import ipaddress

from scapy.layers.inet import IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_Router_Alert, IPOption_Timestamp


def bits(chance, size):
    """Edges more often than a uniform draw would have them."""
    return chance.choice([0, 1, (1 << size) - 1, 1 << (size - 1)]) if chance.random() < 0.2 else chance.getrandbits(size)


def payload(chance, most=64):
    return chance.randbytes(chance.choice([0, 1, 2, 3, most, chance.randrange(most + 1)]))


def mac(chance):
    return ":".join(f"{one:02x}" for one in chance.randbytes(6))


def ip4(chance):
    return str(ipaddress.IPv4Address(bits(chance, 32)))


def ip6(chance):
    raw = bytearray(chance.randbytes(16))
    if chance.random() < 0.5:  # runs of zeros, for the text form
        start = chance.randrange(16)
        raw[start:] = bytes(16 - start)
    return str(ipaddress.IPv6Address(bytes(raw)))


def same_address(left, right):
    return ipaddress.ip_address(left) == ipaddress.ip_address(right)


def ip4_options(chance):
    known = [
        lambda: IPOption_NOP(),
        lambda: IPOption_RR(routers=[ip4(chance) for _ in range(chance.randrange(1, 3))]),
        lambda: IPOption_LSRR(routers=[ip4(chance)]),
        lambda: IPOption_Router_Alert(),
        lambda: IPOption_Timestamp(flg=0, timestamp=bits(chance, 32)),
    ]
    return [chance.choice(known)() for _ in range(chance.randrange(4))]


def tcp_options(chance):
    """As scapy writes them, and within 40 bytes."""
    known = [
        (4, lambda: ("MSS", bits(chance, 16))),
        (3, lambda: ("WScale", bits(chance, 8))),
        (2, lambda: ("SAckOK", b"")),
        (10, lambda: ("Timestamp", (bits(chance, 32), bits(chance, 32)))),
        (1, lambda: ("NOP", None)),
        (10, lambda: ("TFO", (bits(chance, 32), bits(chance, 32)))),
        (4, lambda: (253, chance.randbytes(2))),
        (3, lambda: (14, chance.randbytes(1))),
    ]
    known += [(2 + 8 * n, lambda n=n: ("SAck", tuple(bits(chance, 32) for _ in range(2 * n)))) for n in (1, 2, 3, 4)]
    made, size, seen = [], 0, set()
    for _ in range(chance.randrange(7)):
        length, make = chance.choice(known)
        option = make()
        if size + length > 40 or option[0] in seen:
            continue
        if option[0] != "NOP":
            seen.add(option[0])
        made.append(option)
        size += length
    return made
