// A runner whose guests are played, not run: it knows what each guest of the kit prints, and plays it right
// but for the one promise that its first argument says to break.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "morgana/plugin/runner.hpp"

using namespace morgana::plugin;
using namespace morgana::machine_protocol;
using namespace std::chrono_literals;

namespace {

std::string_view broken;

bool breaks(std::string_view what) {
  return broken == what;
}

std::string hexadecimal(std::string_view bytes) {
  std::string out;
  for (auto const c : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += two;
  }
  return out;
}

struct player {
  runner_connection& driver;
  start_request start;

  void print(std::string_view text) const { driver.send_console(text); }
  void line(std::string const& text) const { print(text + "\n"); }

  /// The value of --NAME=VALUE.
  std::string option(std::string_view name, std::string_view otherwise) const {
    auto const prefix = "--" + std::string(name) + "=";
    for (auto const& argument : start.arguments) {
      if (argument.starts_with(prefix)) return argument.substr(prefix.size());
    }
    return std::string(otherwise);
  }

  /// The next message's type; empty when the driver is gone.
  std::string wait() const {
    while (!driver.closed()) {
      if (auto const message = driver.next()) return detail::text_member(*message, "type");
      pollfd ready{driver.descriptor(), driver.events(), 0};
      ::poll(&ready, 1, -1);
      driver.serve();
    }
    return {};
  }
  void hang() const {
    while (!wait().empty()) {
    }
  }

  guest_exit boot() const {
    if (breaks("never-starts")) hang();
    if (!breaks("nothing-printed")) line("kit:booted");
    if (breaks("boot-crash")) return {70, exit_reason::crashed};
    return {0};
  }

  guest_exit console() const {
    std::string pattern;
    for (unsigned i = 0; i < 256; ++i) pattern.push_back(static_cast<char>(i));
    pattern.append("\n\n\n");
    for (unsigned row = 0; row < 64; ++row) {
      for (unsigned i = 0; i < 240; ++i) pattern.push_back(static_cast<char>('!' + (row * 7 + i) % 90));
      pattern.push_back('\n');
    }
    if (breaks("console-garbled")) pattern[200] = '?';
    if (breaks("console-cut")) pattern.resize(4096);
    if (breaks("console-newlines")) pattern.insert(10, "\r");
    if (breaks("console-twice")) pattern += pattern;
    if (breaks("console-reordered")) std::swap(pattern[1000], pattern[1001]);
    line("some log line before");
    line("kit:begin");
    print(pattern);
    if (breaks("console-end-lost")) return {0};
    print("\nkit:end\nsome log line after\n");
    if (breaks("console-endless")) {
      while (!driver.closed()) {
        print(std::string(48 * 1024, '.'));
        driver.drain();
      }
    }
    return {0};
  }

