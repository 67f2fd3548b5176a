// Every way in which a runner can break its contract gives one diagnostic, and no wait without an end.
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "support.hpp"

using namespace morgana::driver;
using namespace morgana::driver::testing;
using Catch::Matchers::Contains;

namespace {

diagnostic start_failure(std::string how, machine::clock::time_point deadline = soon()) {
  auto started = machine::start(fake_target({how}), {.image = "/nowhere"}, deadline);
  REQUIRE(!started);
  REQUIRE(started.error().size() == 1);
  return started.error().front();
}

run_result run(std::string how) {
  auto started = machine::start(fake_target({how}), {.image = "/nowhere", .name = "guest"}, soon());
  REQUIRE(started);
  return finish(**started);
}

diagnostic run_failure(std::string how) {
  auto const result = run(how);
  CHECK(!result.exit);
  REQUIRE(result.failure);
  REQUIRE(result.failure->size() == 1);
  return result.failure->front();
}

/// Processes whose parent is this one.
std::size_t children() {
  std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  std::size_t count = 0;
  for (std::string pid; list >> pid;) ++count;
  return count;
}

}  // namespace

TEST_CASE("a runner that says nothing is ended at the deadline") {
  auto const error = start_failure("silent", machine::clock::now() + std::chrono::milliseconds(50));
  CHECK(error.code == "runner-silent");
  CHECK(children() == 0);
}

TEST_CASE("a runner that ignores its closed socket is killed") {
  CHECK(start_failure("deaf", machine::clock::now() + std::chrono::milliseconds(50)).code == "runner-silent");
  CHECK(children() == 0);
}

TEST_CASE("a runner that ends before hello is reported with its last words") {
  auto const error = start_failure("dies");
  CHECK(error.code == "runner-failed");
  CHECK_THAT(error.message, Contains("ended with status 3"));
  REQUIRE(error.notes.size() == 1);
  CHECK_THAT(error.notes[0].message, Contains("no such machine"));
}

TEST_CASE("words that are no JSON are shown escaped") {
  auto const error = start_failure("garbage");
  CHECK(error.code == "runner-protocol");
  CHECK_THAT(error.message, Contains("not JSON") && Contains("\\u001b"));
}

TEST_CASE("a runner of another version is refused with both numbers") {
  auto const error = start_failure("version");
  CHECK(error.code == "runner-protocol");
  CHECK_THAT(error.message, Contains("7.3") && Contains("1.0"));
}

TEST_CASE("a frame longer than allowed is refused before it is read") {
  auto const error = start_failure("oversize");
  CHECK(error.code == "runner-protocol");
  CHECK_THAT(error.message, Contains("longer than 1048576 bytes"));
}

TEST_CASE("an exit before hello breaks the protocol") {
  CHECK(start_failure("exit-first").code == "runner-protocol");
}

TEST_CASE("a fatal error before hello is the runner's own words and help") {
  auto const error = start_failure("fails-first");
  CHECK(error.code == "runner-failed");
  CHECK(error.message == "no hypervisor here");
  CHECK(error.help == std::vector<std::string>{"load its module"});
}

TEST_CASE("after the first exit nothing more comes") {
  auto started = machine::start(fake_target({"exit-twice"}), {.image = "/nowhere"}, soon());
  REQUIRE(started);
  auto const result = finish(**started);
  REQUIRE(result.exit);
  CHECK(result.exit->status == 1);
  CHECK(!result.failure);
  auto const after = (*started)->next(soon());
  REQUIRE(after);
  CHECK(!*after);
  CHECK((*started)->stop());
  CHECK((*started)->kill());
}

TEST_CASE("a runner that dies in the middle is reported after what its guest printed") {
  auto const result = run("dies-later");
  CHECK(result.console == "half a li");
  REQUIRE(result.failure);
  CHECK(result.failure->front().code == "runner-failed");
  CHECK_THAT(result.failure->front().message, Contains("signal 9"));
  REQUIRE(result.failure->front().notes.size() == 1);
  CHECK_THAT(result.failure->front().notes[0].message, Contains("out of luck"));
}

TEST_CASE("events that make no sense break the protocol") {
  CHECK_THAT(run_failure("bad-exit").message, Contains("`status` from 0 to 255"));
  CHECK_THAT(run_failure("bad-reason").message, Contains("`reason`"));
  CHECK_THAT(run_failure("bad-console").message, Contains("base64"));
  CHECK_THAT(run_failure("hello-twice").message, Contains("second hello"));
}

