"""Runs in a dom0: has xen-x86-runner run guests by the xl that is there, and says in one line how each ended. A process of
its own for each, as the driver starts it; the protocol is that of machines (plugins/api)."""
import base64
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

RUNNER, SECONDS = sys.argv[1], 150


class Guest:
    def __init__(self, image, arguments=(), **devices):
        self.end, theirs = socket.socketpair()
        self.console, self.errors, self.exit, self.pending = "", [], None, b""
        self.process = subprocess.Popen([RUNNER], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                                        env=dict(os.environ, MORGANA_RUNNER_SOCKET=str(theirs.fileno())))
        theirs.close()
        self.ask("start", image=image, name="guest", arguments=list(arguments), environment={}, memory_bytes=8 << 20,
                 settings={}, **{"networks": [], "disks": [], **devices})

    def ask(self, what, **members):
        text = json.dumps({"type": what, **members}).encode()
        self.end.sendall(struct.pack(">I", len(text)) + text)

    def wait(self, there, what):
        until = time.monotonic() + SECONDS
        while not there():
            ready = select.select([self.end], [], [], max(until - time.monotonic(), 0))[0]
            data = self.end.recv(1 << 16) if ready else b""
            if not data:
                raise SystemExit(f"{what} did not come: {self.errors} {self.exit} {self.console!r}")
            self.pending += data
            while len(self.pending) >= 4 and len(self.pending) >= 4 + (size := struct.unpack(">I", self.pending[:4])[0]):
                message, self.pending = json.loads(self.pending[4:4 + size]), self.pending[4 + size:]
                if message["type"] == "console":
                    self.console += base64.b64decode(message["data"]).decode(errors="replace")
                elif message["type"] == "error":
                    self.errors.append(message["message"])
                elif message["type"] == "exit":
                    self.exit = message

    def wait_for_text(self, text):
        self.wait(lambda: text in self.console, repr(text))

    def how_it_ended(self):
        self.wait(lambda: self.exit is not None, "the guest's end")
        self.end.close()
        self.process.wait(SECONDS)
        return self.exit["status"], self.exit["reason"]


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
