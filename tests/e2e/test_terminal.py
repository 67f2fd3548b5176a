"""What a person sees on a terminal: colour, unless NO_COLOR says otherwise, and progress of long work."""
import os
import pty
import select
import subprocess
import time

import support

TERMINAL_SECONDS = 300


def on_a_terminal(*arguments, **environment):
    """What a command writes to a terminal that is its stderr; its status."""
    ours, theirs = pty.openpty()
    surroundings = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment
    process = subprocess.Popen([str(word) for word in (support.MORGANA, *arguments)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=theirs, env=surroundings | {"TERM": "xterm"})
    os.close(theirs)
    written, deadline = b"", time.monotonic() + TERMINAL_SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                chunk = os.read(ours, 65536)
            except OSError:   # the last end of the terminal was closed
                break
            if not chunk:
                break
            written += chunk
        return process.wait(10), written.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_diagnostic_has_colour_on_a_terminal_and_none_with_no_color(tmp_path):
    status, colourful = on_a_terminal("configure", tmp_path)
    assert status == 1 and "\033[" in colourful and "no-description" in colourful
    status, plain = on_a_terminal("configure", tmp_path, NO_COLOR="1")
    assert status == 1 and "\033[" not in plain and "no-description" in plain


def test_a_build_shows_how_far_it_is_and_leaves_a_clean_line(tmp_path):
    support.morgana("new", "hello", cwd=tmp_path).expect()
    support.morgana("configure", tmp_path / "hello").expect()
    status, written = on_a_terminal("build", tmp_path / "hello", NO_COLOR="1")
    assert status == 0
    assert "\r\033[K[" in written and "/" in written, written
    assert written.rstrip("\n").endswith("\033[K") or "\r\033[K" in written.splitlines()[-1], written
