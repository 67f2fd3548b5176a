"""The commands as a person types them."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from support import BUILD_SECONDS, MORGANA, Process, morgana

WEBSITE_FILES = {
    "unikernel.toml": 'name = "pages"\n[devices.files]\nuse = "embedded"\nfolder = "pages"\n',
    "unikernel.hpp": '''#include "morgana/app.hpp"

struct options {
  /// Which page is printed.
  std::string_view page = "index.html";
  /// What start() returns.
  std::uint8_t status = 0;
  /// Waits for a stop.
  bool wait = false;
};

inline void each(void* to, std::string_view key, morgana::value_information const& about) {
  auto& line = *static_cast<morgana::fixed_text<2000>*>(to);
  line.append("{} {}\\n", key, about.size_bytes);
}

inline morgana::task<int> start(morgana::console auto& console, morgana::key_value_store auto& files,
                                morgana::option_set<options> auto const& opt) {
  morgana::fixed_text<2000> list;
  if (!files.keys(each, &list)) co_return 99;
  console.write(list.view());
  auto const page = files.view(opt.page);
  console.write({reinterpret_cast<char const*>(page.data()), page.size()});
  co_return opt.status;
}
''',
    "pages/index.html": "<p>hello</p>\n",
    "pages/css/site.css": "p { color: red }\n",
    "pages/empty": "",
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "pages"
    for name, text in WEBSITE_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    morgana("configure", folder).expect()
    morgana("build", folder).expect()
    return folder


def snapshot(folder):
    return {str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.stat().st_size)
            for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink()}


def last_object(ended):
    """The result of a command with JSON messages: progress may come before it."""
    return json.loads(ended.expect().output.splitlines()[-1])


def test_a_new_application_builds_and_runs_at_once(tmp_path):
    said = morgana("new", "hello", cwd=tmp_path).expect().output
    assert "next: morgana run hello" in said
    assert (tmp_path / "hello/.gitignore").read_text().startswith("/build/\n")
    ended = morgana("run", "hello", cwd=tmp_path).expect()
    assert "configured hello for unix, which was not done yet" in ended.output
    assert ended.output.endswith("Hello, world!\n")
    assert morgana("run", "hello", "--", "--greeting=Moin", cwd=tmp_path).expect().output == "Moin"  + "\n"
    again = morgana("new", "hello", cwd=tmp_path)
    assert again.code == 1 and "[exists]" in again.output


def test_run_returns_the_guests_own_status(pages):
    assert morgana("run", pages, "--", "--status=17").code == 17
    assert morgana("run", pages, "--", "--help").code == 63
    assert morgana("run", pages, "--", "--nothing").code == 64


def test_run_fails_by_itself_with_125(pages, tmp_path):
    assert morgana("run", tmp_path).code == 125
    ended = morgana("run", pages, "--disk", "data=/nonexistent/file")
    assert ended.code == 125 and "data" in ended.output


def test_embedded_files_are_those_of_the_folder_now(pages):
    assert morgana("run", pages).expect().output == "css/site.css 17\nempty 0\nindex.html 13\n<p>hello</p>\n"
    (pages / "pages/about.html").write_text("me")
    assert "about.html 2\n" in morgana("run", pages).expect().output
    (pages / "pages/index.html").write_text("<p>changed</p>\n")
    assert "<p>changed</p>" in morgana("run", pages).expect().output
    (pages / "pages/about.html").unlink()
    (pages / "pages/index.html").write_text("<p>hello</p>\n")
    assert morgana("run", pages).expect().output == "css/site.css 17\nempty 0\nindex.html 13\n<p>hello</p>\n"


def test_an_option_fixed_at_configure_time_is_no_boot_option(pages):
    morgana("configure", pages, "--status=5").expect()
    assert morgana("run", pages).code == 5
    assert morgana("run", pages, "--", "--status=6").code == 64
    described = json.loads(morgana("describe", pages, "--json").expect().output)
    stages = {one["name"]: one["stage"] for one in described["options"]}
    assert stages == {"page": "boot", "status": "configure", "wait": "boot"}
    morgana("configure", pages).expect()
    assert morgana("run", pages, "--", "--status=6").code == 6


def test_a_build_with_nothing_to_do_writes_nothing(pages):
    morgana("build", pages).expect()
    before = snapshot(pages)
    morgana("build", pages).expect()
    after = snapshot(pages)
    assert {name for name in after if after[name] != before.get(name)} <= {"build/unix/.ninja_log"}


def test_a_changed_description_configures_again(pages):
    text = (pages / "unikernel.toml").read_text()
    (pages / "unikernel.toml").write_text(text + "[options]\nstatus = 9\n")
    assert morgana("run", pages).code == 9
    (pages / "unikernel.toml").write_text(text)
    assert morgana("run", pages).code == 0


def test_dry_run_writes_nothing(pages):
    before = snapshot(pages)
    said = morgana("configure", pages, "--status=3", "--dry-run").expect().output
    assert re.search(r"^write .*build/unix/main.gen.cpp, [\d,]+ bytes$", said, re.MULTILINE)
    assert "unchanged" in said
    assert snapshot(pages) == before


def test_nothing_is_written_beside_build_folder_cache_and_lock(tmp_path):
    """Home and sources are watched; the build folder is elsewhere."""
    home, cache, app, out = (tmp_path / name for name in ("home", "cache", "app", "out"))
    home.mkdir()
    cache.symlink_to(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    morgana("new", "app", cwd=tmp_path).expect()
    before = snapshot(app)
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env |= {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "NO_COLOR": "1"}
    for command in (["configure", app, "-o", out], ["build", app, "-o", out], ["run", app, "-o", out],
                    ["describe", app, "-o", out], ["size", app, "-o", out], ["why", "console", app, "-o", out],
                    ["query", "files", app, "-o", out], ["targets", app], ["devices", app], ["doctor", app],
                    ["plugin", "list", "--why", app], ["completion", "bash"]):
        Process([MORGANA, *command], cwd=app, env=env).wait(BUILD_SECONDS).expect()
    after = snapshot(app)
    assert set(after) - set(before) == {"morgana.lock"}
    assert all(after[name] == before[name] for name in before)
    assert list(home.iterdir()) == []


def test_sizes_sum_up_to_the_file(pages):
    image = pages / "build/unix/pages"
    for by in ("package", "file", "symbol"):
        sizes = last_object(morgana("size", pages, "--by", by, "--message-format", "json"))
        assert sizes["total"] == image.stat().st_size == sum(row["bytes"] for row in sizes["rows"])
    packages = [row["name"] for row in last_object(morgana("size", pages, "--message-format", "json"))["rows"]]
    assert {"morgana-core", "morgana-storage", "target-unix", "(application)"} <= set(packages)


def test_why_gives_the_chain_of_devices_packages_and_symbols(pages):
    device = morgana("why", "files", pages).expect().output
    assert "start → files is `embedded`, which provides key_value_store" in device
    assert "start() asks for `key_value_store auto& files`" in device
    package = morgana("why", "morgana-storage", pages).expect().output
    assert "it holds `embedded`, which is start → files" in package
    symbol = morgana("why", "console_write", pages).expect().output
    assert "morgana::platform::console_write" in symbol and "(entry point)" in symbol
    wrong = morgana("why", "morgana-storge", pages)
    assert wrong.code == 1 and "did you mean `morgana-storage`?" in wrong.output


def test_describe_and_query(pages):
    text = morgana("describe", pages).expect().output
    assert re.search(r"^  files +key_value_store +embedded \(folder=pages\)$", text, re.MULTILINE)
    assert morgana("describe", pages, "--dot").expect().output.startswith("digraph ")
    assert morgana("query", "name", pages).expect().output == "pages\n"
    assert morgana("query", "options", pages).expect().output == "page\nstatus\nwait\n"
    assert morgana("query", "lock", pages).expect().output == (pages / "morgana.lock").read_text()
    assert str(pages / "build/compile_commands.json") in morgana("query", "files", pages).expect().output


def test_clangd_finds_the_entry_header_and_the_generated_main(pages):
    commands = {one["file"]: one for one in json.loads((pages / "build/compile_commands.json").read_text())}
    entry = commands[str(pages / "unikernel.hpp")]
    main = commands[str(pages / "build/unix/main.gen.cpp")]
    for command in (entry, main):
        # The generated main is free of warnings too.
        arguments = [word for word in command["arguments"] if word != "-c"] + ["-fsyntax-only", "-Werror"]
        done = subprocess.run(arguments, cwd=command["directory"], capture_output=True, text=True,
                              timeout=BUILD_SECONDS)
        assert done.returncode == 0, done.stderr


def test_the_lock_is_kept_until_update(pages):
    text = (pages / "morgana.lock").read_text()
    morgana("configure", pages, "--locked").expect()
    (pages / "morgana.lock").write_text("schema = 1\n")
    assert "[lock-changed]" in morgana("configure", pages, "--locked").output
    assert (pages / "morgana.lock").read_text() == "schema = 1\n"
    morgana("configure", pages).expect()
    assert (pages / "morgana.lock").read_text() == text
    assert morgana("update", cwd=pages).expect().output == "everything is up to date\n"


def test_configure_compiles_nothing(tmp_path):
    morgana("new", "app", cwd=tmp_path).expect()
    cache = tmp_path / "cache"
    for more in (["--dry-run"], []):
        morgana("configure", tmp_path / "app", *more, XDG_CACHE_HOME=str(cache)).expect()
        made = [path.name for path in (cache / "morgana").rglob("*.[ao]")]
        assert made == [] and not (cache / "morgana/store").exists()


def test_a_package_that_does_not_compile_is_an_error_of_build(tmp_path):
    morgana("new", "app", cwd=tmp_path).expect()
    app = tmp_path / "app"
    (app / "recipes").mkdir()
    (app / "recipes/broken.toml").write_text('''schema = 1
name = "broken"
version = "1"
licence = "ISC"
[source]
kind = "path"
path = "../part"
[build]
sources = ["*.c"]
''')
    (app / "part").mkdir()
    (app / "part/part.c").write_text("int part(void) { return unknown; }\n")
    description = app / "unikernel.toml"
    description.write_text('packages = ["broken"]\nrepositories = ["recipes"]\n' + description.read_text())
    morgana("configure", app).expect()
    failed = morgana("build", app)
    assert failed.code == 1
    assert failed.output.count("[package-build]") == 1
    assert "package `broken` 1 does not build: use of undeclared identifier 'unknown'" in failed.output
    assert "part/part.c:1:" in failed.output
    (app / "part/part.c").write_text("int part(void) { return 0; }\n")
    morgana("build", app).expect()


def test_clean_removes_the_build_and_nothing_else(tmp_path):
    morgana("new", "app", cwd=tmp_path).expect()
    morgana("configure", "app", cwd=tmp_path).expect()
    (tmp_path / "app/build/mine").write_text("")
    morgana("clean", "app", cwd=tmp_path).expect()
    assert [file.name for file in (tmp_path / "app/build").iterdir()] == ["mine"]
    (tmp_path / "other").mkdir()
    refused = morgana("clean", "app", "-o", "other", cwd=tmp_path)
    assert refused.code == 1 and "[not-a-build-folder]" in refused.output


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["configure", "--target"], ["query", "nothing"],
                                       ["build", "--nope"], ["size", "--by", "colour"]])
def test_wrong_usage_is_2_and_says_how_to_get_help(arguments):
    ended = morgana(*arguments)
    assert ended.code == 2 and "--help" in ended.output


def test_every_command_has_help_and_a_completion(tmp_path):
    top = morgana("--help").expect().output
    commands = re.findall(r"^  ([a-z]+) {2,}", top, re.MULTILINE)
    assert {"new", "configure", "build", "run", "debug", "test", "clean", "describe", "why", "size", "query", "update", "targets",
            "devices", "plugin", "doctor", "completion"} == set(commands)
    for shell in ("bash", "zsh", "fish"):
        script = morgana("completion", shell).expect().output
        for command in commands:
            morgana(command, "--help").expect()
            assert command in script
    check = tmp_path / "completion.bash"
    check.write_text(morgana("completion", "bash").output + '''
COMP_WORDS=(morgana bu); COMP_CWORD=1; _morgana; echo "${COMPREPLY[@]}"
COMP_WORDS=(morgana configure --loc); COMP_CWORD=2; _morgana; echo "${COMPREPLY[@]}"
''')
    done = subprocess.run(["bash", check], capture_output=True, text=True, timeout=60)
    assert done.stdout == "build\n--locked\n", done.stderr


WAITING = '''#include "morgana/app.hpp"
inline morgana::task<int> start(morgana::console auto& console, morgana::timer auto& timer) {
  console.write("waiting\\n");
  co_await timer.sleep_for(std::chrono::hours(1));
  co_return 1;
}
'''


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "waiting"
    folder.mkdir()
    (folder / "unikernel.toml").write_text('name = "waiting"\n')
    (folder / "unikernel.hpp").write_text(WAITING)
    morgana("build", folder).expect()
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_guest_in_order(waiting, number):
    with Process([MORGANA, "run", waiting]) as guest:
        guest.wait_for("waiting")
        guest._process.send_signal(number)
        assert guest.wait().code == 0


def test_a_timeout_stops_the_guest_and_is_the_drivers_own_failure(waiting):
    ended = morgana("run", waiting, "--timeout", "0.2")
    assert ended.code == 125 and "[run-timeout]" in ended.output


def test_console_input_reaches_the_guest(tmp_path):
    (tmp_path / "unikernel.toml").write_text('name = "cat"\n')
    (tmp_path / "unikernel.hpp").write_text('''#include "morgana/app.hpp"
inline morgana::task<> start(morgana::console auto& console) {
  std::array<std::byte, 64> line;
  while (true) {
    auto count = co_await console.read(line, morgana::never);
    if (!count || *count == 0) co_return;
    console.write({reinterpret_cast<char const*>(line.data()), *count});
  }
}
''')
    morgana("build", tmp_path).expect()
    done = subprocess.run([MORGANA, "run", tmp_path], input=b"one\ntwo\n\x00\xff", capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout == b"one\ntwo\n\x00\xff", done


def test_json_messages_are_one_object_a_line(pages):
    ended = morgana("build", pages, "--message-format", "json").expect()
    kinds = [json.loads(line)["kind"] for line in ended.output.splitlines()]
    assert kinds[-1] == "built"
    ended = morgana("run", pages, "--message-format", "json").expect()
    said = [json.loads(line) for line in ended.output.splitlines()]
    assert said[-1]["kind"] == "exit" and said[-1]["status"] == 0
    assert "index.html 13" in "".join(one["text"] for one in said if one["kind"] == "console")
