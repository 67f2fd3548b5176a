// The "sim" recorder: recordings that the simulator keeps. `morgana run -t sim` writes them as files into the
// folder it was started in, a simulated world keeps them in memory (guest_node::recording). For guests.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/recorder.hpp"
#include "morgana/core/task.hpp"

namespace morgana::sim {

class recorder {
 public:
  class recording {
   public:
    recording(recording&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    recording& operator=(recording&& other) noexcept {
      std::swap(number_, other.number_);
      return *this;
    }
    ~recording();
    /// Errors: storage_error::input_output with errno.
    [[nodiscard]] result<void> append(std::span<std::span<std::byte const> const> parts);

   private:
    friend class recorder;
    explicit recording(int number) : number_(number) {}
    int number_;
  };

  [[nodiscard]] static task<result<recorder>> connect(context& in);
  /// Errors: storage_error::input_output with errno.
  [[nodiscard]] result<recording> begin(std::string_view name);
};

}  // namespace morgana::sim
