#include <fmt/format.h>

#include "morgana/driver/codegen.hpp"

namespace morgana::driver {

std::string string_literal(std::string_view text) {
  std::string out = "\"";
  for (auto const c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      // Three octal digits end by themselves, whatever follows.
      out += fmt::format("\\{:03o}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace morgana::driver
