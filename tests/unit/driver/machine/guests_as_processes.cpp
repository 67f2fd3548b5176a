// The runner for processes (morgana/plugin/process_runner.hpp), through the driver's own side of the
// protocol.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "support.hpp"

using namespace morgana::driver;
using namespace morgana::driver::testing;
using Catch::Matchers::Contains;
using morgana::machine_protocol::exit_reason;

namespace {

std::unique_ptr<machine> start_guest(std::vector<std::string> arguments, machine_configuration what = {}) {
  target on;
  on.name = "process";
  on.folder = MORGANA_TEST_PROGRAMS;
  on.runner = {"process_runner"};
  what.image = on.folder / "guest";
  what.name = "guest";
  what.arguments = std::move(arguments);
  auto started = machine::start(on, what, soon());
  REQUIRE(started);
  return std::move(*started);
}

run_result run_guest(std::vector<std::string> arguments, machine_configuration what = {}) {
  auto const running = start_guest(std::move(arguments), std::move(what));
  auto result = finish(*running);
  REQUIRE(!result.failure);
  REQUIRE(result.exit);
  return result;
}

/// Takes events until the console holds `text`; what it holds then.
std::string wait_for_text(machine& running, std::string_view text) {
  std::string console;
  auto const deadline = soon();
  while (console.find(text) == std::string::npos) {
    auto const event = running.next(deadline);
    REQUIRE(event);
    REQUIRE(*event);
    if (auto const* piece = std::get_if<console_event>(&**event)) console += piece->data;
    REQUIRE(!std::holds_alternative<exit_event>(**event));
  }
  return console;
}

void wait_for_state(machine& running, std::string_view type) {
  auto const deadline = soon();
  for (;;) {
    auto const event = running.next(deadline);
    REQUIRE(event);
    REQUIRE(*event);
    REQUIRE(!std::holds_alternative<exit_event>(**event));
    if (auto const* state = std::get_if<state_event>(&**event); state != nullptr && state->type == type)
      return;
  }
}

/// The letter of /proc/PID/stat: R, S, T, Z; nothing when there is no such process.
std::optional<char> process_state(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line[line.rfind(')') + 2];
}

}  // namespace

TEST_CASE("every byte of the console arrives, in order") {
  auto const result = run_guest({"bytes"});
  REQUIRE(result.console.size() == 256u * 4096u);
  bool same = true;
  for (std::size_t i = 0; i < result.console.size(); ++i) {
    same = same && static_cast<unsigned char>(result.console[i]) == i % 256;
  }
  CHECK(same);
  CHECK(result.exit->status == 0);
  CHECK(result.exit->reason == exit_reason::finished);
  CHECK(result.states == std::vector<std::string>{"started"});
}

TEST_CASE("both output streams are one console, and the guest's status is its own") {
  auto const result = run_guest({"both"});
  CHECK(result.console == "out err out");
  CHECK(result.exit->status == 7);
}

TEST_CASE("arguments arrive unchanged") {
  CHECK(run_guest({"arguments", "a b", "", "--x=\"y\"\\", "ü\n"}).console ==
        "[a b]\n[]\n[--x=\"y\"\\]\n[ü\n]\n");
}

TEST_CASE("a guest's environment is what it was given and nothing of the driver's") {
  auto const text =
      run_guest({"environment"}, {.environment = {{"COLOUR", "blue"}},
                                  .memory_bytes = 64u << 20,
                                  .disks = {{.name = "disk", .path = "/tmp/a,b", .read_only = true}}})
          .console;
  CHECK(
      text ==
      "COLOUR=blue\nMORGANA_DISK_disk=/tmp/a,b,ro,512\nMORGANA_MEMORY_BYTES=67108864\nMORGANA_NAME=guest\n");
}

TEST_CASE("a guest inherits no descriptor of the driver or the runner but its networks") {
  auto const leaky = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC on purpose
  REQUIRE(leaky >= 0);
  CHECK(run_guest({"descriptors"}).console.empty());
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK(run_guest({"descriptors"}, {.networks = {{.name = "network", .descriptor = pair[1]}}}).console ==
        std::to_string(pair[1]) + "\n");
  ::close(pair[0]);
  ::close(pair[1]);
  ::close(leaky);
}

TEST_CASE("frames pass through an inherited network, and its end is seen") {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  auto const running = start_guest({"frame"}, {.networks = {{.name = "network", .descriptor = pair[1]}}});
  ::close(pair[1]);
  REQUIRE(::send(pair[0], "a frame", 7, 0) == 7);
  char buffer[64];
  REQUIRE(::recv(pair[0], buffer, sizeof buffer, 0) == 7);
  CHECK(::recv(pair[0], buffer, sizeof buffer, 0) == 0);
  CHECK(finish(*running).exit->status == 0);
  ::close(pair[0]);
}

TEST_CASE("console input arrives, and its end") {
  auto const running = start_guest({"echo"});
  REQUIRE(running->input("hello "));
  REQUIRE(running->input("there"));
  REQUIRE(running->end_input());
  CHECK(finish(*running).console == "hello there");
}

TEST_CASE("console input that nobody reads is dropped beyond its limit, with an error") {
  auto const running = start_guest({"wait"});
  wait_for_text(*running, "ready");
  REQUIRE(running->input(std::string(2u << 20, 'x')));
  REQUIRE(running->kill());
  auto const result = finish(*running);
  REQUIRE(!result.errors.empty());
  CHECK_THAT(result.errors.front(), Contains("dropped"));
}

