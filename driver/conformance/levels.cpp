// The levels. Each is a function from a kit to a verdict; the guests they run are in
// tests/conformance/guests.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "conformance/kit.hpp"

namespace morgana::driver::conformance {
namespace {

using machine_protocol::exit_reason;
namespace status = machine_protocol::exit_status;
using namespace std::chrono_literals;

verdict boot(kit& on) {
  auto const record = on.run("boot", {});
  if (!record) return record.error();
  if (!field(record->console, "booted")) return "the guest ended without having printed its line";
  return expect_status(*record, 0, "a guest that returns from start()");
}

/// All byte values, long lines and empty ones, between two marks; the guest prints the same
/// (console/unikernel.hpp).
std::string console_pattern() {
  std::string out;
  for (unsigned i = 0; i < 256; ++i) out.push_back(static_cast<char>(i));
  out.append("\n\n\n");
  for (unsigned line = 0; line < 64; ++line) {
    for (unsigned i = 0; i < 240; ++i) out.push_back(static_cast<char>('!' + (line * 7 + i) % 90));
    out.push_back('\n');
  }
  return out;
}

verdict console(kit& on) {
  constexpr std::string_view begin = "kit:begin\n", end = "\nkit:end\n";
  auto const record = on.run("console", {});
  if (!record) return record.error();
  auto const from = record->console.find(begin);
  auto const to = record->console.rfind(end);
  if (from == std::string::npos || to == std::string::npos || to < from + begin.size()) {
    return "the marks around the pattern did not arrive";
  }
  auto const got = std::string_view(record->console).substr(from + begin.size(), to - from - begin.size());
  auto const want = console_pattern();
  auto const [at, expected] = std::ranges::mismatch(got, want);
  if (at != got.end() && expected != want.end()) {
    return fmt::format("byte {} of the pattern is 0x{:02x}, 0x{:02x} was printed", at - got.begin(),
                       static_cast<unsigned char>(*at), static_cast<unsigned char>(*expected));
  }
  if (got.size() != want.size()) {
    return fmt::format("{} bytes were printed, {} arrived", want.size(), got.size());
  }
  return expect_status(*record, 0, "a guest that prints and returns");
}

constexpr std::chrono::nanoseconds sleep_length = 300ms;

/// One run. The host's interval from before the start to the exit encloses the guest's; the arrivals of its
/// lines only estimate it, so a clock that seems slow is looked at again by the caller.
std::expected<bool, std::string> time_run(kit& on) {
  auto const record = on.run("time", {.mark_begin = "kit:sleep-begin", .mark_end = "kit:sleep-end"});
  if (!record) return std::unexpected(record.error());
  if (auto wrong = expect_status(*record, 0, "a guest that sleeps and returns"))
    return std::unexpected(*wrong);
  auto const& text = record->console;
  auto const backwards = number_field(text, "backwards");
  auto const begin = number_field(text, "sleep-begin");
  auto const end = number_field(text, "sleep-end");
  if (!backwards || !begin || !end) return std::unexpected("the guest did not print its times");
  if (*backwards != 0)
    return std::unexpected(fmt::format("monotonic time went back {} times in 1000 readings", *backwards));
  if (*end < *begin) return std::unexpected("monotonic time went back during a sleep");
  auto const slept = std::chrono::nanoseconds(*end - *begin);
  if (slept < sleep_length) {
    return std::unexpected(fmt::format("a sleep of {} ms ended after {} ms of the guest's own time",
                                       sleep_length / 1ms, slept / 1ms));
  }
  // A simulated guest's time is nobody else's: it takes no longer than its events.
  if (std::ranges::find(record->capabilities, "virtual-time") != record->capabilities.end()) return true;
  if (slept > record->took + record->took / 20 + 20ms) {
    return std::unexpected(
        fmt::format("monotonic time runs too fast: {} ms for the guest, {} ms for the host", slept / 1ms,
                    record->took / 1ms));
  }
  auto const wall = field(text, "wall");
  if (!wall) return std::unexpected("the guest did not print its wall clock");
  if (*wall != "unset") {
    auto const guest = number_field(text, "wall");
    if (!guest) return std::unexpected("the guest's wall clock is no number");
    auto const host = std::chrono::system_clock::now().time_since_epoch();
    auto const apart = std::chrono::abs(host - std::chrono::nanoseconds(*guest));
    if (apart > 10min) {
      return std::unexpected(fmt::format("the wall clock says that it is set, and is {} s off the host's",
                                         std::chrono::duration_cast<std::chrono::seconds>(apart).count()));
    }
  }
  return !record->between_marks || *record->between_marks <= 2 * slept + 1s;
}

verdict time(kit& on) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto const plausible = time_run(on);
    if (!plausible) return plausible.error();
    if (*plausible) return std::nullopt;
  }
  return "monotonic time runs too slowly: in three runs the host waited for more than twice the guest's "
         "sleep";
}

