// The runner as a process: found, started with exactly the descriptors it is meant to have, and ended.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/target.hpp"

namespace morgana::driver {

/// Owns a descriptor.
class unique_descriptor {
 public:
  unique_descriptor() = default;
  explicit unique_descriptor(int number) : number_(number) {}
  unique_descriptor(unique_descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  unique_descriptor& operator=(unique_descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~unique_descriptor() { reset(); }

  void reset() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }
  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// A started runner.
struct runner_process {
  pid_t pid = -1;
  unique_descriptor process;  ///< pidfd: readable when it has ended
  unique_descriptor socket;   ///< our end
  unique_descriptor words;    ///< what it prints: stdout and stderr

  runner_process() = default;
  runner_process(runner_process&& other) noexcept
      : pid(std::exchange(other.pid, -1)),
        process(std::move(other.process)),
        socket(std::move(other.socket)),
        words(std::move(other.words)) {}
  runner_process& operator=(runner_process&&) = delete;

  /// Closes the socket, gives the runner a moment to end its guest in order, then kills it and reaps it.
  ~runner_process();

  /// "ended with status 1", "was ended by signal 11"; nothing while it runs.
  [[nodiscard]] std::string ending();

 private:
  std::string ending_;
  void reap(int options);
};

/// The runner's command with its program found. Errors: `no-runner`.
[[nodiscard]] outcome<std::vector<std::string>> find_runner(target const& on);

/// Starts it with `inherited` under their own numbers, besides the socket. Errors: `runner-failed`.
[[nodiscard]] outcome<runner_process> spawn_runner(std::vector<std::string> const& command,
                                                   std::vector<int> const& inherited);

}  // namespace morgana::driver
