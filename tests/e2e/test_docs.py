"""Every command in README.md and docs/ is run, and what it prints is compared.

In a document:

  ```console            a session: `$ command` lines and what they print, in a folder of the document's own;
                        `...` in the expected text stands for anything, also for whole lines. A line
                        `$ command &` runs until the end of the document. `[exit 1]` as the last line of an
                        output is the exit code; otherwise it is 0.
  <!-- file: NAME -->   before a block: the block is written to NAME
  <!-- append: NAME --> the block is appended to NAME
  <!-- not run: WHY --> before a block: it is not run, and WHY is printed
"""
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("MORGANA", ROOT / "build/bin/morgana")).resolve().parent
COMMAND_SECONDS = 300
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"(?:<!-- (?P<what>file|append|not run): (?P<argument>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```",
                   re.DOTALL)


def matches(expected, actual):
    """`...` matches anything; trailing blanks and a missing last newline do not count."""
    tidy = lambda text: "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
    pattern = ".*?".join(re.escape(part) for part in tidy(expected).split("..."))
    return re.fullmatch(pattern, tidy(actual), re.DOTALL) is not None


def commands_of(session):
    """(command, expected output, exit code) of each `$ ` line; a trailing backslash continues it."""
    found = []
    for line in session.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], [], 0])
        elif found and found[-1][0].endswith("\\"):
            found[-1][0] = found[-1][0][:-1] + line.strip()
        elif found and re.fullmatch(r"\[exit \d+\]", line):
            found[-1][2] = int(line[6:-1])
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(output), code) for command, output, code in found]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_says_is_true(document, tmp_path):
    environment = dict(os.environ, PATH=f"{BINARIES}:{os.environ['PATH']}", NO_COLOR="1", COLUMNS="100", MORGANA_SOURCE=str(ROOT),
                       PYTHONPATH=str(BINARIES.parent / "python"), PYTHONDONTWRITEBYTECODE="1")
    background = []
    try:
        for block in BLOCK.finditer(document.read_text()):
            if block["what"] == "not run":
                print(f"{document.name}: a block is not run: {block['argument']}")
            elif block["what"] in ("file", "append"):
                target = tmp_path / block["argument"]
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("a" if block["what"] == "append" else "w") as out:
                    out.write(block["text"])
            elif block["language"] == "console":
                for command, expected, code in commands_of(block["text"]):
                    run(document, command, expected, code, tmp_path, environment, background)
    finally:
        for process in background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(20)


def run(document, command, expected, code, folder, environment, background):
    if command.endswith("&"):
        log = (folder / f".background-{len(background)}").open("w")
        process = subprocess.Popen(["bash", "-c", "exec " + command[:-1]], cwd=folder, env=environment, stdout=log,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        background.append(process)
        return
    if words := shlex.split(command):
        if words[0] == "cd":
            pytest.fail(f"{document.name}: `{command}`: sessions name folders instead of changing into them")
    deadline = time.monotonic() + (20 if background else 0)
    while True:
        done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_SECONDS)
        right = done.returncode == code and (not expected or matches(expected, done.stdout))
        # A server started a moment ago may not listen yet: the same command is tried until the deadline.
        if right or time.monotonic() >= deadline:
            break
        time.sleep(0.2)
    assert right, (f"{document.name}: `{command}` ended with {done.returncode} (expected {code}) and printed\n"
                   f"{done.stdout}\n-- expected\n{expected}")
