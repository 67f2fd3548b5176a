"""Runs one workload of the network benchmarks and says what it cost; with valgrind, in instructions."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

REGION = "morgana_measured_region"


def run(command, environment=None):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=280,
                          env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def measured(command):
    """What the program printed."""
    return json.loads(run(command).splitlines()[-1])


def counted(command):
    """The same, with `instructions`: those of callgrind within the measured region."""
    if shutil.which("valgrind") is None:
        sys.exit("valgrind counts the instructions and is not there; install it with scripts/setup")
    with tempfile.NamedTemporaryFile(prefix="morgana-callgrind-") as out:
        # The C library's memcpy of a plain x86-64, on every machine.
        environment = dict(os.environ, GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2,-AVX512F,-ERMS,-FSRM")
        found = json.loads(run(["valgrind", "--tool=callgrind", f"--toggle-collect={REGION}",
                                f"--callgrind-out-file={out.name}", *command], environment).splitlines()[-1])
        with open(out.name) as text:
            found["instructions"] = int(re.search(r"^(?:summary|totals): (\d+)", text.read(), re.M)[1])
    return found
