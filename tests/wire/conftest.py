"""The codec under test, and the seed of everything random: MORGANA_WIRE_SEED repeats a run."""

import json
import os
import random
import subprocess

import pytest


class Codec:
    """Asks the program many things at once and gives its answers in order."""

    def __init__(self, program):
        self.program = program

    def ask(self, lines):
        lines = list(lines)
        run = subprocess.run([self.program], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(answers) == len(lines)
        return answers


@pytest.fixture(scope="session")
def codec():
    program = os.environ.get("MORGANA_WIRE_CODEC")
    assert program, "MORGANA_WIRE_CODEC names the program test_wire_codec (ctest sets it; built by `ninja test_wire_codec`)"
    return Codec(program)


@pytest.fixture
def chance(request):
    """A generator of its own for each test, so that one test's draws do not move another's."""
    seed = os.environ.get("MORGANA_WIRE_SEED", "1")
    print(f"MORGANA_WIRE_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")
