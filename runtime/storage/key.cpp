#include "morgana/storage/key.hpp"

#include <cstddef>
#include <cstdint>

#include "morgana/storage/key_value_store.hpp"

namespace morgana::storage {
namespace {

/// Bytes of the well-formed UTF-8 sequence that `text` begins with (Unicode 15, table 3-7), or 0.
std::size_t sequence_bytes(std::string_view text) {
  auto const at = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  auto const first = at(0);
  if (first < 0x80) return 1;
  std::size_t const size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  std::uint8_t low = 0x80, high = 0xbf;
  if (first == 0xe0) low = 0xa0;   // overlong
  if (first == 0xed) high = 0x9f;  // surrogates
  if (first == 0xf0) low = 0x90;   // overlong
  if (first == 0xf4) high = 0x8f;  // above U+10FFFF
  if (at(1) < low || at(1) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

}  // namespace

bool is_valid_key(std::string_view key) {
  if (key.empty() || key.size() > key_bytes_max) return false;
  for (std::size_t i = 0; i < key.size();) {
    auto const byte = static_cast<std::uint8_t>(key[i]);
    if (byte < 0x20 || byte == 0x7f) return false;
    auto const size = sequence_bytes(key.substr(i));
    if (size == 0) return false;
    i += size;
  }
  for (auto rest = key;;) {
    auto const slash = rest.find('/');
    auto const component = rest.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == std::string_view::npos) return true;
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace morgana::storage
