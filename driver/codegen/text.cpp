#include <fmt/format.h>

#include <algorithm>

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

std::string build_info_source(std::vector<linked_package> packages) {
  std::ranges::sort(packages, {}, &linked_package::name);
  std::string out =
      "// Made by `morgana configure` from morgana.lock. Changes are overwritten.\n"
      "#include \"morgana/core/build_info.hpp\"\n\n"
      "namespace {\n"
      "constexpr morgana::linked_package packages[] = {\n";
  for (auto const& one : packages) {
    out += fmt::format("    {{{}, {}, {}}},\n", string_literal(one.name), string_literal(one.version),
                       string_literal(one.licence));
  }
  return out +
         "};\n"
         "}  // namespace\n\n"
         "std::span<morgana::linked_package const> morgana::build_info() { return packages; }\n";
}

}  // namespace morgana::driver
