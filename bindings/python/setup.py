"""A wheel of the package with the driver, its runners and its data, all built by CMake from this tree:

    pip install --no-build-isolation ./bindings/python

Nothing is fetched. MORGANA_BUILD names a build folder to use (default: the tree's own build/, which is configured when it is
not there); it must be for the interpreter that runs this."""
import os
import pathlib
import subprocess
import sys
import sysconfig

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MORGANA_BUILD", ROOT / "build")).absolute()
STAGE = pathlib.Path("build") / "stage"
OURS = pathlib.PurePath("lib/morgana/python")   # where CMake installs the package: setuptools has a place of its own


def cmake(*arguments):
    subprocess.run(["cmake", *map(str, arguments)], check=True)


def built():
    """Builds, installs into STAGE, and gives the installed files below it."""
    if not (BUILD / "CMakeCache.txt").exists():
        cmake("--preset", "default", "-S", ROOT, "-B", BUILD, f"-DPython3_EXECUTABLE={sys.executable}")
    cmake("--build", BUILD, "--target", "morgana_python")
    cmake("--install", BUILD, "--prefix", STAGE.absolute())
    return sorted(path.relative_to(STAGE) for path in STAGE.rglob("*") if path.is_file())


class Binary(Distribution):
    def has_ext_modules(self):
        return True


class BuildPython(build_py):
    """Beside the Python files: the extension modules that CMake made."""

    def run(self):
        super().run()
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        for module in (STAGE / OURS / "morgana").glob(f"*{suffix}"):
            self.copy_file(str(module), str(pathlib.Path(self.build_lib) / "morgana" / module.name))


data = {}
if any(command in sys.argv for command in ("bdist_wheel", "install", "build")):
    for file in built():
        if OURS not in file.parents:
            data.setdefault(str(file.parent), []).append(str(STAGE / file))

setup(distclass=Binary, cmdclass={"build_py": BuildPython}, data_files=list(data.items()))
