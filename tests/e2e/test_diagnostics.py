"""Every diagnostic that the driver promises, as its user reads it: exact text, compared with golden/NAME.txt.

After a wanted change run with MORGANA_UPDATE_GOLDEN=1 and read the difference before committing it."""
import json
import os
import pathlib
import re
import subprocess

import pytest

from support import BUILD_SECONDS, MORGANA, ROOT

GOLDEN = pathlib.Path(__file__).parent / "golden"
DATA = MORGANA.parent.parent / "share/morgana"

TOML = 'name = "app"\n'
HELLO = '''#include "morgana/app.hpp"

inline morgana::task<> start(morgana::console auto& console) {
  console.write("hello\\n");
  co_return;
}
'''


NETWORK = '''#include "morgana/app.hpp"

inline morgana::task<> start(morgana::net::stack auto& network) { co_return; }
'''
LEFT_OUT = '''
[devices.network]
use = "direct"
ipv6 = false

[options]
network.accept-ra = true
'''


def with_parameter(text, before=""):
    return f'''#include "morgana/app.hpp"
{before}
inline morgana::task<> start({text}) {{ co_return; }}
'''


LAMP = '''
namespace app {
template <class T>
concept lamp = requires(T& device) { device.shine(); };
}
'''
LAMP_DEVICES = '''
[[device]]
name = "{0}"
provides = "app::lamp"
type = "app::{0}_lamp"
header = "lamps.hpp"
'''
PLUGIN = '''schema = 1
name = "{name}"
summary = "For a test"
api = [{api}, 0]
triple = "host"
[guest]
platform_api = 1
sources = ["*.cpp"]
'''
OPTIONS = '''#include "morgana/app.hpp"
#include <vector>

struct options {{
  /// For a test.
  {field};
}};
inline morgana::task<> start(morgana::option_set<options> auto const&) {{ co_return; }}
'''

CONFIGURE = ["configure"]

# name → (files, command, environment)
CASES = {
    "no_start": ({"unikernel.hpp": '#include "morgana/app.hpp"\n\ninline morgana::task<> strat() { co_return; }\n'},
                 CONFIGURE, {}),
    "two_starts": ({"unikernel.hpp": HELLO + "\ninline morgana::task<> start() { co_return; }\n"}, CONFIGURE, {}),
    "parameter_without_concept": ({"unikernel.hpp": with_parameter("int count")}, CONFIGURE, {}),
    "unknown_concept": ({"unikernel.hpp": with_parameter("morgana::consle auto& console")}, CONFIGURE, {}),
    "no_provider": ({"unikernel.hpp": with_parameter("app::lamp auto& light", LAMP),
                     "plugins/moon/moon.toml": PLUGIN.format(name="moon", api=1) + LAMP_DEVICES.format("moon")},
                    ["configure", "-t", "unix"], {}),
    "concept_of_nobody": ({"unikernel.hpp": with_parameter("app::lamp auto& light", LAMP)}, CONFIGURE, {}),
    "ambiguous_choice": ({"unikernel.hpp": with_parameter("app::lamp auto& light", LAMP),
                          "unikernel.toml": TOML + 'catalogues = ["devices.toml"]\n',
                          "devices.toml": LAMP_DEVICES.format("red") + LAMP_DEVICES.format("blue")}, CONFIGURE, {}),
    "option_type": ({"unikernel.hpp": OPTIONS.format(field="std::vector<int> numbers")}, CONFIGURE, {}),
    "option_value": ({"unikernel.hpp": OPTIONS.format(field="std::uint16_t port = 8080"),
                      "unikernel.toml": TOML + "\n[options]\nport = 70000\n"}, CONFIGURE, {}),
    "option_value_on_the_command_line": ({"unikernel.hpp": OPTIONS.format(field="bool loud = false")},
                                         ["configure", "--loud=maybe"], {}),
    "unknown_option": ({"unikernel.hpp": OPTIONS.format(field="std::uint16_t port = 8080"),
                        "unikernel.toml": TOML + "\n[options]\nprot = 80\n"}, CONFIGURE, {}),
    "unknown_option_on_the_command_line": ({"unikernel.hpp": OPTIONS.format(field="std::uint16_t port = 8080")},
                                           ["configure", "--prot=80"], {}),
    "option_left_out": ({"unikernel.hpp": NETWORK, "unikernel.toml": TOML + LEFT_OUT}, CONFIGURE, {}),
    "unknown_choice": ({"unikernel.hpp": HELLO, "unikernel.toml": TOML + 'packages = ["morgana-http"]\n[choices.morgana-http]\nparsr = false\n'},
                       CONFIGURE, {}),
    "choice_of_no_package": ({"unikernel.hpp": HELLO}, ["configure", "--morgana-http.parser=false"], {}),
    "unknown_key": ({"unikernel.hpp": HELLO, "unikernel.toml": TOML + 'sorces = ["a.cpp"]\n'}, CONFIGURE, {}),
    "unknown_parameter": ({"unikernel.hpp": HELLO, "unikernel.toml": TOML + '[devices.consle]\nuse = "console"\n'},
                          CONFIGURE, {}),
    "unknown_implementation": ({"unikernel.hpp": HELLO,
                                "unikernel.toml": TOML + '[devices.console]\nuse = "consol"\n'}, CONFIGURE, {}),
    "unknown_package": ({"unikernel.hpp": HELLO, "unikernel.toml": TOML + 'packages = ["morgana-htp"]\n'},
                        CONFIGURE, {}),
    "wrong_toml": ({"unikernel.hpp": HELLO, "unikernel.toml": 'name = "app"\nsources = ["a.cpp"\n[options]\n'},
                   CONFIGURE, {}),
    "no_sources": ({"unikernel.hpp": HELLO, "unikernel.toml": TOML + 'sources = ["src/*.cpp"]\n'}, CONFIGURE, {}),
    "no_description": ({"unikernel.toml": None}, CONFIGURE, {}),
    "no_entry": ({}, CONFIGURE, {}),
    "unknown_target": ({"unikernel.hpp": HELLO}, ["configure", "-t", "unxi"], {}),
    "plugin_api": ({"unikernel.hpp": HELLO, "plugins/old/old.toml": PLUGIN.format(name="old", api=7)},
                   ["configure", "-t", "old"], {}),
    "error_in_a_declaration": ({"unikernel.hpp": HELLO + "\ninline in count() { return 1; }\n"}, CONFIGURE, {}),
    "error_in_a_body": ({"unikernel.hpp": HELLO.replace("hello\\n\")", "hello\\n\", 1)")}, ["build"], {}),
    "error_in_a_source": ({"unikernel.hpp": HELLO, "unikernel.toml": TOML + 'sources = ["src/*.cpp"]\n',
                           "src/part.cpp": "int part() { return prat; }\n"}, ["build"], {}),
    "missing_compiler": ({"unikernel.hpp": HELLO}, CONFIGURE, {"PATH": "/nonexistent"}),
    "undefined_function": ({"unikernel.hpp": "int part();\n" + HELLO.replace("  co_return;", "  if (part() != 0) co_return;")},
                           ["build"], {}),
    "package_left_out": ({"unikernel.hpp": '#include "morgana/net/dns/message.hpp"\n' + HELLO.replace(
        "  co_return;", "  if (morgana::net::dns::name::parse(\"www.test\")) co_return;")}, ["build"], {}),
    "over_budget": ({"unikernel.hpp": HELLO, "unikernel.toml": TOML + '[budgets]\nimage = "1 KiB"\n'}, ["build"], {}),
    "locked": ({"unikernel.hpp": HELLO, "morgana.lock": "schema = 1\n"}, ["configure", "--locked"], {}),
    "wrong_usage": ({"unikernel.hpp": HELLO}, ["configure", "one", "two"], {}),
}


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    return tmp_path_factory.mktemp("diagnostics")


