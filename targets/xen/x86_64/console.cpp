// The console: under Xen the ring that xenconsoled reads, or Xen's own for its first domain; on a bare
// machine the first serial port.
#include "hypercall.hpp"
#include "hypervisor.hpp"
#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "serial_port.hpp"
#include "tool_rings.hpp"

namespace morgana::xen {
namespace {

constexpr serial_port port(0x3f8);
constexpr int tries_max = 100'000;  // of the status register, which takes a microsecond: 100 ms
constexpr std::uint64_t room_wait_ns = 100'000'000;
constinit std::uint64_t dropped_bytes = 0;
constinit tool_rings rings;

std::size_t write_to_port(std::span<std::byte const> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int tries = 0; !port.has_room(); ++tries) {
      if (tries == tries_max) return i;
    }
    port.write(static_cast<std::uint8_t>(bytes[i]));
  }
  return bytes.size();
}

std::size_t write_to_ring(std::span<std::byte const> bytes) {
  if (!rings.is_open()) return 0;
  std::size_t done = 0;
  std::uint64_t deadline = 0;
  while (done < bytes.size()) {
    auto const size = rings.to.write(bytes.subspan(done));
    rings.notify();
    done += size;
    if (size != 0) {
      deadline = 0;
      continue;
    }
    auto const now = hypervisor::time_ns();
    if (deadline == 0) deadline = now + room_wait_ns;
    if (rings.to.is_broken() || now >= deadline) break;
    hypervisor::yield();
  }
  return done;
}

/// Bytes that were moved.
std::size_t ask_xen(console_operation what, void const* bytes, std::size_t size) {
  auto const done = hypercall(machine.is_intel, hypercall_number::console, static_cast<std::uint64_t>(what),
                              size, reinterpret_cast<std::uint64_t>(bytes));
  if (done < 0) return 0;
  return what == console_operation::write ? size : static_cast<std::size_t>(done);
}

std::size_t write_somewhere(std::span<std::byte const> bytes) {
  if (!machine.is_xen) return write_to_port(bytes);
  if (machine.is_initial_domain) return ask_xen(console_operation::write, bytes.data(), bytes.size());
  return write_to_ring(bytes);
}

[[clang::minsize, gnu::noinline]] void open_rings(event_port by) {
  auto& page = *reinterpret_cast<console_page*>(machine.console_page);
  rings.open(byte_ring(page.output, page.output_put, page.output_taken),
             byte_ring(page.input, page.input_taken, page.input_put), by);
}

}  // namespace

[[clang::minsize]] void restart_console() {
  if (rings.is_open()) open_rings(hypervisor::port_of(hvm_parameter::name::console_port));
}

void start_console() {
  if (!machine.is_xen) {
    port.start();
    return;
  }
  if (machine.is_initial_domain) hypervisor::bind(console_interrupt);
  if (machine.console_page != 0) open_rings(machine.console_port);
}

}  // namespace morgana::xen

namespace morgana::platform {

void console_write(std::span<std::byte const> bytes) noexcept {
  xen::dropped_bytes += bytes.size() - xen::write_somewhere(bytes);
}

std::uint64_t console_dropped_bytes() noexcept {
  return xen::dropped_bytes;
}

std::size_t console_read(std::span<std::byte> into) noexcept {
  using namespace xen;
  std::size_t size = 0;
  if (machine.is_initial_domain) return ask_xen(console_operation::read, into.data(), into.size());
  if (machine.is_xen) {
    if (rings.is_open()) size = rings.from.read(into);
    if (size != 0) rings.notify();
    return size;
  }
  while (size < into.size() && port.has_input()) into[size++] = static_cast<std::byte>(port.read());
  return size;
}

// Neither a serial line nor the ring has an end.
bool console_input_ended() noexcept {
  return false;
}

}  // namespace morgana::platform