verdict entropy(kit& on) {
  constexpr std::size_t boots = 3, bytes = 64, word = 8;
  std::set<std::string> words;
  std::set<char> values;
  for (std::size_t i = 0; i < boots; ++i) {
    auto const record = on.run("entropy", {});
    if (!record) return record.error();
    if (auto const why = field(record->console, "not-seeded")) {
      return fmt::format("the generator was not seeded within 10 s: {}", *why);
    }
    if (auto wrong = expect_status(*record, 0, "a guest that prints random bytes")) return wrong;
    auto const random = bytes_field(record->console, "random");
    if (!random || random->size() != bytes) return "the guest did not print its random bytes";
    if (std::ranges::count(*random, random->front()) == static_cast<std::ptrdiff_t>(bytes)) {
      return "the generator gives one byte over and over";
    }
    for (std::size_t at = 0; at < bytes; at += word) {
      // By chance this happens once in 2^54 checks.
      if (!words.insert(random->substr(at, word)).second) {
        return i == 0 ? "the generator repeats itself" : "two boots gave the same random bytes";
      }
    }
    values.insert(random->begin(), random->end());
  }
  // 192 bytes of good randomness have 135 different values, and fewer than 90 once in more than 2^60 checks.
  if (values.size() < 90) return fmt::format("192 random bytes hold only {} different values", values.size());
  return std::nullopt;
}

verdict exit_codes(kit& on) {
  for (auto const code : {0, 1, 42, 124}) {
    auto const record =
        on.run("exit-codes", {.arguments = {"--mode=return", fmt::format("--code={}", code)}});
    if (!record) return record.error();
    if (auto wrong = expect_status(*record, code, fmt::format("start() returned {}", code))) return wrong;
    if (record->exit.reason != exit_reason::finished) return "a guest that returned is not `finished`";
  }
  {
    auto const record = on.run("start-error", {});
    if (!record) return record.error();
    if (auto wrong = expect_status(*record, status::start_failed, "start() returned an error")) return wrong;
  }
  for (std::string_view const mode : {"assertion", "trap"}) {
    auto const record = on.run("exit-codes", {.arguments = {fmt::format("--mode={}", mode)}});
    if (!record) return record.error();
    if (auto wrong = expect_status(*record, status::crashed, fmt::format("a crash ({})", mode))) return wrong;
    if (record->exit.reason != exit_reason::crashed)
      return fmt::format("a crash ({}) is not `crashed`", mode);
    if (record->exit.report.empty()) return fmt::format("a crash ({}) left no crash report", mode);
  }
  using action = run_request::action;
  {
    auto const record =
        on.run("exit-codes", {.arguments = {"--mode=wait"}, .upon = "kit:waiting", .then = action::stop});
    if (!record) return record.error();
    if (auto wrong = expect_status(*record, 0, "an orderly stop")) return wrong;
    if (!field(record->console, "stopping")) return "an orderly stop did not reach start()";
  }
  auto const record =
      on.run("exit-codes", {.arguments = {"--mode=wait"}, .upon = "kit:waiting", .then = action::kill});
  if (!record) return record.error();
  if (record->exit.reason != exit_reason::killed) return "a guest that was killed is not `killed`";
  return std::nullopt;
}

