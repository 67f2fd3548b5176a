#include "morgana/net/wire/udp.hpp"

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::wire {

void udp_header::emit(std::span<std::byte> into) const {
  store16(into, 0, source_port);
  store16(into, 2, destination_port);
  store16(into, 4, total_bytes);
  store16(into, 6, checksum);
}

parsed<udp_header> udp_header::parse(std::span<std::byte const> datagram, std::size_t available) {
  if (datagram.size() < size_bytes) return std::unexpected(parse_error::too_short);
  udp_header header{load16(datagram, 0), load16(datagram, 2), load16(datagram, 4), load16(datagram, 6)};
  if (header.total_bytes < size_bytes || header.total_bytes > available) {
    return std::unexpected(parse_error::wrong_length);
  }
  return header;
}

}  // namespace morgana::net::wire
