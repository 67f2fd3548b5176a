"""A domain's memory as xl dump-core writes it (Xen's docs/misc/dump-core-format.txt), made into a core file that gdb opens.

Xen's file has the pages by their physical numbers and the processors' registers in a form of its own. gdb wants the guest's
own addresses, which its page tables tell, and its registers as Linux has them. Page tables are the guest's: whatever stands
in them, this ends."""
import mmap
import struct

PAGE = 4096
# struct vcpu_guest_context of Xen's public/arch-x86/xen.h, for x86-64: offsets in bytes.
REGISTERS, RIP, RFLAGS, RSP, SS, DS, ES, FS, GS = 520, 648, 664, 672, 680, 696, 688, 704, 712
CS, CR3, FS_BASE, GS_BASE, CONTEXT_BYTES = 656, 5008, 5144, 5160, 5168
# Of a page table's entry.
IS_PRESENT, IS_LARGE, FRAME = 1, 1 << 7, 0x000f_ffff_ffff_f000
# Linux's struct elf_prstatus, x86-64.
PRSTATUS_BYTES, PRSTATUS_REGISTERS = 336, 112
NT_PRSTATUS, PT_LOAD, PT_NOTE = 1, 1, 4


class CoreError(Exception):
    pass


# What convert() raises: also what a broken file comes to.
FAILURES = (CoreError, OSError, ValueError, IndexError, struct.error)


class Dump:
    """What xl wrote: `registers` of the first processor, `frames`, the place in the file of each page by its number."""

    def __init__(self, data):
        self.data = data
        if data[:6] != b"\x7fELF\x02\x01":
            raise CoreError("xl wrote no core")
        [table], [count, names] = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HH", data, 60)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * number) for number in range(count)]
        texts = headers[names][4]
        sections = {data[texts + one[0]:data.find(b"\0", texts + one[0])].decode(errors="replace"): (one[4], one[5])
                    for one in headers}
        for wanted in (".xen_prstatus", ".xen_pfn", ".xen_pages"):
            if wanted not in sections:
                raise CoreError(f"xl's core has no section {wanted}")
        place, size = sections[".xen_prstatus"]
        self.registers = data[place:place + CONTEXT_BYTES]
        if size < CONTEXT_BYTES or len(self.registers) < CONTEXT_BYTES:
            raise CoreError("xl's core has no registers")
        (numbers, size), (pages, held) = sections[".xen_pfn"], sections[".xen_pages"]
        count = min(size // 8, held // PAGE, max(0, len(data) - pages) // PAGE)
        self.frames = {number: pages + PAGE * position
                       for position, number in enumerate(struct.unpack_from(f"<{count}Q", data, numbers))}

    def word(self, offset):
        return struct.unpack_from("<Q", self.registers, offset)[0]

    def entries(self, table):
        place = self.frames.get(table)
        return () if place is None else struct.unpack_from("<512Q", self.data, place)

    def mappings(self):
        """(virtual address, page number, pages) by the page tables, in order of addresses."""
        # A table that is many tables' serves no honest guest, and would have no end.
        left = 2 * len(self.frames) + 512
        waiting = [(4, 0, (self.word(CR3) & FRAME) // PAGE)]
        while waiting:
            level, begin, table = waiting.pop()
            left -= 1
            if left < 0:
                raise CoreError("the guest's page tables have no end")
            below = []
            for position, entry in enumerate(self.entries(table)):
                if not entry & IS_PRESENT:
                    continue
                address = begin + (position << 12 + 9 * (level - 1))
                if level == 4 and position >= 256:
                    address |= 0xffff << 48
                number = (entry & FRAME) // PAGE
                if level == 1 or level <= 3 and entry & IS_LARGE:
                    pages = 1 << 9 * (level - 1)
                    yield address, number & -pages, pages
                else:
                    below.append((level - 1, address, number))
            waiting += reversed(below)

    def segments(self):
        """(virtual address, place in the dump, bytes), each as long as addresses and places both go on."""
        begin, place, size = 0, 0, 0
        for address, number, pages in sorted(self.mappings()):
            for position in range(pages):
                at = self.frames.get(number + position)
                if at is None:
                    continue
                if size and (address + PAGE * position, at) == (begin + size, place + size):
                    size += PAGE
                    continue
                if size:
                    yield begin, place, size
                begin, place, size = address + PAGE * position, at, PAGE
        if size:
            yield begin, place, size

    def prstatus(self):
        """The registers as a note of Linux's."""
        out = bytearray(PRSTATUS_BYTES)
        struct.pack_into("<I", out, 32, 1)
        # r15 to rdi stand in the same order in both.
        values = [self.word(REGISTERS + 8 * number) for number in range(15)]
        values += [values[10], self.word(RIP), self.word(CS) & 0xffff, self.word(RFLAGS), self.word(RSP), self.word(SS) & 0xffff,
                   self.word(FS_BASE), self.word(GS_BASE)]
        values += [self.word(one) & 0xffff for one in (DS, ES, FS, GS)]
        struct.pack_into("<27Q", out, PRSTATUS_REGISTERS, *values)
        return struct.pack("<III8s", 5, len(out), NT_PRSTATUS, b"CORE") + bytes(out)


def convert(descriptor, path):
    """Xen's core in the file `descriptor` becomes gdb's at `path`. Raises FAILURES."""
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        dump = Dump(data)
        note, segments = dump.prstatus(), list(dump.segments())
        if not segments:
            raise CoreError("the guest's page tables show no memory")
        begin = 64 + 56 * (1 + len(segments))
        headers = [struct.pack("<IIQQQQQQ", PT_NOTE, 0, begin, 0, 0, len(note), len(note), 4)]
        place = -(-(begin + len(note)) // PAGE) * PAGE
        for address, _, size in segments:
            headers.append(struct.pack("<IIQQQQQQ", PT_LOAD, 7, place, address, 0, size, size, PAGE))
            place += size
        with open(path, "wb") as core:
            core.write(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56,
                                                                      len(headers), 0, 0, 0))
            core.write(b"".join(headers) + note)
            core.write(bytes(-core.tell() % PAGE))
            for _, place, size in segments:
                core.write(data[place:place + size])


def size_max(memory_kib):
    """What xl's file of a guest of that memory needs at most, in whole MiB: its pages, 16 bytes to tell of each, and what Xen
    and xl add to a domain."""
    return (memory_kib // 1024 * 102 // 100 + 24) << 20
