"""Runs in a dom0: has xen-x86-runner run guests by the xl that is there, and says in one line how each ended. A process of
its own for each, as the driver starts it; the protocol is that of machines (plugins/api)."""
import json
import socket
import sys

from runner_dialogue import Dialogue

RUNNER, SECONDS = sys.argv[1], 150


class Guest(Dialogue):
    def __init__(self, image, arguments=(), **devices):
        super().__init__(RUNNER, image, SECONDS, arguments=list(arguments), **devices)

    def wait_for_text(self, text):
        self.until(lambda: text in self.console, repr(text))

    def how_it_ended(self):
        ended = self.end()
        self.close()
        return ended["status"], ended["reason"]


def served():
    """A guest with a network in the bridge net0, asked for an echo, then for its end."""
    guest = Guest("/host/streams.elf", networks=[{"name": "", "tap": "net0", "mac": "", "mtu": 1500, "vnet_header": False}])
    guest.wait_for_text("ready")
    with socket.create_connection(("10.0.0.2", 7), timeout=SECONDS) as peer:
        peer.sendall(b"by way of xl")
        peer.shutdown(socket.SHUT_WR)
        echo = b""
        while piece := peer.recv(100):
            echo += piece
    guest.ask("stop")
    return echo.decode(), *guest.how_it_ended()


def killed():
    guest = Guest("/host/streams.elf", networks=[{"name": "", "tap": "net0", "mac": "", "mtu": 1500, "vnet_header": False}])
    guest.wait_for_text("ready")
    guest.ask("kill")
    return guest.how_it_ended()


def recorded():
    """A guest with a disk, which ends by itself. It reads what dom0 wrote, and dom0 what it wrote."""
    disk = {"name": "storage", "path": "/dev/vdc", "read_only": False, "sector_bytes": 512}
    with open(disk["path"], "r+b") as file:
        file.seek(5 * 512)
        file.write(b"written by dom0\n")
    guest = Guest("/host/records.elf", ["--records=10", "--show=5"], disks=[disk])
    ended = guest.how_it_ended()
    with open(disk["path"], "rb") as file:
        file.seek(9 * 512)
        read = file.read(9).decode(errors="replace")
    return "sector 5 says `written by dom0`" in guest.console, read, "kept 10" in guest.console, *ended


print(json.dumps([served(), killed(), recorded()]))
