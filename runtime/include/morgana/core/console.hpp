// The console as a device: lines out, bytes in.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"

namespace morgana {

/// write() never waits and never fails (see platform::console_write). read() gives at least one byte, or
/// core_error::timed_out at the deadline, or 0 bytes at the end of input.
template <class C>
concept console = requires(C& device, std::string_view text, std::span<std::byte> into, instant deadline) {
  { device.write(text) } -> std::same_as<void>;
  { device.read(into, deadline) } -> awaitable_of<result<std::size_t>>;
};

}  // namespace morgana
