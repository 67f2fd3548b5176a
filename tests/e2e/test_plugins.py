"""Target plugins as their authors meet them: made by `plugin new`, built with CMake outside this repository, found
by search path, proved by `plugin check`; and refused, with both numbers, when made for another interface."""
import json
import os
import re
import shutil
import subprocess

import pytest
from support import BUILD_SECONDS, MORGANA, ROOT, Process, morgana

PREFIX = MORGANA.parents[1]     # an installation, or a build folder, which has the same layout
LEVELS = ["boot", "console", "time", "entropy", "exit-codes", "arguments", "missing-device", "memory-limit"]


class Board:
    """The scaffold, built, in a folder outside the repository."""

    def __init__(self, folder, prefix=PREFIX):
        self.source = folder / "my-board"
        self.plugins = self.source / "build/plugins"
        for command in ([prefix / "bin/morgana", "plugin", "new", "my-board", self.source],
                        ["cmake", "-S", self.source, "-B", self.source / "build", "-G", "Ninja",
                         "-DCMAKE_CXX_COMPILER=clang++-22", f"-DCMAKE_PREFIX_PATH={prefix}"],
                        ["cmake", "--build", self.source / "build"]):
            with Process(command) as tool:
                tool.wait(BUILD_SECONDS).expect()

    def morgana(self, *arguments):
        return morgana(*arguments, MORGANA_PLUGIN_PATH=str(self.plugins))


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    made = Board(tmp_path_factory.mktemp("plugins"))
    assert ROOT not in made.source.parents
    return made


def test_a_plugin_is_found_by_search_path_and_why_is_said(board):
    said = board.morgana("plugin", "list", "--why").expect().output
    assert re.search(rf"^my-board +.* {re.escape(str(board.plugins / 'my-board'))}$", said, re.MULTILINE), said
    assert f"  {board.plugins} (MORGANA_PLUGIN_PATH)\n    my-board\n" in said
    assert "my-board" not in morgana("plugin", "list").expect().output
    unknown = morgana("plugin", "check", "my-bord", MORGANA_PLUGIN_PATH=str(board.plugins)).expect(1).output
    assert unknown.count("error:") == 1 and "did you mean `my-board`?" in unknown


def test_an_application_is_configured_built_and_run_on_a_plugin_from_outside(board, tmp_path):
    app = tmp_path / "hello"
    board.morgana("new", "hello", app).expect()
    board.morgana("configure", "-t", "my-board", app).expect()
    board.morgana("build", app).expect()
    assert (app / "build/my-board/hello").is_file()
    assert "hello" in board.morgana("run", app).expect(0).output.lower()
    assert "--help" in board.morgana("run", app, "--", "--help").expect(63).output


def test_a_fresh_plugin_passes_every_level_of_the_conformance_kit(board):
    said = board.morgana("plugin", "check", "my-board", "--message-format", "json").expect(0).output
    assert said.endswith("}\n")
    *steps, report = map(json.loads, said.splitlines())      # one object a line, the report last
    assert {step["kind"] for step in steps} <= {"progress"}
    assert report["kind"] == "conformance" and report["target"] == "my-board" and report["passed"] is True
    assert {level["name"]: level["verdict"] for level in report["levels"] if level["verdict"] != "coming"} == \
        dict.fromkeys(LEVELS, "passed")


def test_the_unix_target_passes_every_level_of_the_conformance_kit():
    said = morgana("plugin", "check", "unix").expect(0).output
    assert re.findall(r"^(\S+) +passed$", said, re.MULTILINE) == LEVELS
    assert said.endswith(f"unix: {len(LEVELS)} passed, 0 failed\n")


