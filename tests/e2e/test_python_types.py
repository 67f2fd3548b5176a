"""The Python package's types: of its own code, and of the stubs of its extension modules against these."""
import os
import subprocess

from support import MORGANA, ROOT, RUN_SECONDS

SETTINGS = ROOT / "bindings/python/pyproject.toml"
PACKAGE = MORGANA.parents[1] / "python"
# pybind11's classes have a metaclass of its own, and those that Python cannot make have an __init__ that says so.
PYBIND11 = r"""morgana\._driver\.(Configuration|Machine)
morgana\._driver\.Configuration\.__init__
morgana\._runtime\.World
"""


def checked(*command, folder):
    environment = dict(os.environ, PYTHONPATH=str(PACKAGE), MYPY_CACHE_DIR=str(folder / "cache"), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(command, cwd=PACKAGE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=4 * RUN_SECONDS)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"


def test_mypy_finds_nothing_in_the_package(tmp_path):
    checked("mypy", "--config-file", SETTINGS, PACKAGE / "morgana", folder=tmp_path)


def test_the_stubs_are_those_of_the_extension_modules(tmp_path):
    (tmp_path / "allowed").write_text(PYBIND11)
    checked("stubtest", "--concise", "--mypy-config-file", SETTINGS, "--allowlist", tmp_path / "allowed", "morgana._driver",
            "morgana._runtime", folder=tmp_path)
