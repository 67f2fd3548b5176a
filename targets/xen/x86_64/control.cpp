// The second serial port of a bare machine, where the runner listens: `s` asks for an orderly end, and "exit
// N" says how the guest ended. A machine started by hand has none; then QEMU's debug exit device carries the
// status.
#include "hypervisor.hpp"
#include "machine.hpp"
#include "morgana/core/boot.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/text.hpp"
#include "serial_port.hpp"

namespace morgana::xen {
namespace {

constexpr serial_port port(0x2f8);
constinit bool is_there = false;
constinit bool stop_wanted = false;

}  // namespace

void control::start() {
  is_there = port.is_there();
  if (is_there) port.start();
}

void control::poll() {
  while (is_there && port.has_input()) stop_wanted = port.read() == 's' || stop_wanted;
}

bool control::stop_requested() {
  return stop_wanted;
}

void control::say_exit(int status) {
  if (!is_there) return;
  fixed_text<24> line;
  line.append("exit {}\n", status);
  for (auto const c : line.view()) port.write(static_cast<std::uint8_t>(c));
}

[[noreturn]] void end_machine(int status) {
  if (machine.is_initial_domain) {
    // Its power-off would only halt Xen.
    control::say_exit(status);
    hypervisor::end(shutdown::reason::reboot);
  }
  if (machine.is_xen) {
    xen_control::say_exit(status);
    auto const is_crash = status == exit_status::crashed || status == exit_status::out_of_memory;
    auto const asked =
        xen_control::reboot_requested() ? shutdown::reason::reboot : shutdown::reason::power_off;
    hypervisor::end(is_crash ? shutdown::reason::crash : asked);
  }
  control::say_exit(status);
  processor::out8(
      0xf4, static_cast<std::uint8_t>(status));  // QEMU's isa-debug-exit: its status is twice this and 1
  processor::out16(0x604, 0x2000);               // ACPI's power-off on QEMU's pc and q35
  processor::out8(0x64, 0xfe);                   // the keyboard controller's reset line
  // Nothing of it is there: an exception without handlers resets the machine.
  struct [[gnu::packed]] {
    std::uint16_t limit = 0;
    std::uint64_t address = 0;
  } none;
  asm volatile("lidt %0\n\tud2" : : "m"(none));
  __builtin_unreachable();
}

}  // namespace morgana::xen

namespace morgana::platform {

bool stop_requested() noexcept {
  auto const has_tools = xen::machine.is_xen && !xen::machine.is_initial_domain;
  return has_tools ? xen::xen_control::stop_requested() : xen::control::stop_requested();
}

void power_off(int status) noexcept {
  xen::end_machine(status);
}

// Nothing tells a bare machine that it was stopped and resumed.
std::uint64_t resume_generation() noexcept {
  return xen::xen_control::generation();
}

}  // namespace morgana::platform
