// The platform's functions, and the ways a hosted guest ends. Each end is that of a process of its own: this
// program again, told by GUEST_SCENARIO what to do.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "guest.hpp"
#include "targets/unix/process.hpp"

using namespace morgana;

namespace {

[[gnu::noinline]] int recurse(int depth, volatile char* above) {
  volatile char here[512];
  here[0] = static_cast<char>(depth + above[0]);
  if (depth < 0) return 0;
  auto const below = recurse(depth + 1, here);
  return below + here[0];
}

[[gnu::noinline]] void named_in_the_report() { platform::crash(platform::crash_reason::assertion, "on\npurpose"); }

[[gnu::noinline, clang::optnone]] void smash(std::size_t size) {
  char small[16];
  std::memset(small, 0x41, size);
}

[[noreturn]] void stop_by(int signal) {
  if (platform::stop_requested()) ::_exit(1);
  ::raise(signal);
  platform::wait_until(never);
  ::_exit(platform::stop_requested() ? 7 : 2);
}

std::size_t volatile forty = 40;
int volatile zero = 0;

struct scenario {
  std::string_view name;
  void (*run)();
};

constexpr scenario scenarios[] = {
    {"crash", [] { named_in_the_report(); }},
    {"out of memory", [] { platform::crash(platform::crash_reason::out_of_memory, "asked for much"); }},
    {"null pointer", [] { *reinterpret_cast<int volatile*>(zero + 8L) = 1; }},
    {"trap", [] { __builtin_trap(); }},
    {"abort", [] { std::abort(); }},
    {"stack overflow",
     [] {
       char volatile start[1] = {1};
       static_cast<void>(recurse(0, start));
     }},
    {"division", [] { zero = static_cast<int>(forty) / zero; }},
    {"hardened",
     [] {
       std::vector<int> const none;
       zero = none[forty];
     }},
    {"smash", [] { smash(forty); }},
    {"memory limit",
     [] {
       if (platform::memory().limit_bytes != 8'388'608) ::_exit(1);
       for (int i = 0; i < 8; ++i) {
         // The compiler must not see that nobody uses it.
         void* volatile part = std::malloc(2u << 20);
         if (part == nullptr) ::_exit(i >= 2 && i <= 4 ? 42 : 2);
         std::memset(part, 1, 2u << 20);
       }
       ::_exit(3);
     }},
    {"operator new at the limit",
     [] {
       for (int i = 0; i < 100; ++i) {
         char* volatile part = new char[1u << 20];
         std::memset(part, 1, 1u << 20);
       }
     }},
    {"SIGTERM", [] { stop_by(SIGTERM); }},
    {"SIGINT", [] { stop_by(SIGINT); }},
    {"two SIGTERM",
     [] {
       ::raise(SIGTERM);
       ::raise(SIGTERM);
       ::_exit(9);
     }},
    {"two SIGINT",
     [] {
       ::raise(SIGINT);
       ::raise(SIGINT);
     }},
    {"stuck console",
     [] {
       int pipe[2];
       if (::pipe(pipe) != 0) ::_exit(1);
       ::dup2(pipe[1], 1);
       std::string const line(10'000, 'x');
       for (int i = 0; i < 100; ++i) platform::console_write(test::bytes(line));
       auto const dropped = platform::console_dropped_bytes();
       // Once somebody reads, writing goes on.
       std::vector<char> taken(100'000);
       if (::read(pipe[0], taken.data(), taken.size()) <= 0) ::_exit(2);
       platform::console_write(test::bytes("again"));
       ::_exit(dropped > 800'000 && dropped < 1'000'000 && platform::console_dropped_bytes() == dropped ? 5 : 6);
     }},
    {"console input",
     [] {
       int pipe[2];
       if (::pipe(pipe) != 0) ::_exit(7);
       ::dup2(pipe[0], 0);
       std::array<std::byte, 16> buffer{};
       if (platform::console_read(buffer) != 0 || platform::console_input_ended()) ::_exit(1);
       if (::write(pipe[1], "hello", 5) != 5) ::_exit(2);
       platform::wait_until(never);
       if (platform::console_read(buffer) != 5 || platform::console_read(buffer) != 0) ::_exit(3);
       if (platform::console_input_ended()) ::_exit(4);
       ::close(pipe[1]);
       platform::wait_until(never);
       if (platform::console_read(buffer) != 0) ::_exit(5);
       ::_exit(platform::console_input_ended() ? 8 : 6);
     }},
    {"empty console input",
     [] {
       ::dup2(::open("/dev/null", O_RDONLY), 0);
       platform::wait_until(never);
       std::array<std::byte, 16> buffer{};
       if (platform::console_read(buffer) != 0) ::_exit(1);
       ::_exit(platform::console_input_ended() ? 8 : 2);
     }},
    {"arguments",
     [] {
       char name[] = "guest", one[] = "--a=b", two[] = "c";
       char* arguments[] = {name, one, two, nullptr};
       hosted::start_process(3, arguments);
       auto const found = platform::arguments();
       if (found.size() != 2 || found[0] != "--a=b" || found[1] != "c") ::_exit(1);
       platform::power_off(17);
     }},
};

struct ended {
  int status = -1;                   ///< exit status, or 128 + signal
  std::string console;
};

/// Runs a scenario as a guest of its own with its console in a pipe.
ended run_guest(char const* name, char const* memory_bytes = nullptr) {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  auto const child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], 1);
    ::setenv("GUEST_SCENARIO", name, 1);
    if (memory_bytes != nullptr) ::setenv("MORGANA_MEMORY_BYTES", memory_bytes, 1);
    ::execl("/proc/self/exe", "guest", "a guest of its own", nullptr);
    ::_exit(126);
  }
  ::close(pipe[1]);
  ended out;
  char buffer[4096];
  for (ssize_t count; (count = ::read(pipe[0], buffer, sizeof buffer)) > 0;) {
    out.console.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  out.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return out;
}

bool has(std::string const& text, std::string_view part) { return text.find(part) != std::string::npos; }

void check_report(ended const& guest, std::string_view reason, std::string_view name, int status = 70) {
  INFO(guest.console);
  CHECK(guest.status == status);
  auto const begin = guest.console.find("\n---- morgana crash report ----\n");
  auto const end = guest.console.find("\n---- end of crash report ----\n");
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  CHECK(begin < end);
  CHECK(has(guest.console, "reason: " + std::string(reason) + "\n"));
  // A line of the call chain with the function's name.
  auto const line = guest.console.find(" +0x", guest.console.find("call chain"));
  REQUIRE(line != std::string::npos);
  CHECK(guest.console.find(name, line) != std::string::npos);
}

}  // namespace

TEST_CASE("a guest of its own", "[.]") {
  auto const* const wanted = std::getenv("GUEST_SCENARIO");
  REQUIRE(wanted != nullptr);
  rlimit const no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  char name[] = "guest";
  char* arguments[] = {name, nullptr};
  hosted::start_process(1, arguments);
  for (auto const& one : scenarios) {
    if (one.name == wanted) one.run();
  }
  ::_exit(125);
}

TEST_CASE("crash prints a report with the caller's name and ends with 70") {
  auto const guest = run_guest("crash");
  check_report(guest, "assertion", "named_in_the_report");
  CHECK(has(guest.console, "message: on purpose\n"));
}

TEST_CASE("running out of memory ends with 71") {
  check_report(run_guest("out of memory"), "out of memory", "__invoke", 71);
}

#if !__has_feature(address_sanitizer)  // which reports these faults itself
TEST_CASE("faults are told apart") {
  auto const null = run_guest("null pointer");
  check_report(null, "fault", "__invoke");
  CHECK(has(null.console, "message: access through a null pointer\n"));
  CHECK(has(null.console, "fault address 0x8\n"));
  check_report(run_guest("trap"), "assertion", "__invoke");
  check_report(run_guest("abort"), "assertion", "__invoke");
  check_report(run_guest("stack overflow"), "stack overflow", "recurse");
  check_report(run_guest("division"), "fault", "__invoke");
}

TEST_CASE("the hardened library's checks end in a report") {
  check_report(run_guest("hardened"), "assertion", "__invoke");
}

TEST_CASE("a smashed stack is named") { check_report(run_guest("smash"), "stack smashed", "smash"); }

TEST_CASE("at the memory limit malloc gives a null pointer and operator new ends with 71") {
  CHECK(run_guest("memory limit", "8388608").status == 42);
  check_report(run_guest("operator new at the limit", "33554432"), "out of memory", "no_memory", 71);
  // A limit that is no number must not mean no limit.
  check_report(run_guest("memory limit", "8M"), "platform", "start_memory");
}
#endif

TEST_CASE("SIGTERM and SIGINT ask for a stop and end a wait; a second SIGINT kills") {
  CHECK(run_guest("SIGTERM").status == 7);
  CHECK(run_guest("SIGINT").status == 7);
  CHECK(run_guest("two SIGTERM").status == 9);
  CHECK(run_guest("two SIGINT").status == 128 + SIGINT);
}

TEST_CASE("a console that nobody reads drops and counts instead of blocking") {
  CHECK(run_guest("stuck console").status == 5);
}

TEST_CASE("console input ends a wait, is read without blocking, and says when it ended") {
  CHECK(run_guest("console input").status == 8);
  CHECK(run_guest("empty console input").status == 8);
}

TEST_CASE("arguments come without the program's name, and power_off gives the status") {
  CHECK(run_guest("arguments").status == 17);
}

TEST_CASE("time goes forward and a wait does not end before its deadline") {
  auto const before = platform::monotonic_now();
  platform::wait_until(before - 1s);
  auto const deadline = platform::monotonic_now() + 3ms;
  while (platform::monotonic_now() < deadline) platform::wait_until(deadline);
  CHECK(platform::monotonic_now() >= deadline);
  CHECK(platform::wall_clock_is_set());
  CHECK(platform::wall_now().time_since_epoch() > std::chrono::hours(24 * 365 * 50));
}

TEST_CASE("randomness is there and the boot secret stays the same") {
  auto const sources = platform::entropy_sources();
  REQUIRE(sources.size() == 1);
  CHECK(sources[0].millibits_per_byte == 8000);
  std::array<std::byte, 64> first{}, second{};
  CHECK(sources[0].sample(first) == first.size());
  CHECK(sources[0].sample(second) == second.size());
  CHECK(first != second);
  auto const secret = platform::boot_secret();
  std::array<std::byte, 32> copy{};
  std::ranges::copy(secret, copy.begin());
  CHECK(std::ranges::equal(platform::boot_secret(), copy));
  CHECK(copy != std::array<std::byte, 32>{});
}
