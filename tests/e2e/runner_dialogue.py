"""The machine protocol (plugins/api) with a runner that it starts, as the driver does. Needs nothing but Python: it is used in
a dom0, too."""
import base64
import json
import os
import select
import socket
import struct
import subprocess
import time


class Dialogue:
    """A runner and its guest; every wait takes at most `seconds`, and says what did not come."""

    def __init__(self, runner, image, seconds=150, inherited=(), **start):
        self.seconds, self.console, self.errors, self.exit, self._pending = seconds, "", [], None, b""
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen([runner], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno(), *inherited],
                                         env=dict(os.environ, MORGANA_RUNNER_SOCKET=str(theirs.fileno())))
        theirs.close()
        defaults = {"name": "guest", "arguments": [], "environment": {}, "memory_bytes": 8 << 20, "networks": [], "disks": [],
                    "settings": {}}
        self.ask("start", image=str(image), **defaults | start)

    def ask(self, what, **members):
        text = json.dumps({"type": what, **members}).encode()
        self._socket.sendall(struct.pack(">I", len(text)) + text)

    def until(self, there, what):
        """Takes what the runner says until `there` gives something true, which it returns."""
        end = time.monotonic() + self.seconds
        while not (found := there()):
            left = max(end - time.monotonic(), 0)
            in_time = select.select([self._socket], [], [], left)[0]
            data = self._socket.recv(1 << 16) if in_time else b""
            if not data:
                why = "before the runner ended" if in_time else f"in {self.seconds} s"
                raise AssertionError(f"{what} did not come {why}: {self.errors} {self.exit}\n{self.console[-4000:]}")
            self._pending += data
            while len(self._pending) >= 4 and len(self._pending) >= 4 + (size := struct.unpack(">I", self._pending[:4])[0]):
                message, self._pending = json.loads(self._pending[4:4 + size]), self._pending[4 + size:]
                if message["type"] == "console":
                    self.console += base64.b64decode(message["data"]).decode(errors="replace")
                elif message["type"] == "error":
                    self.errors.append(message["message"])
                elif message["type"] == "exit":
                    self.exit = message
        return found

    def end(self):
        """The runner's exit event."""
        return self.until(lambda: self.exit, "the guest's end")

    def close(self):
        self._socket.close()            # the guest does not outlive it
        self._process.wait(self.seconds)
