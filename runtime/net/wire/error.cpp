#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

std::string_view to_string(parse_error error) {
  switch (error) {
    case parse_error::too_short:
      return "too short";
    case parse_error::wrong_version:
      return "wrong version";
    case parse_error::wrong_header_length:
      return "wrong header length";
    case parse_error::wrong_length:
      return "wrong length";
    case parse_error::wrong_checksum:
      return "wrong checksum";
    case parse_error::wrong_option:
      return "wrong option";
    case parse_error::unsupported:
      return "unsupported";
  }
  return "unknown";
}

}  // namespace morgana::net::wire