def run(folder, command, environment):
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MORGANA_")}
    surroundings |= {"NO_COLOR": "1", "XDG_DATA_HOME": "/nonexistent"} | environment
    done = subprocess.run([MORGANA, *command], cwd=folder, env=surroundings, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BUILD_SECONDS, text=True)
    return done.returncode, done.stdout


def normal(text, folder):
    """The same on every machine and whatever else the runtime holds: no absolute paths, sizes, versions, counts."""
    for path, name in ((folder, "APP"), (DATA, "DATA"), (ROOT, "ROOT")):
        text = text.replace(str(path), name)
    text = re.sub(r"has \d+ bytes, \d+ more", "has N bytes, M more", text)
    text = re.sub(r": \d[\w.+~-]* \(new\)", ": VERSION (new)", text)
    text = re.sub(r"\d+ packages", "N packages", text)
    text = re.sub(r"(concepts declared here are) .*", r"\1 ...", text)
    text = re.sub(r"(types that can be read:) .*", r"\1 ...", text)
    return re.sub(r"(system_devices.hpp):\d+:\d+: (.*)\n +\d+ \|", r"\1:LINE: \2\n   NN |", text)


@pytest.mark.parametrize("name", CASES)
def test_diagnostic(name, places):
    files, command, environment = CASES[name]
    folder = places / name
    folder.mkdir()
    for path, text in ({"unikernel.toml": TOML} | files).items():
        if text is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    code, said = run(folder, command, environment)
    said = normal(said, folder)
    text = f"$ morgana {' '.join(command)}\n{said}[exit {code}]\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("MORGANA_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.exists(), f"{golden} is missing; it would hold:\n{text}"
    assert text == golden.read_text()
    # One cause, one error; generated files are nobody's business.
    assert code == (2 if name == "wrong_usage" else 1)
    assert "main.gen.cpp" not in said
    if name != "wrong_usage":
        assert said.count(" error: ") == 1, said


def test_the_same_as_json(places):
    folder = places / "json"
    folder.mkdir()
    (folder / "unikernel.toml").write_text(TOML + "sorces = []\n")
    code, said = run(folder, ["configure", "--message-format", "json"], {})
    lines = [json.loads(line) for line in said.splitlines()]
    assert code == 1 and len(lines) == 1
    assert lines[0]["kind"] == "diagnostic" and lines[0]["code"] == "unknown-name"
    assert lines[0]["line"] == 2 and lines[0]["column"] == 1


def test_no_golden_file_is_left_over():
    assert {file.stem for file in GOLDEN.glob("*.txt")} == set(CASES)
