"""`cmake --install` gives a tree that works by itself, wherever it is moved."""
import os
import pathlib
import subprocess

import pytest
from support import BUILD_SECONDS, MORGANA, ROOT, Process
from test_plugins import Board

BUILD = MORGANA.parents[1]
DATA = ["runtime", "targets", "packages", "conformance", "plugins/unix", "plugins/sim", "plugins/xen", "plugins/template"]
PROGRAMS = ["morgana-requirements", "unix-runner", "sim-runner", "sim-host", "xen-x86-runner", "xen-core"]
XEN_BENCH = ["agent", "block", "dom0.py", "guest.py", "init", "machine.py", "trunk.py", "vif", "xen_bench.py", "xen_core.py",
             "xen_host.py", "xen_lone.py"]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    assert (BUILD / "CMakeCache.txt").is_file(), f"{MORGANA} is in no build folder, so there is nothing to install"
    folder = tmp_path_factory.mktemp("install")
    with Process(["cmake", "--install", BUILD, "--prefix", folder / "first"]) as install:
        install.wait(BUILD_SECONDS).expect()
    # Whoever remembers where it was installed does not find it any more.
    return (folder / "first").rename(folder / "moved")


@pytest.fixture
def run(prefix, monkeypatch):
    monkeypatch.setenv("PATH", f"{prefix / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("MORGANA_HOME", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    return lambda *arguments, cwd=None: Process([prefix / "bin/morgana", *arguments], cwd=cwd).wait(BUILD_SECONDS)


def files_below(folder):
    """Relative names of what an installation is to have of a source folder."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*")
            if file.is_file() and file.name != "CMakeLists.txt" and not any(part.startswith(".") for part in file.parts)}


def names_in(file, scratch):
    """What a program says without its debug information; any other file as it is."""
    content = file.read_bytes()
    if content.startswith(b"\x7fELF"):
        subprocess.run(["llvm-objcopy-22", "--strip-debug", str(file), str(scratch)], check=True)
        content = scratch.read_bytes()
    return content


@pytest.mark.parametrize("folder", DATA)
def test_an_installation_has_the_layout_of_the_build_folder(prefix, folder):
    wanted = files_below((BUILD / "share/morgana" / folder).resolve())
    if folder in ("plugins/unix", "plugins/sim", "plugins/xen"):
        wanted = {name for name in wanted if name.endswith(".toml")}     # the rest is the runner's source
    assert wanted and files_below(prefix / "share/morgana" / folder) == wanted


def test_an_installation_holds_nothing_else(prefix):
    names = {str(file.relative_to(prefix)) for file in prefix.rglob("*") if file.is_file()}
    assert {name for name in names if pathlib.Path(name).name == "CMakeLists.txt" or "/." in name} == set()
    kept = tuple(f"share/morgana/{folder}/" for folder in DATA) + ("include/morgana/plugin/", "lib/cmake/Morgana/",
                                                                     "lib/morgana/python/morgana/")
    assert {name for name in names if not name.startswith(kept)} == {
        "bin/morgana", *(f"libexec/morgana/{program}" for program in PROGRAMS),
        *(f"libexec/morgana/xen-bench/{file}" for file in XEN_BENCH)}


def test_an_installation_names_no_folder_of_the_build(prefix, tmp_path):
    for file in sorted(prefix.rglob("*")):
        if file.is_file():
            content = names_in(file, tmp_path / "stripped")
            for folder in (ROOT, BUILD):
                assert str(folder).encode() not in content, f"{file.relative_to(prefix)} names {folder}"


def test_an_installation_makes_builds_and_runs_an_application(run, prefix, tmp_path):
    run("new", "hello", cwd=tmp_path).expect()
    run("configure", "-t", "unix", "hello", cwd=tmp_path).expect()
    run("build", "hello", cwd=tmp_path).expect()
    assert "hello" in run("run", "hello", cwd=tmp_path).expect(0).output.lower()
    for file in (tmp_path / "hello/build").rglob("*"):
        if file.suffix in (".ninja", ".json", ".cpp", ".hpp"):
            assert f"{ROOT}/" not in file.read_text(), f"{file} names the source tree"


def test_a_plugin_is_built_against_an_installation(run, prefix, tmp_path):
    board = Board(tmp_path, prefix)
    cache = (tmp_path / "my-board/build/CMakeCache.txt").read_text()
    assert f"Morgana_DIR:PATH={prefix}/lib/cmake/Morgana" in cache
    assert str(ROOT) not in (tmp_path / "my-board/build/build.ninja").read_text()
    with Process([prefix / "bin/morgana", "plugin", "check", "my-board", "--level", "boot"],
                 env=dict(os.environ, MORGANA_PLUGIN_PATH=str(board.plugins))) as check:
        assert check.wait(BUILD_SECONDS).expect(0).output.endswith("my-board: 1 passed, 0 failed\n")
