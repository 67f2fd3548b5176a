// The console of a bare machine: its first serial port.
#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "serial_port.hpp"

namespace morgana::xen {
namespace {

constexpr serial_port port(0x3f8);
constexpr int tries_max = 100'000;  // of the status register, which takes a microsecond: 100 ms
constinit std::uint64_t dropped_bytes = 0;

}  // namespace

void start_console() {
  port.start();
}

}  // namespace morgana::xen

namespace morgana::platform {

void console_write(std::span<std::byte const> bytes) noexcept {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int tries = 0; !xen::port.has_room(); ++tries) {
      if (tries < xen::tries_max) continue;
      xen::dropped_bytes += bytes.size() - i;
      return;
    }
    xen::port.write(static_cast<std::uint8_t>(bytes[i]));
  }
}

std::uint64_t console_dropped_bytes() noexcept {
  return xen::dropped_bytes;
}

std::size_t console_read(std::span<std::byte> into) noexcept {
  std::size_t size = 0;
  while (size < into.size() && xen::port.has_input()) into[size++] = static_cast<std::byte>(xen::port.read());
  return size;
}

// A serial line has no end.
bool console_input_ended() noexcept {
  return false;
}

}  // namespace morgana::platform
