// Why bytes are not a packet. Parsers say which rule was broken; stacks count it by that name.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

namespace morgana::net::wire {

enum class parse_error : std::uint8_t {
  too_short,  ///< fewer bytes than the fixed header
  wrong_version,
  wrong_header_length,  ///< smaller than the minimum or larger than the packet
  wrong_length,         ///< the length field contradicts the packet
  wrong_checksum,
  wrong_option,  ///< an option's length runs past its end, or is impossible
  unsupported,   ///< well formed, but of a kind this parser does not know
};

[[nodiscard]] std::string_view to_string(parse_error);

template <class T>
using parsed = std::expected<T, parse_error>;

}  // namespace morgana::net::wire
