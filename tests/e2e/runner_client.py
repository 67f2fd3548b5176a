"""Speaks the machine protocol with a runner, for what `morgana run` has no words for: kill at once, sectors of any size,
descriptors of the test's.

    with Guest(image, disks=[disk("storage", path)]) as guest:
        guest.wait_for("listening")
        guest.ask("kill")
        assert guest.end()["reason"] == "killed"
"""
import base64
import json
import os
import re
import select
import socket
import struct
import subprocess
import time

from support import MORGANA, tail


def disk(name, path, read_only=False, sector_bytes=512):
    return {"name": name, "path": str(path), "read_only": read_only, "sector_bytes": sector_bytes}


def network(name, end, mac="", mtu=1500):
    """`end`: a socket of frames, which is the guest's from here on."""
    descriptor = end.detach()
    return {"name": name, "descriptor": descriptor, "mac": mac, "mtu": mtu, "vnet_header": False}


class Guest:
    def __init__(self, image, runner="xen-x86-runner", arguments=(), disks=(), networks=(), memory=8 << 20, seconds=150,
                 **settings):
        self.seconds, self.console, self.errors, self.exit, self._pending = seconds, "", [], None, b""
        self._socket, theirs = socket.socketpair()
        inherited = [theirs.fileno()] + [one["descriptor"] for one in networks]
        self._process = subprocess.Popen(
            [MORGANA.parent.parent / "libexec/morgana" / runner], stdin=subprocess.DEVNULL, pass_fds=inherited,
            env=dict(os.environ, MORGANA_RUNNER_SOCKET=str(theirs.fileno())))
        theirs.close()
        for one in networks:
            os.close(one["descriptor"])     # the guest's now: its peer must see the end
        self.ask("start", image=str(image), name="guest", arguments=list(arguments), environment={}, memory_bytes=memory,
                 networks=list(networks), disks=list(disks), settings=settings)

    def ask(self, what, **members):
        text = json.dumps({"type": what, **members}).encode()
        self._socket.sendall(struct.pack(">I", len(text)) + text)

    def _receive(self, until):
        left = until - time.monotonic()
        if left <= 0 or not select.select([self._socket], [], [], left)[0]:
            raise AssertionError(f"nothing came from the runner in {self.seconds} s: {self.errors}\n{tail(self.console)}")
        data = self._socket.recv(1 << 16)
        if not data:
            raise AssertionError(f"the runner ended without saying how the guest did:\n{tail(self.console)}")
        self._pending += data
        while len(self._pending) >= 4 and len(self._pending) >= 4 + (size := struct.unpack(">I", self._pending[:4])[0]):
            message, self._pending = json.loads(self._pending[4:4 + size]), self._pending[4 + size:]
            if message["type"] == "console":
                self.console += base64.b64decode(message["data"]).decode(errors="replace")
            elif message["type"] == "error":
                self.errors.append(message["message"])
            elif message["type"] == "exit":
                self.exit = message

    def wait_for(self, pattern):
        until = time.monotonic() + self.seconds
        while not (found := re.search(pattern, self.console)):
            if self.exit is not None:
                raise AssertionError(f"{pattern!r} did not come before the end, {self.exit}, {self.errors}:\n{tail(self.console)}")
            self._receive(until)
        return found

    def end(self):
        """The runner's exit event."""
        until = time.monotonic() + self.seconds
        while self.exit is None:
            self._receive(until)
        return self.exit

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()            # the guest does not outlive it
        self._process.wait(self.seconds)