def test_a_broken_plugin_fails_where_it_is_broken_and_nowhere_else(board, tmp_path):
    broken = tmp_path / "plugins/my-board"
    shutil.copytree(board.plugins / "my-board", broken)      # links are followed: a copy of its own
    platform = broken / "guest/platform.cpp"
    text = platform.read_text()
    spoiled = text.replace("void power_off(int status) noexcept { ::_exit(status); }",
                           "void power_off(int status) noexcept { ::_exit(status == 42 ? 41 : status); }")
    assert spoiled != text
    platform.write_text(spoiled)
    with_broken = {"MORGANA_PLUGIN_PATH": str(broken.parent)}
    said = morgana("plugin", "check", "my-board", "--level", "boot", "--level", "exit-codes", **with_broken).expect(1).output
    assert re.search(r"^boot +passed$", said, re.MULTILINE)
    assert re.search(r"^exit-codes +FAILED: .*42.*41", said, re.MULTILINE), said
    assert said.endswith("my-board: 1 passed, 1 failed\n")


# ---- other versions of the interface ------------------------------------------------------------------

def copy_of_unix(folder, name, edit):
    plugin = folder / name
    plugin.mkdir(parents=True)
    shutil.copy(PREFIX / "share/morgana/plugins/unix/devices.toml", plugin)
    text = edit((PREFIX / "share/morgana/plugins/unix/unix.toml").read_text().replace('name = "unix"', f'name = "{name}"')
                .replace("default = true\n", "").replace("../../targets", str(PREFIX / "share/morgana/targets")))
    (plugin / f"{name}.toml").write_text(text)
    return plugin


def test_a_plugin_for_another_api_is_refused_with_both_numbers(tmp_path):
    plugin = copy_of_unix(tmp_path, "future", lambda text: text.replace("api = [1, 0]", "api = [2, 0]"))
    line = (plugin / "future.toml").read_text().splitlines().index("api = [2, 0]") + 1
    environment = {"MORGANA_PLUGIN_PATH": str(tmp_path)}
    for command in (("plugin", "check", "future"), ("configure", "-t", "future", ROOT / "examples/hello", "-o", tmp_path / "b")):
        said = morgana(*command, **environment).expect(1).output
        assert said.count("error:") == 1, said
        assert re.search(rf"future\.toml:{line}:\d+: error: the plugin is written for plugin interface 2\.0, "
                         r"this morgana speaks 1\.0 \[plugin-api\]\n", said), said
        assert "help: upgrade morgana, or install an older version of the plugin" in said
    assert not (tmp_path / "b").exists()


def test_a_plugin_library_of_another_major_is_refused_with_both_numbers(tmp_path):
    plugin = copy_of_unix(tmp_path, "future", lambda text: text.replace(
        'catalogue = "devices.toml"\n', 'catalogue = "devices.toml"\nlibrary = "libfuture.so"\n'))
    source = tmp_path / "future.c"
    # Only its numbers may be read: whatever else is called ends the driver.
    source.write_text('#include "morgana/plugin/plugin.h"\n#include <stdlib.h>\n'
                      "static void no(void* self) { (void)self; abort(); }\n"
                      "morgana_plugin const* morgana_plugin_entry(void);\n"
                      "morgana_plugin const* morgana_plugin_entry(void) {\n"
                      "  static morgana_plugin const plugin = {.major = 7, .minor = 3, .destroy = no};\n"
                      "  return &plugin;\n}\n")
    include = PREFIX / "include" if (PREFIX / "include/morgana").exists() else ROOT / "plugins/api/include"
    subprocess.run(["clang-22", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(plugin / "libfuture.so")], check=True)
    app = tmp_path / "hello"
    shutil.copytree(ROOT / "examples/hello", app)
    environment = {"MORGANA_PLUGIN_PATH": str(tmp_path)}
    for command in (("plugin", "call", "future", "image"), ("build", "-t", "future", app, "-o", tmp_path / "b")):
        said = morgana(*command, **environment).expect(1).output
        assert said.count("error:") == 1, said
        assert re.search(r"future\.toml: error: the library of plugin `future` was built for version 7\.3 of the plugin "
                         r"interface, this driver has 1\.0 \[plugin-api\]\n", said), said
        assert "help: build the plugin against the installed Morgana" in said
