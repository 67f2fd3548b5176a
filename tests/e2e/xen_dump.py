"""A domain's memory as xl dump-core writes it, made by hand."""
import struct

RIP, RSP, CR3, CONTEXT_BYTES, PAGE = 648, 672, 5008, 5168, 4096


def dump(pages, registers):
    """`pages`: {number: bytes of a page}, `registers`: {offset in the context: value}."""
    context = bytearray(CONTEXT_BYTES)
    for offset, value in registers.items():
        struct.pack_into("<Q", context, offset, value)
    names = b"\0.shstrtab\0.xen_prstatus\0.xen_pages\0.xen_pfn\0"
    parts = [(".shstrtab", names), (".xen_prstatus", bytes(context)),
             (".xen_pages", b"".join(page.ljust(PAGE, b"\0") for page in pages.values())),
             (".xen_pfn", struct.pack(f"<{len(pages)}Q", *pages))]
    body, headers = b"", [bytes(64)]
    for name, data in parts:
        headers.append(struct.pack("<IIQQQQIIQQ", names.index(name.encode()), 1, 0, 0, 64 + len(body), len(data), 0, 0, 0, 0))
        body += data
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0,
                                                             64, len(headers), 1)
    return header + body + b"".join(headers)


def table(entries):
    """A page table: {position: entry}."""
    out = bytearray(PAGE)
    for position, entry in entries.items():
        struct.pack_into("<Q", out, 8 * position, entry)
    return bytes(out)


def one_page(at, data):
    """A domain with one page of memory at a virtual address; its page tables are the pages 1 to 4."""
    place = [(at >> shift) & 511 for shift in (39, 30, 21, 12)]
    pages = {number + 1: table({position: (number + 2) << 12 | 1}) for number, position in enumerate(place)}
    return dump({**pages, 5: data}, {CR3: 1 << 12, RIP: at, RSP: at + 8})
