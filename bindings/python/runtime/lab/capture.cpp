#include "capture.hpp"

namespace morgana::python {
namespace {

constexpr std::uint64_t first_day_ns = 1'893'456'000'000'000'000;

void put16(std::string& out, std::uint32_t value) {
  // Little-endian whatever the machine.
  out += static_cast<char>(value & 0xff);
  out += static_cast<char>(value >> 8 & 0xff);
}
void put32(std::string& out, std::uint32_t value) {
  put16(out, value & 0xffff);
  put16(out, value >> 16);
}
void pad(std::string& out) {
  while (out.size() % 4 != 0) out += '\0';
}

/// A block: type, length, body, length again.
void put_block(std::string& out, std::uint32_t type, std::string_view body) {
  auto const size = static_cast<std::uint32_t>(body.size() + 12);
  put32(out, type);
  put32(out, size);
  out += body;
  put32(out, size);
}

}  // namespace

void capture::take(sim::node_id which, std::string_view name) {
  if (interface_of_.size() <= which) interface_of_.resize(which + 1);
  if (interface_of_[which] != 0) return;
  names_.emplace_back(name);
  interface_of_[which] = static_cast<std::uint32_t>(names_.size());
}

void capture::keep(sim::port_id where, sim::frame const& one, instant now, bool is_sent) {
  if (stopped_ || where.node >= interface_of_.size() || interface_of_[where.node] == 0) return;
  if (bytes_.size() + one.size() > bytes_max_) {
    ++dropped_;
    return;
  }
  records_.push_back({now, interface_of_[where.node] - 1, is_sent, bytes_.size(), one.size()});
  bytes_.append(reinterpret_cast<char const*>(one.bytes.data()), one.size());
}

std::string capture::pcapng() const {
  std::string out, body;
  put32(body, 0x1a2b'3c4d);  // byte order
  put16(body, 1);            // version 1.0
  put16(body, 0);
  body.append(8, '\xff');  // length unknown
  put_block(out, 0x0a0d'0d0a, body);
  for (auto const& name : names_) {
    body.clear();
    put16(body, 1);  // Ethernet
    put16(body, 0);
    put32(body, 0);  // whole frames
    put16(body, 2);  // if_name
    put16(body, static_cast<std::uint32_t>(name.size()));
    body += name;
    pad(body);
    put16(body, 9);  // if_tsresol: nanoseconds
    put16(body, 1);
    body.append("\x09\0\0\0", 4);
    put32(body, 0);  // the end of options
    put_block(out, 1, body);
  }
  for (auto const& one : records_) {
    auto const ns = first_day_ns + static_cast<std::uint64_t>((one.at - sim::start).count());
    body.clear();
    put32(body, one.interface);
    put32(body, static_cast<std::uint32_t>(ns >> 32));
    put32(body, static_cast<std::uint32_t>(ns));
    put32(body, static_cast<std::uint32_t>(one.size));
    put32(body, static_cast<std::uint32_t>(one.size));
    body += frame(one);
    pad(body);
    put16(body, 2);  // epb_flags: the direction
    put16(body, 4);
    put32(body, one.is_sent ? 2 : 1);
    put32(body, 0);
    put_block(out, 6, body);
  }
  return out;
}

}  // namespace morgana::python
