"""Every example as a simulated host: the same sources with `-t sim`, under virtual time."""
import os
import re
import time

import pytest
from support import MORGANA, ROOT, Process, built, morgana
from test_examples import EXAMPLES, make_disk, put_sector, ticket

HELP_SHOWN, WRONG_ARGUMENT, MISSING_DEVICE, CRASHED, OUT_OF_MEMORY, DRIVER_FAILED = 63, 64, 65, 70, 71, 125
HERE = ROOT / "tests/e2e/apps"


def example(name):
    return built(ROOT / "examples" / name, "sim")


def seeded(app, seed, *arguments, driver=()):
    return app.run(*arguments, driver=("--seed", str(seed), *driver)).output


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_builds_for_the_simulator_and_shows_help(name):
    assert "--help" in example(name).run("--help").expect(HELP_SHOWN).output


def test_noop_ends_at_once():
    example("noop").run().expect(0)


def test_hello_says_hello_each_virtual_second():
    app = example("hello")
    assert app.run().expect(0).output.splitlines() == [f"[   {i}.000] hello: info: hello" for i in range(4)]
    assert app.run("--no-such-option=1").expect(WRONG_ARGUMENT)


def test_options_libraries_and_embedded_files_are_those_of_every_target():
    assert example("hello-key").run("--hello=Good morning").expect(0).messages("hello") == ["Good morning"] * 4
    assert example("local-library").run().expect(0).messages("hello") == ["hello from a local library"]
    assert "llhttp 9.2.1 (MIT)" in example("app_info").run().expect(0).output.splitlines()
    assert "matches" in example("kv_ro").run().expect(0).messages("kv_ro")[0]


def test_tasks_race_as_they_do_in_real_time():
    assert example("task_heads1").run().expect(0).messages("heads") == ["Heads", "Tails", "Finished"]
    assert example("task_timeout1").run("--delay=1ms").expect(0).messages("timeout") == ["Returned Heads"]
    assert example("task_timeout2").run("--delay=1h").expect(0).messages("timeout") == ["Cancelled"]


def test_a_day_passes_at_once_and_both_clocks_know():
    said = example("clock").run("--times=86401").expect(0).messages("clock")
    assert said[0] == "0 ns since boot, 2030-01-01 00:00:00 +00:00"
    assert said[-1] == f"{86400 * 10**9} ns since boot, 2030-01-02 00:00:00 +00:00"


def test_one_seed_gives_one_run_and_another_another():
    app = example("task_echo_server")
    first = seeded(app, 7)
    assert app.run(driver=("--seed", "7")).expect(0).output == first
    assert len(re.findall("echo: info: a+$", first, re.MULTILINE)) == 10
    assert seeded(app, 8) != first
    assert app.run().output != app.run().output     # another seed each time: the same once in 2^32


def test_a_wrong_seed_is_refused_before_anything_runs():
    refused = example("hello").run(driver=("--seed", "seven")).expect(DRIVER_FAILED).output
    assert "`seven` is neither a number" in refused and "hello" not in refused.replace("hello.sim.so", "")
    refused = built(ROOT / "examples/hello").run(driver=("--seed", "7")).expect(DRIVER_FAILED).output
    assert "have no seed" in refused


def test_a_stop_ends_a_host_in_the_middle_of_its_days():
    with example("clock").start() as guest:
        guest.wait_for("2030-01-01 01:00:00")
        guest.stop().expect(0)


def test_disks_are_files_and_a_missing_one_is_named(tmp_path):
    ended = example("block").run(driver=make_disk(tmp_path / "disk.img", 64, b"\xff")).expect(0)
    assert ended.messages("block")[-1] == "10 started, 10 passed, 0 failed"
    assert "storage" in example("block").run().expect(MISSING_DEVICE).output
    disk, place = make_disk(tmp_path / "disk.img", 64)
    assert "failed" in example("block").run(driver=(disk, place + ",ro")).expect(1).output


def test_a_lottery_is_drawn_by_the_seed(tmp_path):
    lottery = example("disk-lottery")
    drawn = []
    for name in ("one", "two"):
        path = tmp_path / name
        disk = make_disk(path, 8)
        put_sector(path, 0, ticket(0))
        drawn.append(seeded(lottery, 3, driver=disk))
    assert drawn[0] == drawn[1] and "drew" in drawn[0]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


APPLICATION = '''#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <thread>
#include <vector>
#include "morgana/app.hpp"
#include "morgana/core/event.hpp"
using namespace morgana;
struct options {
  /// What to do.
  std::string_view what = "";
};
'''