TEST_CASE("a guest that prints for ever is held back and can be killed") {
  auto const running = start_guest({"endless"});
  wait_for_text(*running, "....");
  REQUIRE(running->kill());
  auto const result = finish(*running);
  REQUIRE(result.exit);
  CHECK(result.exit->reason == exit_reason::killed);
  CHECK(result.exit->status == 137);
  CHECK(result.exit->signal == 9);
  // What was under way when it was killed: pipes, queues and sockets, each with its limit.
  CHECK(result.console.size() < 4u << 20);
}

TEST_CASE("what nobody reads is kept in bounded memory: the guest waits") {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  auto const running = start_guest({"flood"}, {.networks = {{.name = "network", .descriptor = pair[1]}}});
  ::close(pair[1]);
  char byte = 0;
  REQUIRE(::recv(pair[0], &byte, 1, 0) == 0);  // the guest has ended, and not one event was taken
  ::close(pair[0]);
  CHECK(finish(*running).exit->status == 0);
}

TEST_CASE("a crash report is copied from the console, whatever pieces it came in") {
  auto const result = run_guest({"report"});
  CHECK(result.exit->status == 70);
  CHECK(result.exit->reason == exit_reason::crashed);
  CHECK(result.exit->report == "reason: test\nat start\n");
  CHECK_THAT(result.console, Contains("after"));
}

TEST_CASE("a guest that waits for its core after a crash ends with its status, and what became of the core is said before") {
  auto const result = run_guest({"crash"}, {.crash_core = "/no/such/folder/core"});
  CHECK(result.exit->status == 70);
  CHECK(result.exit->reason == exit_reason::crashed);
  CHECK(result.exit->report == "reason: test\n");
  REQUIRE(result.errors.size() == 1);
  CHECK_THAT(result.errors[0], Contains("core") || Contains("gdb"));
  CHECK(run_guest({"crash"}).errors.empty());
}

TEST_CASE("a guest that is gone before its core could be made says so, and one that did not crash says nothing") {
  auto const gone = run_guest({"abort"}, {.crash_core = "/no/such/folder/core"});
  CHECK(gone.exit->reason == exit_reason::crashed);
  REQUIRE(gone.errors.size() == 1);
  CHECK_THAT(gone.errors[0], Contains("was gone before a core"));
  auto const whole = run_guest({"both"}, {.crash_core = "/no/such/folder/core"});
  CHECK(whole.exit->status == 7);
  CHECK(whole.errors.empty());
}

TEST_CASE("a fatal signal is a crash with the documented status") {
  auto const result = run_guest({"abort"});
  CHECK(result.exit->status == 70);
  CHECK(result.exit->reason == exit_reason::crashed);
  CHECK(result.exit->signal == SIGABRT);
}

TEST_CASE("the memory limit stands in the kernel too, and a crash leaves no core file") {
  CHECK(run_guest({"memory"}, {.memory_bytes = 64u << 20}).exit->reason == exit_reason::out_of_memory);
  CHECK(run_guest({"memory"}).exit->status == 0);
  CHECK(run_guest({"core"}).exit->status == 0);
}

TEST_CASE("stop is one termination signal, also for a paused guest") {
  auto const running = start_guest({"stop"});
  wait_for_text(*running, "ready");
  REQUIRE(running->pause());
  wait_for_state(*running, "paused");
  REQUIRE(running->stop());
  auto const result = finish(*running);
  REQUIRE(result.exit);
  CHECK(result.exit->status == 3);
  CHECK(result.console == "stopping\n");
}

TEST_CASE("pause stops the guest and resume lets it run") {
  auto const running = start_guest({"wait"});
  auto const text = wait_for_text(*running, "\n");
  auto const pid = static_cast<pid_t>(std::stoi(text.substr(6)));
  REQUIRE(running->pause());
  wait_for_state(*running, "paused");
  CHECK(process_state(pid) == 'T');
  REQUIRE(running->resume());
  wait_for_state(*running, "resumed");
  CHECK(process_state(pid) != 'T');
}

TEST_CASE("destroying a machine ends its guest") {
  auto running = start_guest({"wait"});
  auto const text = wait_for_text(*running, "\n");
  auto const pid = static_cast<pid_t>(std::stoi(text.substr(6)));
  REQUIRE(process_state(pid));
  running.reset();
  auto const left = process_state(pid);
  CHECK((!left || *left == 'Z'));
}

TEST_CASE("a process that keeps the console open does not keep the machine") {
  auto const result = run_guest({"orphan"});
  CHECK(result.console == "done");
  CHECK(result.exit->status == 0);
}

TEST_CASE("an image that cannot run is the runner's error, with status 125") {
  target on;
  on.name = "process";
  on.folder = MORGANA_TEST_PROGRAMS;
  on.runner = {"process_runner"};
  auto started = machine::start(on, {.image = "/no/such/image"}, soon());
  REQUIRE(started);
  auto const result = finish(**started);
  REQUIRE(result.exit);
  CHECK(result.exit->status == 125);
  CHECK(result.exit->reason == exit_reason::failed);
  REQUIRE(result.errors.size() == 1);
  CHECK_THAT(result.errors[0], Contains("/no/such/image") && Contains("No such file"));
}