verdict arguments(kit& on) {
  {
    auto const record = on.run("arguments", {});
    if (!record) return record.error();
    if (auto wrong = expect_status(*record, 0, "no arguments")) return wrong;
    if (bytes_field(record->console, "text") != "default" || number_field(record->console, "number") != -1) {
      return "without arguments the options do not have their defaults";
    }
  }
  using namespace std::string_literals;
  for (auto const& text :
       {"plain"s, ""s, "two words"s, "  spaces  "s, "\"quoted\" 'too'"s, "back\\slash\\"s, "$HOME `x` *"s,
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac"s, "a=b,c;d"s, "--not-an-option"s, std::string(400, 'x')}) {
    auto const record = on.run("arguments", {.arguments = {"--text=" + text, "--number=-71", "--flag=true"}});
    if (!record) return record.error();
    if (auto wrong = expect_status(*record, 0, fmt::format("the argument --text={}", text))) return wrong;
    auto const got = bytes_field(record->console, "text");
    if (!got) return fmt::format("the argument --text={} did not arrive", text);
    if (*got != text) return fmt::format("the argument --text={} arrived as {}", text, *got);
    if (number_field(record->console, "number") != -71 || field(record->console, "flag") != "true") {
      return "an argument after the first did not arrive";
    }
  }
  for (auto const& wrong_one : {"--number=many"s, "--nonsense=1"s}) {
    auto const record = on.run("arguments", {.arguments = {wrong_one}});
    if (!record) return record.error();
    if (auto wrong = expect_status(*record, status::wrong_argument, wrong_one)) return wrong;
  }
  auto const record = on.run("arguments", {.arguments = {"--help"}});
  if (!record) return record.error();
  if (auto wrong = expect_status(*record, status::help_printed, "--help")) return wrong;
  for (std::string_view const option : {"--text", "--number", "--flag"}) {
    if (record->console.find(option) == std::string::npos)
      return fmt::format("--help does not name {}", option);
  }
  return std::nullopt;
}

verdict missing_device(kit& on) {
  auto const record = on.run("missing-device", {});
  if (!record) return record.error();
  if (field(record->console, "started")) return "start() was called although a device is missing";
  if (auto wrong = expect_status(*record, status::missing_device, "a disk that nobody attached"))
    return wrong;
  if (record->console.find("absent_disk") == std::string::npos) {
    return "the device that is missing, `absent_disk`, is not named on the console";
  }
  return std::nullopt;
}

verdict memory_limit(kit& on) {
  constexpr std::uint64_t limit_mib = 64;
  auto const record = on.run("memory-limit", {.memory_bytes = limit_mib << 20});
  if (!record) return record.error();
  std::uint64_t reached = 0;
  for (std::uint64_t step = 1; step <= 64; ++step) {
    if (field(record->console, fmt::format("allocated-mib-{}", step * 8))) reached = step * 8;
  }
  if (reached > limit_mib)
    return fmt::format("the guest got {} MiB, its limit is {} MiB", reached, limit_mib);
  if (auto wrong = expect_status(*record, status::out_of_memory, "a guest that reaches its memory limit"))
    return wrong;
  if (record->exit.reason != exit_reason::out_of_memory)
    return "a guest at its memory limit is not `out-of-memory`";
  if (reached < limit_mib / 2) {
    return fmt::format("the guest got only {} MiB of its {} MiB", reached, limit_mib);
  }
  return std::nullopt;
}

}  // namespace

std::vector<level> const& levels() {
  static std::vector<level> const all{
      {{"boot", "an image boots, prints a line and ends with status 0"}, boot},
      {{"console", "every byte that is printed arrives, in order and unchanged"}, console},
      {{"time", "monotonic time never goes back and runs as fast as the host's; sleeps last"}, time},
      {{"entropy", "the random generator is seeded, differently at each boot"}, entropy},
      {{"exit-codes", "how a guest ended arrives as documented: returned, failed, crashed, stopped, killed"},
       exit_codes},
      {{"arguments", "boot arguments arrive unchanged; wrong ones are refused; --help lists the options"},
       arguments},
      {{"missing-device", "a device that is not attached is named, with status 65, instead of a hang"},
       missing_device},
      {{"memory-limit", "a guest gets the memory it was given, no more, and ends with status 71"},
       memory_limit},
      {{"network", "frames pass in both directions, in order, at every length", true}, nullptr},
      {{"block", "sectors keep what was written, and what is read-only stays so", true}, nullptr},
  };
  return all;
}

}  // namespace morgana::driver::conformance
