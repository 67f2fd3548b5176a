// A serial port of the 16550 kind (the PC's COM1 and COM2), at 115,200 baud where that means something.
#pragma once

#include <cstdint>

#include "processor.hpp"

namespace morgana::xen {

class serial_port {
 public:
  explicit constexpr serial_port(std::uint16_t base) : base_(base) {}

  /// Interrupts on input.
  void start() const {
    using processor::out8;
    out8(register_of(1), 0);
    out8(register_of(3), 0x80);  // the divisor of the rate
    out8(register_of(0), 1);
    out8(register_of(1), 0);
    out8(register_of(3), 0x03);  // eight bits, no parity, one stop bit
    out8(register_of(2), 0x07);  // FIFOs, emptied
    out8(register_of(4), 0x0b);
    out8(register_of(1), 0x01);
  }
  /// Where there is no port all bits read as one.
  [[nodiscard]] bool is_there() const { return status() != 0xff; }
  [[nodiscard]] bool has_input() const { return (status() & 0x81) == 0x01; }
  [[nodiscard]] bool has_room() const { return (status() & 0x20) != 0; }
  [[nodiscard]] std::uint8_t read() const { return processor::in8(base_); }
  void write(std::uint8_t byte) const { processor::out8(base_, byte); }

 private:
  [[nodiscard]] constexpr std::uint16_t register_of(int offset) const {
    return static_cast<std::uint16_t>(base_ + offset);
  }
  [[nodiscard]] std::uint8_t status() const { return processor::in8(register_of(5)); }
  std::uint16_t base_;
};

}  // namespace morgana::xen
