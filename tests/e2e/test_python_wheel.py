"""`pip install ./bindings/python` without a network: package, driver, runners and data, wherever they are put."""
import os
import shutil
import subprocess
import sys

import pytest
from support import BUILD_SECONDS, MORGANA, ROOT, Process

BUILD = MORGANA.parents[1]
SOURCE = ROOT / "bindings/python"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-index", "--no-deps", "--no-compile",
               "--target", folder / "there", SOURCE]
    try:
        with Process(command, env=dict(os.environ, MORGANA_BUILD=str(BUILD), PIP_DISABLE_PIP_VERSION_CHECK="1")) as install:
            install.wait(BUILD_SECONDS).expect()
    finally:
        for left in (SOURCE / "build", SOURCE / "morgana.egg-info"):
            shutil.rmtree(left, ignore_errors=True)
    return folder / "there"


def test_the_package_and_its_driver_work_by_themselves(installed, tmp_path):
    script = """
import morgana, pathlib, sys
there = pathlib.Path(sys.argv[1])
assert there in pathlib.Path(morgana.__file__).parents
app = morgana.App(sys.argv[2], output=sys.argv[3])
assert {target["name"] for target in morgana.targets()} >= {"unix", "sim", "xen-x86"}
print(app.configure("unix").name)
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MORGANA", "PYTHON"))}
    said = subprocess.run([sys.executable, "-B", "-c", script, installed, ROOT / "examples/hello", tmp_path / "build"],
                          env=dict(environment, PYTHONPATH=str(installed)), cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS)
    assert (said.returncode, said.stdout) == (0, "hello\n")
    version = subprocess.run([installed / "bin/morgana", "--version"], stdout=subprocess.PIPE, text=True, timeout=60)
    assert version.stdout == "morgana 0.1.0\n"
    entry = next(installed.glob("morgana-*.dist-info/entry_points.txt")).read_text()
    assert "morgana.pytest_plugin = morgana.pytest_plugin" in entry
