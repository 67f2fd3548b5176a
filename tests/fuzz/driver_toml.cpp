// Fuzzes the readers of descriptions, catalogues and targets: whatever the bytes are, each gives a value or
// diagnostics that can be printed, and every place lies in the text.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "morgana/driver/catalogue.hpp"
#include "morgana/driver/description.hpp"
#include "morgana/driver/target.hpp"

namespace {

using namespace morgana::driver;

template <class T>
void check(outcome<T> const& read, std::string_view text) {
  if (read) return;
  if (read.error().empty()) std::abort();
  auto const lines = static_cast<std::uint32_t>(std::ranges::count(text, '\n')) + 1;
  for (auto const& one : read.error()) {
    if (one.code.empty() || one.message.empty() || one.help.empty() || !one.where) std::abort();
    if (one.where->line > lines) std::abort();
    std::ostringstream out;
    print_text(out, one, "", color_choice::never);
    print_json(out, one);
    auto const printed = out.str();
    // Nothing but line feeds reaches a terminal as a command.
    auto const control = [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
    };
    if (std::ranges::any_of(printed, control)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const text(reinterpret_cast<char const*>(data), size);
  // Names of files that do not exist: printing must not depend on the disk.
  check(parse_description(text, "no/such/unikernel.toml"), text);
  check(parse_catalogue(text, "no/such/devices.toml"), text);
  check(parse_target(text, "no/such/unix.toml"), text);
  return 0;
}
