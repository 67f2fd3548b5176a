// The "sim" block device: a disk that the simulator has under this device's name. `morgana run -t sim --disk
// NAME=FILE` gives a file, a simulated world a disk in memory. A transfer takes no virtual time. For guests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/block_device.hpp"
#include "morgana/storage/immediate.hpp"

namespace morgana::sim {

class disk {
 public:
  /// Errors: core_error::device_missing (the simulator has no disk of that name).
  [[nodiscard]] static task<result<disk>> connect(context& in, device_name name);

  [[nodiscard]] block_information information() const { return information_; }
  /// Errors: those of storage::check_transfer, storage_error::input_output with errno.
  [[nodiscard]] storage::immediate<result<void>> read(std::uint64_t sector, std::span<std::byte> into);
  [[nodiscard]] storage::immediate<result<void>> write(std::uint64_t sector, std::span<std::byte const> from);
  [[nodiscard]] storage::immediate<result<void>> flush();

 private:
  disk(int number, block_information const& information) : number_(number), information_(information) {}
  int number_;
  block_information information_;
};

}  // namespace morgana::sim
