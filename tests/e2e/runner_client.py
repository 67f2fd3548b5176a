"""Speaks the machine protocol with a runner, for what `morgana run` has no words for: kill at once, sectors of any size,
descriptors of the test's.

    with Guest(image, disks=[disk("storage", path)]) as guest:
        guest.wait_for("listening")
        guest.ask("kill")
        assert guest.end()["reason"] == "killed"
"""
import os
import re

from runner_dialogue import Dialogue
from support import MORGANA, tail


def disk(name, path, read_only=False, sector_bytes=512):
    return {"name": name, "path": str(path), "read_only": read_only, "sector_bytes": sector_bytes}


def network(name, end, mac="", mtu=1500):
    """`end`: a socket of frames, which is the guest's from here on."""
    descriptor = end.detach()
    return {"name": name, "descriptor": descriptor, "mac": mac, "mtu": mtu, "vnet_header": False}


class Guest(Dialogue):
    def __init__(self, image, runner="xen-x86-runner", arguments=(), disks=(), networks=(), memory=8 << 20, seconds=150,
                 **settings):
        descriptors = [one["descriptor"] for one in networks]
        super().__init__(MORGANA.parent.parent / "libexec/morgana" / runner, image, seconds, descriptors,
                         arguments=list(arguments), memory_bytes=memory, networks=list(networks), disks=list(disks),
                         settings=settings)
        for one in descriptors:
            os.close(one)     # the guest's now: its peer must see the end

    def wait_for(self, pattern):
        def there():
            found = re.search(pattern, self.console)
            if not found and self.exit is not None:
                raise AssertionError(f"{pattern!r} did not come before the end, {self.exit}, {self.errors}:\n{tail(self.console)}")
            return found
        return self.until(there, repr(pattern))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