TEST_CASE("an event of a later minor version is passed over") {
  auto const result = run("future");
  REQUIRE(result.exit);
  CHECK(result.exit->status == 5);
}

TEST_CASE("a machine's descriptor is readable as long as events wait") {
  auto started = machine::start(fake_target({"many"}), {.image = "/nowhere"}, soon());
  REQUIRE(started);
  std::size_t bytes = 0;
  for (bool over = false; !over;) {
    pollfd wait{(*started)->descriptor(), POLLIN, 0};
    REQUIRE(::poll(&wait, 1, 60'000) == 1);
    auto const event = (*started)->next(machine::clock::now());
    REQUIRE(event);
    if (!*event) continue;
    if (auto const* console = std::get_if<console_event>(&**event)) bytes += console->data.size();
    over = std::holds_alternative<exit_event>(**event);
  }
  CHECK(bytes == 1000);
}

TEST_CASE("a runner that takes no commands does not block the driver for ever") {
  auto started = machine::start(fake_target({"deaf-later"}), {.image = "/nowhere"}, soon());
  REQUIRE(started);
  auto const sent = (*started)->input(std::string(8u << 20, 'x'));
  REQUIRE(!sent);
  CHECK(sent.error().front().code == "runner-silent");
  started->reset();
  CHECK(children() == 0);
}

TEST_CASE("what a runner did not say it can is not asked of it") {
  auto started = machine::start(fake_target({"silent-later"}), {.image = "/nowhere"}, soon());
  REQUIRE(started);
  CHECK((*started)->capabilities() == std::vector<std::string>{"console", "input"});
  auto const paused = (*started)->pause();
  REQUIRE(!paused);
  CHECK(paused.error().front().code == "not-supported");
}

TEST_CASE("a start message carries the whole configuration") {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  auto started = machine::start(
      fake_target({"echo-start"}),
      {.image = "relative",
       .name = "guest",
       .arguments = {"--text=a \"b\" ü", ""},
       .environment = {{"A", "b"}},
       .memory_bytes = 1 << 20,
       .networks = {{.name = "network", .descriptor = pair[1], .tap = "", .mac = "02:00:00:00:00:01"}},
       .disks = {{.name = "disk", .path = "/tmp/x,y", .read_only = true}}},
      soon());
  REQUIRE(started);
  auto const text = finish(**started).console;
  CHECK_THAT(text, Contains(R"("arguments":["--text=a \"b\" ü",""])"));
  CHECK_THAT(text, Contains(R"("environment":{"A":"b"})") && Contains(R"("memory_bytes":1048576)"));
  CHECK_THAT(text, Contains("\"descriptor\":" + std::to_string(pair[1])) && Contains("/relative\""));
  CHECK_THAT(text, Contains(R"("path":"/tmp/x,y","read_only":true,"sector_bytes":512)"));
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_CASE("a guest's memory limit is the target's unless it is given") {
  auto on = fake_target({"echo-start"});
  on.settings["memory"] = {
      .name = {}, .type = setting_type::size, .default_value = "3 MiB", .help = "", .values = {}};
  auto started = machine::start(on, {.image = "/nowhere"}, soon());
  REQUIRE(started);
  CHECK_THAT(finish(**started).console, Contains("\"memory_bytes\":3145728"));
}

TEST_CASE("a runner that is not there is named with the folders that were searched") {
  auto on = fake_target({});
  on.runner = {"no-such-runner"};
  auto const started = machine::start(on, {.image = "/nowhere"}, soon());
  REQUIRE(!started);
  CHECK(started.error().front().code == "no-runner");
  REQUIRE(!started.error().front().notes.empty());
  CHECK_THAT(started.error().front().notes[0].message, Contains(MORGANA_TEST_PROGRAMS));
  on.runner = {};
  CHECK(machine::start(on, {.image = "/nowhere"}, soon()).error().front().code == "no-runner");
}

TEST_CASE("what no process can be given is refused before anything starts") {
  auto refused = [](machine_configuration const& what) {
    auto const started = machine::start(fake_target({"silent"}), what, soon());
    REQUIRE(!started);
    CHECK(started.error().front().code == "wrong-value");
  };
  refused({.image = "/x", .arguments = {"\xff\xfe"}});
  refused({.image = "/x", .arguments = {std::string("a\0b", 3)}});
  refused({.image = "/x", .arguments = {std::string(2u << 20, 'x')}});
  refused({.image = "/x", .environment = {{"A=B", "c"}}});
  refused({.image = "/x", .networks = {{.name = "n", .descriptor = 1, .tap = "", .mac = ""}}});
}
