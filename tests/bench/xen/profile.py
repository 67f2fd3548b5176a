"""Says which functions of a guest ran, and how many instructions of each: from the counters that
tests/e2e/count_instructions.c keeps in a file, one for each address, and the image's symbols."""
import bisect
import struct
import subprocess

# Where the image is linked (targets/xen/x86_64/image.ld).
LINKED = 0x100000


class Profile:
    """The counters of one image, whose first page lies at the first of them."""

    def __init__(self, symbols, counters):
        self.counters = counters
        said = subprocess.run(["llvm-nm-22", "-nC", "--defined-only", symbols], check=True, capture_output=True, text=True,
                              timeout=60).stdout
        rows = [line.split(" ", 2) for line in said.splitlines()]
        self.functions = sorted({int(row[0], 16): row[2] for row in rows if row[1] in "tTwW"}.items())
        self.starts = [address for address, _ in self.functions]
        self.before = {}

    def read(self):
        raw = self.counters.read_bytes()
        all_of = {}
        for at, (one,) in enumerate(struct.iter_unpack("<Q", raw)):
            if one == 0:
                continue
            index = bisect.bisect_right(self.starts, LINKED + at) - 1
            name = self.functions[index][1] if index >= 0 else "?"
            all_of[name] = all_of.get(name, 0) + one
        return all_of

    def since(self):
        """Instructions of each function since this was asked last, the most first."""
        now = self.read()
        rows = {name: count - self.before.get(name, 0) for name, count in now.items()}
        self.before = now
        return sorted(((count, name) for name, count in rows.items() if count), reverse=True)
