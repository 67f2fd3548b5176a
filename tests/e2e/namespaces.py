"""Network namespaces of a test's own: nothing of the machine's network is touched, and all of it goes with the test."""
import ctypes
import os
import subprocess
import threading

from support import RUN_SECONDS

CLONE_NEWNET = 0x40000000


class OwnNamespace(threading.Thread):
    """Runs `work` in a thread with a network namespace of its own, which what it starts inherits, and which goes
    with them."""

    def __init__(self, work):
        super().__init__()
        self.work, self.failure = work, None
        self.start()
        self.join()
        if self.failure:
            raise self.failure

    def run(self):
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise AssertionError(f"this test makes a network namespace, and the kernel refuses: {os.strerror(number)}; "
                                     "run it as root")
            self.work()
        except BaseException as failure:   # whatever it was, it is the test's failure
            self.failure = failure


def ip(*words):
    done = subprocess.run(["ip", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=RUN_SECONDS)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stdout}"
