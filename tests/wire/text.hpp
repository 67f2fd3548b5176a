// The line protocol of the codec: words in, one JSON object out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/core/text.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/wire/error.hpp"

namespace wire_codec {

using bytes = std::vector<std::byte>;

[[nodiscard]] std::string to_hex(std::span<std::byte const> data);
/// Ends the program at anything but hexadecimal digits: the caller is our own test.
[[nodiscard]] bytes from_hex(std::string_view text);
[[noreturn]] void refuse(std::string_view what, std::string_view about);

/// One JSON object, field by field.
class object {
 public:
  object& number(std::string_view name, std::uint64_t value);
  object& flag(std::string_view name, bool value);
  object& text(std::string_view name, std::string_view value);
  object& hex(std::string_view name, std::span<std::byte const> data) { return text(name, to_hex(data)); }
  /// `value` is JSON already.
  object& raw(std::string_view name, std::string_view value);
  [[nodiscard]] std::string done() const { return "{" + inside_ + "}"; }

 private:
  std::string inside_;
};
[[nodiscard]] std::string list_of(std::span<std::string const> values);
[[nodiscard]] std::string quoted(std::string_view text);
[[nodiscard]] std::string error_object(morgana::net::wire::parse_error why);

/// Words after the command: `name=value`, or plain ones by their place.
class words {
 public:
  explicit words(std::string_view line);
  [[nodiscard]] std::string_view at(std::size_t place) const;
  [[nodiscard]] bool has(std::string_view name) const { return named_.contains(std::string(name)); }
  [[nodiscard]] std::string_view named(std::string_view name) const;
  [[nodiscard]] std::uint64_t number(std::string_view name, std::uint64_t otherwise = 0) const;
  [[nodiscard]] morgana::net::ip_address address(std::string_view name) const;
  [[nodiscard]] morgana::net::mac_address mac(std::string_view name) const;

 private:
  std::vector<std::string> plain_;
  std::map<std::string, std::string> named_;
};
[[nodiscard]] std::uint64_t to_number(std::string_view text);
[[nodiscard]] morgana::net::ip_address to_address(std::string_view text);
template <class Printable>
[[nodiscard]] std::string printed(Printable const& value) {
  morgana::fixed_text<64> text;
  write_text(text, value);
  return std::string(text.view());
}

/// A whole host in virtual time, made by its first command and remade by `new` (host.cpp).
[[nodiscard]] std::string host_command(words const& asked);

}  // namespace wire_codec
