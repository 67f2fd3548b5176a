"""What end-to-end tests share: applications built once a session, guests and processes with a deadline on every wait.

Guests are machines of the package `morgana`; what tests the command line (`driver=...`) runs `morgana run`.

    app = built(ROOT / "examples/hello")            # configured for Unix and built, once
    assert app.run("--help").code == 63
    with app.start("--port=0") as guest:
        port = guest.wait_for(r"listening on .*:(\\d+)")[1]

A wait that fails prints the command and the last lines of what the process said."""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MORGANA = pathlib.Path(os.environ.get("MORGANA", ROOT / "build/bin/morgana")).absolute()
# The package of the same build.
sys.path.insert(0, str(MORGANA.parents[1] / "python"))

import morgana as package  # noqa: E402  (found by the line above)

# Generous: a slow machine must not fail a test. Nothing waits this long when all is well.
BUILD_SECONDS = 600
RUN_SECONDS = 60
TAIL_LINES = 40


def tail(text):
    return "\n".join(text.splitlines()[-TAIL_LINES:])


class Ended:
    """A process that ended: its exit code and everything it said."""

    def __init__(self, command, code, output):
        self.command, self.code, self.output = command, code, output

    def expect(self, code=0):
        assert self.code == code, f"{' '.join(self.command)}\nended with {self.code}, not {code}:\n{tail(self.output)}"
        return self

    def messages(self, source):
        """What `source` logged, without time and level."""
        return re.findall(rf"^\[ *\d+\.\d+\] {re.escape(source)}: \w+: (.*)$", self.output, re.MULTILINE)


class Process:
    """A running process whose output is read as it comes."""

    def __init__(self, command, cwd=None, env=None, inherited=()):
        self.command = [str(part) for part in command]
        self.output = ""
        self._changed = threading.Condition()
        self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, cwd=cwd, env=env, pass_fds=inherited,
                                         start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            with self._changed:
                self.output += chunk.decode(errors="replace")
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, pattern, seconds=RUN_SECONDS):
        """The match of `pattern` in the output, as soon as it is there."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                if found := re.search(pattern, self.output):
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    why = f"did not come in {seconds} s" if left <= 0 else "did not come before the end"
                    raise AssertionError(f"{' '.join(self.command)}\n{pattern!r} {why}:\n{tail(self.output)}")
                self._changed.wait(min(left, 1))

    def wait(self, seconds=RUN_SECONDS):
        """Waits for the end; a process that does not end is killed and the test fails."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{' '.join(self.command)}\nstill runs after {seconds} s:\n{tail(self.output)}") from None
        self._reader.join(seconds)
        return Ended(self.command, code, self.output)

    def stop(self, seconds=RUN_SECONDS):
        """Asks for an orderly end, as Ctrl-C does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)   # the session we gave it: its children too
        except ProcessLookupError:
            pass
        self._process.wait(RUN_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if self._process.poll() is None:
            self.kill()
        if failure:
            print(f"--- {' '.join(self.command)} said:\n{tail(self.output)}")


class Guest:
    """A machine of the package, with the face of a Process."""

    def __init__(self, machine, seconds):
        self.machine, self._seconds = machine, seconds
        self.command = [machine.name, *machine.arguments]

    @property
    def output(self):
        """The console, and what the driver has to say of how it ended: what `morgana run` prints."""
        said = self.machine.console
        if not self.machine.is_running:
            crash = self.machine.crash
            said += crash.frames if crash else ""
            said += "".join(f"error: {message}\n" for message in self.machine.errors)
        return said

    @property
    def runner(self):
        """The runner's process, whose child is the guest."""
        return self.machine._backend.runner

    def wait_for(self, pattern, seconds=None):
        """The match of `pattern` in the output, as soon as it is there."""
        self.machine._position = 0
        return self.machine.expect(re.compile(pattern), seconds or self._seconds)

    def wait(self, seconds=None):
        try:
            code = self.machine.wait(seconds or self._seconds)
        except package.RunError:
            code = 125
        return Ended(self.command, code, self.output)

    def stop(self, seconds=None):
        """Asks for an orderly end, as Ctrl-C does."""
        self.machine.stop(seconds or self._seconds)
        return self.wait(seconds)

    def kill(self):
        self.machine.kill()

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure:
            print(f"--- {' '.join(self.command)} said:\n{tail(self.output)}")
        self.machine.close()


def morgana(*arguments, seconds=BUILD_SECONDS, cwd=None, **environment):
    """Runs a morgana command to its end."""
    return Process([MORGANA, *arguments], cwd=cwd, env=dict(os.environ, NO_COLOR="1", **environment)).wait(seconds)


class Application:
    """An application configured for a target and built, in a folder of the session's own."""

    def __init__(self, source, folder, target="unix", choices=()):
        # A copy: configuring writes morgana.lock beside unikernel.toml, and tests leave no trace.
        self.source = folder / "app"
        self.build_folder = folder / "build"
        if not self.source.exists():
            shutil.copytree(source, self.source, ignore=shutil.ignore_patterns("build"))
        options = dict(choice.removeprefix("--").split("=", 1) for choice in choices)
        try:
            self.image = package.App(self.source, options=options, output=self.build_folder).build(target)
        except package.Error as failure:
            raise AssertionError(f"{source} was not built for {target}:\n{failure}") from failure

    def start(self, *arguments, driver=(), inherited=(), **how):
        """A guest. `driver` are words of the command line: then `morgana run` runs it; otherwise the package, and `how` is
        what it takes (networks, disks, memory, settings)."""
        if driver or inherited:
            return self.command(*arguments, driver=driver, inherited=inherited)
        return Guest(package.run(self.image, arguments=[str(one) for one in arguments], **how), RUN_SECONDS)

    def command(self, *arguments, driver=(), inherited=()):
        """`morgana run` of it, with descriptors that it inherits."""
        command = [MORGANA, "run", self.source, "-o", self.build_folder, *driver, "--", *arguments]
        return Process(command, env=dict(os.environ, NO_COLOR="1"), inherited=inherited)

    def run(self, *arguments, driver=(), seconds=RUN_SECONDS, **how):
        with self.start(*arguments, driver=driver, **how) as guest:
            return guest.wait(seconds)


_built = {}


def session_folder():
    """Where this session builds: one folder for all workers of pytest-xdist, which conftest.py removes at the end."""
    session = os.environ.get("MORGANA_E2E_SESSION", str(os.getpid()))
    folder = pathlib.Path(tempfile.gettempdir()) / f"morgana-e2e-{os.getuid()}-{session}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def contents(source):
    """What decides about a build, of a folder: names and bytes of its files."""
    digest = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        if path.is_file() and "build" not in path.relative_to(source).parts:
            digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def built(source, target="unix", choices=()):
    """The application of that folder, configured with `choices` and built on first use, by one worker for all; a build
    that failed fails again at once."""
    source = pathlib.Path(source)
    key = source, target, tuple(choices)
    if key not in _built:
        name = hashlib.sha256(repr((source.name, contents(source), target, tuple(choices))).encode()).hexdigest()[:16]
        folder = session_folder() / f"{source.name}-{target}-{name}"
        with open(session_folder() / f"{folder.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder.mkdir(exist_ok=True)
            try:
                _built[key] = Application(source, folder, target, choices)
            except AssertionError as failure:
                _built[key] = failure
    if isinstance(_built[key], AssertionError):
        raise _built[key]
    return _built[key]
