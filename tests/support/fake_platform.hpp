// A platform for unit tests: time moves only when nothing can run, and then jumps to the next deadline, so a
// test of an hour takes no time and is the same every time.
//
//   morgana::test::world world;
//   auto answer = world.run(ask(...));            // std::optional<T>: empty when everything waits for ever
//   CHECK(world.elapsed() == 2s);
//
// Or, with a boot_session: `int status = run_session(session)`. One platform per process, reset by each
// world or fake_platform object.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "morgana/core/boot.hpp"
#include "morgana/core/context.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/executor.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/core/task.hpp"

namespace morgana::test {

/// What the functions of morgana::platform read and write.
struct fake_state {
  instant now{};
  std::string console;
  std::deque<std::byte> input;
  bool input_ended = false;
  bool stop_requested = false;
  wall_time wall_at_boot{};
  bool wall_is_set = true;
  std::vector<std::string_view> arguments;
  std::vector<platform::entropy_source_descriptor> entropy;
  std::uint64_t resume_generation = 0;
  std::uint64_t memory_limit_bytes = 64 << 20;
};
[[nodiscard]] fake_state& fake();

/// Resets the fake state at construction.
class fake_platform {
 public:
  fake_platform() { fake() = {}; }
  fake_platform(fake_platform const&) = delete;
  fake_platform& operator=(fake_platform const&) = delete;

  /// What was written to the console since last asked.
  [[nodiscard]] std::string console() { return std::exchange(fake().console, {}); }
  void type(std::string_view text) {
    for (char const c : text) fake().input.push_back(static_cast<std::byte>(c));
  }
};

/// Keeps log lines as "level source: message\n", all levels.
class memory_log final : public log_sink {
 public:
  void write(log_record const& record) override;
  [[nodiscard]] log_level level_of(std::string_view) const override { return log_level::debug; }
  [[nodiscard]] instant now() const override { return fake().now; }
  std::string text;
};

/// An executor, a log and a context on the fake platform.
class world : public fake_platform {
 public:
  world() : context_(executor_, log_, session_events{.stop = &stop_, .input = &input_}) {}

  [[nodiscard]] morgana::context& context() { return context_; }
  [[nodiscard]] morgana::executor& executor() { return executor_; }
  [[nodiscard]] std::string& log() { return log_.text; }
  [[nodiscard]] event& stop() { return stop_; }
  [[nodiscard]] duration elapsed() const { return fake().now.time_since_epoch(); }

  /// Runs a task to its end. Empty when nothing can ever wake it, or after batches_max batches.
  template <class T>
  std::optional<T> run(task<T> what) {
    ender end;
    what.start(context_, end);
    drive([&] { return end.is_ended; });
    if (!end.is_ended) return std::nullopt;
    return what.take();
  }
  /// True when it ended.
  bool run(task<void> what) {
    ender end;
    what.start(context_, end);
    drive([&] { return end.is_ended; });
    return end.is_ended;
  }

  /// Runs what can run now, without moving time.
  void settle() {
    for (std::size_t i = 0; i < batches_max; ++i) {
      if (executor_.run_ready(fake().now) > fake().now) return;
    }
  }
  /// Moves time by `length`, running what comes due on the way.
  void advance(duration length);

  static constexpr std::size_t batches_max = 1'000'000;

 private:
  struct ender final : completion {
    std::coroutine_handle<> ended() noexcept override {
      is_ended = true;
      return std::noop_coroutine();
    }
    bool is_ended = false;
  };
  template <class Done>
  void drive(Done done) {
    bool was_stuck = false;
    for (std::size_t i = 0; i < batches_max && !done(); ++i) {
      input_.pulse();  // as a session does whenever the platform came back from waiting
      auto const next = executor_.run_ready(fake().now);
      bool const is_stuck = next == never;
      if (is_stuck && was_stuck) return;
      was_stuck = is_stuck;
      if (!is_stuck && !done()) fake().now = std::max(fake().now, next);
    }
  }

  morgana::executor executor_;
  memory_log log_;
  event stop_;
  event input_;
  morgana::context context_;
};

/// Drives a session until it is finished and gives its status; -1 when it waits for ever. Each function of
/// `at` is called once, when virtual time reaches its moment.
struct scheduled {
  instant when;
  void (*what)();
};
int run_session(boot_session& session, std::vector<scheduled> at = {});

}  // namespace morgana::test
