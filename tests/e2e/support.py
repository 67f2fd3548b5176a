"""What end-to-end tests share: applications built once a session, processes with a deadline on every wait.

    app = built(ROOT / "examples/hello")            # configured for Unix and built, once
    assert app.run("--help").code == 63
    with app.start("--port=0") as guest:
        port = guest.wait_for(r"listening on .*:(\\d+)")[1]

A wait that fails prints the command and the last lines of what the process said."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MORGANA = pathlib.Path(os.environ.get("MORGANA", ROOT / "build/bin/morgana")).absolute()

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


def morgana(*arguments, seconds=BUILD_SECONDS, cwd=None, **environment):
    """Runs a morgana command to its end."""
    return Process([MORGANA, *arguments], cwd=cwd, env=dict(os.environ, NO_COLOR="1", **environment)).wait(seconds)


class Application:
    """An application configured for a target and built, in a folder of the session's own."""

    def __init__(self, source, folder, target="unix", choices=()):
        # A copy: configuring writes morgana.lock beside unikernel.toml, and tests leave no trace.
        self.source = folder / "app"
        self.build_folder = folder / "build"
        shutil.copytree(source, self.source, ignore=shutil.ignore_patterns("build"))
        morgana("configure", "-t", target, self.source, "-o", self.build_folder, *choices).expect()
        morgana("build", self.source, "-o", self.build_folder).expect()

    def _command(self, arguments, driver_arguments):
        return [MORGANA, "run", self.source, "-o", self.build_folder, *driver_arguments, "--", *arguments]

    def start(self, *arguments, driver=(), inherited=()):
        return Process(self._command(arguments, driver), env=dict(os.environ, NO_COLOR="1"), inherited=inherited)

    def run(self, *arguments, driver=(), seconds=RUN_SECONDS):
        with self.start(*arguments, driver=driver) as guest:
            return guest.wait(seconds)


_session = None
_built = {}


def built(source, target="unix", choices=()):
    """The application of that folder, configured with `choices` and built on first use; a build that failed fails again at once."""
    global _session
    source = pathlib.Path(source)
    key = source, target, tuple(choices)
    if key not in _built:
        if _session is None:
            _session = tempfile.TemporaryDirectory(prefix="morgana-e2e-")
        folder = pathlib.Path(_session.name) / f"{source.name}-{target}-{len(_built)}"
        folder.mkdir()
        try:
            _built[key] = Application(source, folder, target, choices)
        except AssertionError as failure:
            _built[key] = failure
    if isinstance(_built[key], AssertionError):
        raise _built[key]
    return _built[key]
