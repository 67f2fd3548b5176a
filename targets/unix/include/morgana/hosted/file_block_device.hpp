// The "file" block device: a file or block device of the host, given by the runner (`morgana run --disk
// NAME=FILE`) or by the boot option --NAME.path.
//
// Reads and writes are synchronous calls: a hosted guest has no threads, and the host's cache answers most of
// them at once; a slow disk stops the whole guest. A disk open for writing is locked (flock), so that two
// guests do not share one by mistake; any number may read one that nobody writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/block_device.hpp"
#include "morgana/storage/immediate.hpp"

namespace morgana::hosted {

struct file_block_device_options {
  /// File that holds the disk; empty: the one the runner gave under this device's name.
  std::string_view path = "";
  /// Refuse to write.
  bool read_only = false;
  /// Bytes of a sector: a power of two from 512 to 65536.
  std::uint32_t sector_bytes = 512;
};

class file_block_device {
 public:
  /// Errors: core_error::device_missing (no path and none from the runner); storage_error::input_output with
  /// errno (cannot be opened); core_error::invalid_argument (sector size); core_error::not_supported (neither a
  /// file nor a block device); core_error::limit_reached with EWOULDBLOCK (another guest has it open).
  [[nodiscard]] static task<result<file_block_device>> connect(context& in, device_name name,
                                                               file_block_device_options const& options);

  file_block_device(file_block_device&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), information_(other.information_) {}
  file_block_device& operator=(file_block_device&&) = delete;
  ~file_block_device();

  [[nodiscard]] block_information information() const { return information_; }
  [[nodiscard]] storage::immediate<result<void>> read(std::uint64_t sector, std::span<std::byte> into);
  [[nodiscard]] storage::immediate<result<void>> write(std::uint64_t sector, std::span<std::byte const> from);
  [[nodiscard]] storage::immediate<result<void>> flush();

 private:
  file_block_device(int descriptor, block_information const& information)
      : descriptor_(descriptor), information_(information) {}
  int descriptor_;
  block_information information_;
};

}  // namespace morgana::hosted
