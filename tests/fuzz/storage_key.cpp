// Keys come from request targets: whatever bytes they are, the check ends, and what it lets through is harmless
// to every store.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "morgana/storage/key.hpp"
#include "morgana/storage/key_value_store.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const key(reinterpret_cast<char const*>(data), size);
  if (!morgana::storage::is_valid_key(key)) return 0;
  auto const require = [](bool holds) {
    if (!holds) __builtin_trap();
  };
  require(!key.empty() && key.size() <= morgana::key_bytes_max);
  require(key.front() != '/' && key.back() != '/');
  require(key.find('\0') == std::string_view::npos && key.find('\n') == std::string_view::npos);
  require(key.find("//") == std::string_view::npos);
  require(key != ".." && !key.starts_with("../") && !key.ends_with("/.."));
  require(key.find("/../") == std::string_view::npos && key.find("/./") == std::string_view::npos);
  // A part up to a slash is a key too: a folder's name.
  if (auto const slash = key.find('/'); slash != std::string_view::npos) {
    require(morgana::storage::is_valid_key(key.substr(0, slash)));
    require(morgana::storage::is_valid_key(key.substr(slash + 1)));
  }
  return 0;
}
