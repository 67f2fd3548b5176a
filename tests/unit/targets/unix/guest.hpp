// A guest inside a test: an executor run by the real platform's wait_until.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "morgana/core/context.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/executor.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/task.hpp"

namespace morgana::test {

class recording_log final : public log_sink {
 public:
  explicit recording_log(executor const& clock) : clock_(&clock) {}
  void write(log_record const& record) override { lines.emplace_back(record.message); }
  log_level level_of(std::string_view) const override { return log_level::debug; }
  instant now() const override { return clock_->now(); }
  std::vector<std::string> lines;

 private:
  executor const* clock_;
};

struct guest {
  executor runs;
  recording_log log{runs};
  morgana::context context{runs, log};

  /// Runs `work` to its end. A test that takes longer than `most` has hung.
  template <class T>
  T run(task<T> work, duration most = 20s) {
    struct end final : completion {
      bool came = false;
      std::coroutine_handle<> ended() noexcept override {
        came = true;
        return std::noop_coroutine();
      }
    } end;
    auto const limit = platform::monotonic_now() + most;
    // A task's first part sees the time of now, not of an earlier run.
    static_cast<void>(runs.run_ready(platform::monotonic_now()));
    work.start(context, end);
    while (!end.came) {
      auto const next = runs.run_ready(platform::monotonic_now());
      if (end.came) break;
      if (platform::monotonic_now() > limit) FAIL("the task did not end");
      platform::wait_until(next < limit ? next : limit);
    }
    return work.take();
  }
};

/// A temporary folder, removed with what is in it.
class folder {
 public:
  folder() {
    char name[] = "/tmp/morgana-test-XXXXXX";
    if (::mkdtemp(name) == nullptr) FAIL("no temporary folder");
    path = name;
  }
  ~folder() { std::system(("rm -rf " + path).c_str()); }
  std::string path;
};

inline std::span<std::byte const> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text(std::span<std::byte const> from) {
  return {reinterpret_cast<char const*>(from.data()), from.size()};
}

}  // namespace morgana::test