  guest_exit time() const {
    auto length = 300ms;
    if (breaks("time-fast")) length = 3'600'000ms;
    if (breaks("time-sleep-short")) length = 100ms;
    line(breaks("time-backwards") ? "kit:backwards 3" : "kit:backwards 0");
    line("kit:sleep-begin 1000000000");
    auto slept = length;
    if (breaks("time-slow")) slept = 2'500ms;
    if (!breaks("time-fast")) std::this_thread::sleep_for(slept);
    if (breaks("time-jumps-back")) length = -5ms;
    line("kit:sleep-end " + std::to_string(1'000'000'000 + std::chrono::nanoseconds(length).count()));
    auto wall = std::chrono::system_clock::now().time_since_epoch();
    if (breaks("time-wall")) wall -= 24h;
    line(breaks("time-wall-unset") ? "kit:wall unset"
                                   : "kit:wall " + std::to_string(std::chrono::nanoseconds(wall).count()));
    return {0};
  }

  guest_exit entropy() const {
    if (breaks("entropy-absent")) {
      line("kit:not-seeded timed out");
      return {0};
    }
    std::random_device device;
    std::string bytes;
    for (std::size_t i = 0; i < 64; ++i) {
      if (breaks("entropy-same-each-boot")) {
        bytes.push_back(static_cast<char>(i * 37));
      } else if (breaks("entropy-one-byte")) {
        bytes.push_back('\x5a');
      } else if (breaks("entropy-repeats")) {
        bytes.push_back(i < 32 ? static_cast<char>(device()) : bytes[i - 32]);
      } else if (breaks("entropy-poor")) {
        bytes.push_back(static_cast<char>(device() % 16));
      } else {
        bytes.push_back(static_cast<char>(device()));
      }
    }
    if (!breaks("entropy-unprinted")) line("kit:random " + hexadecimal(bytes));
    return {0};
  }

  guest_exit exit_codes() const {
    auto const mode = option("mode", "return");
    if (mode == "return") {
      auto const code = std::stoi(option("code", "0"));
      if (breaks("exit-code-lost")) return {0};
      if (breaks("exit-code-bool")) return {code != 0 ? 1 : 0};
      if (breaks("exit-reason-wrong")) return {code, exit_reason::crashed};
      return {code};
    }
    if (mode == "wait") {
      line("kit:waiting");
      for (;;) {
        auto const type = wait();
        if (type.empty()) return {0};
        if (type == "kill" && !breaks("kill-ignored"))
          return {breaks("kill-unsaid") ? 0 : 137,
                  breaks("kill-unsaid") ? exit_reason::finished : exit_reason::killed, 9};
        if (type == "stop" && breaks("stop-kills")) return {143, exit_reason::killed, 15};
        if (type == "stop" && breaks("stop-abrupt")) return {0};
        if (type == "stop" && !breaks("stop-ignored")) {
          line("kit:stopping");
          return {0};
        }
      }
    }
    if (breaks("crash-unreported")) return {70, exit_reason::crashed};
    if (breaks("crash-unnoticed")) return {0};
    return {70, exit_reason::crashed, std::nullopt, "reason: on purpose\n"};
  }

  guest_exit start_error() const { return {breaks("start-error-lost") ? 0 : 66}; }

  guest_exit arguments() const {
    auto text = option("text", "default");
    auto number = option("number", "-1");
    if (breaks("arguments-dropped")) text = "default";
    if (breaks("arguments-split")) text = text.substr(0, text.find(' '));
    if (breaks("arguments-unquoted")) std::erase(text, '"');
    if (breaks("arguments-cut") && text.size() > 255) text.resize(255);
    if (breaks("arguments-ascii")) {
      for (auto& c : text) c = static_cast<char>(c & 0x7f);
    }
    if (breaks("arguments-only-first")) number = "-1";
    for (auto const& argument : start.arguments) {
      if (argument == "--help") {
        line(breaks("help-empty") ? "no help" : "--text=TEXT --number=NUMBER --flag");
        return {breaks("help-status") ? 0 : 63};
      }
      if (argument == "--nonsense=1" && !breaks("arguments-unknown-accepted")) return {64};
    }
    if (number == "many") return {breaks("arguments-wrong-accepted") ? 0 : 64};
    line("kit:text " + hexadecimal(text));
    line("kit:number " + number);
    line("kit:flag " + option("flag", "false"));
    return {0};
  }

  guest_exit missing_device() const {
    if (breaks("missing-device-hangs")) hang();
    if (breaks("missing-device-ignored")) {
      line("kit:started");
      return {0};
    }
    if (breaks("missing-device-crashes")) return {70, exit_reason::crashed};
    line(breaks("missing-device-unnamed") ? "error: a device is missing"
                                          : "error: start → absent_disk: device missing");
    return {65};
  }

  guest_exit memory_limit() const {
    auto const limit_mib = breaks("memory-limit-ignored") ? 512
                           : breaks("memory-limit-small") ? 8
                                                          : start.memory_bytes >> 20;
    for (std::uint64_t mib = 8; mib <= 512 && mib < limit_mib; mib += 8) {
      line("kit:allocated-mib-" + std::to_string(mib));
    }
    if (breaks("memory-limit-ignored")) return {0};
    if (breaks("memory-limit-crash")) return {70, exit_reason::crashed};
    return {71, exit_reason::out_of_memory};
  }

  guest_exit play() const {
    auto const guest = start.image.substr(start.image.rfind('/') + 1);
    if (guest == "boot") return boot();
    if (guest == "console") return console();
    if (guest == "time") return time();
    if (guest == "entropy") return entropy();
    if (guest == "exit-codes") return exit_codes();
    if (guest == "start-error") return start_error();
    if (guest == "arguments") return arguments();
    if (guest == "missing-device") return missing_device();
    if (guest == "memory-limit") return memory_limit();
    return {125, exit_reason::failed};
  }
};

}  // namespace

int main(int count, char** values) {
  broken = count > 1 ? values[1] : "nothing";
  auto connection = runner_connection::from_environment();
  if (!connection) return 125;
  auto& driver = *connection;
  if (!breaks("runner-silent")) driver.send_hello({"console", "exit", "stop", "kill"});
  player guest{driver, {}};
  for (;;) {
    pollfd ready{driver.descriptor(), driver.events(), 0};
    ::poll(&ready, 1, -1);
    driver.serve();
    if (driver.closed()) return 0;
    if (auto const message = driver.next()) {
      auto request = parse_start(*message);
      if (!request) return 125;
      guest.start = std::move(*request);
      break;
    }
  }
  driver.send_started();
  if (breaks("runner-dies")) return 9;
  auto const end = guest.play();
  if (!breaks("exit-unsaid")) driver.send_exit(end);
  driver.drain();
  return 0;
}
