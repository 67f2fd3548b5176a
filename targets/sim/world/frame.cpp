#include "morgana/sim/frame.hpp"

#include <algorithm>

namespace morgana::sim {

void copy_from(frame& into, net::segment const& packet) {
  into.bytes.resize(packet.size());
  (void)packet.copy_out(0, into.bytes);
  into.gso_size = packet.gso_size;
  into.gso_kind = packet.gso_kind;
  into.checksum = packet.checksum;
  into.checksum_start = packet.checksum_start;
  into.checksum_offset = packet.checksum_offset;
  into.is_corrupted = false;
}

bool copy_to(net::segment& into, frame const& from, net::buffer_pool& buffers) {
  into.clear();
  std::span<std::byte const> left = from.bytes;
  while (!left.empty()) {
    auto const size = std::min(left.size(), buffers.buffer_bytes());
    auto part = buffers.take_slice(size);
    if (part.size() != size) {
      into.clear();
      return false;
    }
    std::ranges::copy(left.first(size), part.writable().begin());
    if (!into.append(std::move(part))) {
      into.clear();
      return false;
    }
    left = left.subspan(size);
  }
  into.gso_size = from.gso_size;
  into.gso_kind = from.gso_kind;
  into.checksum = from.checksum;
  into.checksum_start = from.checksum_start;
  into.checksum_offset = from.checksum_offset;
  return true;
}

}  // namespace morgana::sim