def make_app(folder, body, sources=None):
    """An application made of the body of start()."""
    folder.mkdir()
    (folder / "unikernel.toml").write_text(f'name = "{folder.name}"\n')
    (folder / "unikernel.hpp").write_text(APPLICATION + body)
    return folder


@pytest.mark.parametrize("what,symbol", [
    ("std::random_device device; int volatile kept = static_cast<int>(device()); static_cast<void>(kept);", "random_device"),
    ("std::thread other([] {}); other.join();", "pthread_create"),
    ('std::FILE* volatile file = std::fopen("/etc/passwd", "r"); static_cast<void>(file);', "fopen"),
    ('int volatile kept = std::system("true"); static_cast<void>(kept);', "system"),
], ids=["random_device", "thread", "file", "system"])
def test_a_forbidden_symbol_is_one_error_that_names_it_and_who_needs_it(tmp_path, what, symbol):
    app = make_app(tmp_path / "wrong", f"inline task<> start(console auto& out) {{ out.write(\"x\"); {what} co_return; }}\n")
    said = morgana("build", "-t", "sim", app).expect(1).output
    assert re.search(r"`\w+` cannot be used on the target `sim`", said), said
    assert re.search(rf"(`{symbol}`|needed by .*{symbol})", said), said
    assert said.count("error: ") == said.count("[forbidden-symbol]") == 1, said
    assert "docs/targets/sim.md" in said


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    return built(make_app(tmp_path_factory.mktemp("sim") / "odd", '''
[[gnu::noinline]] inline int deep(int n) { char volatile room[512]; room[0] = static_cast<char>(n); return n == 0 ? 0 : deep(n + 1) + room[0]; }
inline task<> start(console auto& out, timer auto& sleeper, option_set<options> auto const& opt) {
  co_await sleeper.sleep_for(1500ms);
  std::string_view const what = opt.what;
  if (what == "null") *reinterpret_cast<int volatile*>(std::uintptr_t{8}) = 1;
  if (what == "overflow") out.write(deep(1) == 7 ? "7" : "8");
  if (what == "loop") for (int volatile i = 0;; i = 0) {}
  if (what == "spin") for (;;) co_await sleeper.sleep_for(0ns);
  if (what == "idle") co_await stop_requested();
  if (what == "abort") std::abort();
  if (what == "memory") for (;;) std::memset(::operator new(1u << 20), 1, 1u << 20);
  if (what == "libc") {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    auto* const text = static_cast<char*>(std::malloc(32));
    std::snprintf(text, 32, "%.2f", 2.5);
    std::printf("libc: %ld.%09ld %ld %s %s\\n", now.tv_sec, now.tv_nsec, std::time(nullptr), text,
                std::getenv("PATH") == nullptr ? "no PATH" : "PATH");
    std::free(text);
  }
}
'''), "sim")


@pytest.mark.parametrize("what,reason", [("null", "fault"), ("overflow", "stack overflow"), ("abort", "assertion"),
                                         ("spin", "hung")])
def test_a_crash_has_a_report_with_functions_the_seed_and_the_place(odd, what, reason):
    said = odd.run(f"--what={what}", driver=("--seed", "5")).expect(CRASHED).output
    report = said.split("---- morgana crash report ----\n")[1].split("---- end of crash report ----")[0]
    assert f"reason: {reason}\n" in report
    assert "host: odd, 1500000000 ns after its boot, seed 5\n" in report
    if what != "spin":
        assert re.search(r"^  \+0x[0-9a-f]{8} \S*(start|deep)\S*$", report, re.MULTILINE), report
        assert re.search(r"#\d .*unikernel\.hpp:\d+", said), said


def test_a_host_that_never_waits_is_ended_as_hung(odd):
    said = odd.run("--what=loop").expect(CRASHED).output
    assert "reason: hung\n" in said and "without waiting" in said


def test_memory_has_a_limit_that_can_be_chosen(odd):
    said = odd.run("--what=memory", driver=("--memory", "8MiB")).expect(OUT_OF_MEMORY).output
    assert "the limit is 8388608 bytes" in said


def test_a_host_with_nothing_left_to_do_says_so_and_can_be_stopped(odd):
    with odd.start("--what=idle") as guest:
        guest.wait_for("nothing is left to happen to `odd` at 1500 ms")
        guest.stop().expect(0)


def test_the_c_library_is_the_hosts_own(odd):
    assert "libc: 1.500000000 1893456001 2.50 no PATH" in odd.run("--what=libc").expect(0).output
