// The "file" recorder: recordings are files of the host, named from the folder the guest was started in. What
// append() took is with the kernel: it is there whatever becomes of the guest.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/recorder.hpp"
#include "morgana/core/task.hpp"

namespace morgana::hosted {

class file_recorder {
 public:
  class recording {
   public:
    recording(recording&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    recording& operator=(recording&& other) noexcept {
      std::swap(descriptor_, other.descriptor_);
      return *this;
    }
    ~recording();
    /// One write for all parts (at most `parts_max`). Errors: storage_error::input_output with errno.
    [[nodiscard]] result<void> append(std::span<std::span<std::byte const> const> parts);
    static constexpr std::size_t parts_max = 32;

   private:
    friend class file_recorder;
    explicit recording(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
  };

  [[nodiscard]] static task<result<file_recorder>> connect(context& in);
  /// Errors: storage_error::input_output with errno (it cannot be made); the log says which file.
  [[nodiscard]] result<recording> begin(std::string_view name);

 private:
  explicit file_recorder(log_sink& log) : log_(&log) {}
  log_sink* log_;
};

}  // namespace morgana::hosted
