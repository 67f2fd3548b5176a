#include "tests/wire/text.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace wire_codec {

void refuse(std::string_view what, std::string_view about) {
  std::fprintf(stderr, "test_wire_codec: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(about.size()), about.data());
  std::exit(2);
}

std::string to_hex(std::span<std::byte const> data) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string made;
  made.reserve(data.size() * 2);
  for (auto const one : data) {
    made += digits[static_cast<std::size_t>(one) >> 4];
    made += digits[static_cast<std::size_t>(one) & 15];
  }
  return made;
}

bytes from_hex(std::string_view text) {
  bytes made;
  if (text == "-") return made;
  if (text.size() % 2 != 0) refuse("an odd number of hexadecimal digits", text);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    auto const [end, failed] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (failed != std::errc() || end != text.data() + i + 2) refuse("not hexadecimal", text);
    made.push_back(static_cast<std::byte>(value));
  }
  return made;
}

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

std::string list_of(std::span<std::string const> values) {
  std::string made = "[";
  for (auto const& one : values) {
    if (made.size() > 1) made += ",";
    made += one;
  }
  return made + "]";
}

object& object::raw(std::string_view name, std::string_view value) {
  if (!inside_.empty()) inside_ += ",";
  inside_ += quoted(name) + ":" + std::string(value);
  return *this;
}
object& object::number(std::string_view name, std::uint64_t value) {
  return raw(name, std::to_string(value));
}
object& object::flag(std::string_view name, bool value) {
  return raw(name, value ? "true" : "false");
}
object& object::text(std::string_view name, std::string_view value) {
  return raw(name, quoted(value));
}

std::string error_object(morgana::net::wire::parse_error why) {
  return object().text("error", to_string(why)).done();
}

words::words(std::string_view line) {
  while (!line.empty()) {
    auto const end = line.find(' ');
    auto const word = line.substr(0, end);
    line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
    if (word.empty()) continue;
    auto const equals = word.find('=');
    if (equals == std::string_view::npos) {
      plain_.emplace_back(word);
    } else {
      named_.emplace(word.substr(0, equals), word.substr(equals + 1));
    }
  }
}

std::string_view words::at(std::size_t place) const {
  if (place >= plain_.size()) refuse("a word is missing after", plain_.empty() ? "nothing" : plain_[0]);
  return plain_[place];
}
std::string_view words::named(std::string_view name) const {
  auto const found = named_.find(std::string(name));
  if (found == named_.end()) refuse("a field is missing", name);
  return found->second;
}
std::uint64_t to_number(std::string_view text) {
  std::uint64_t value = 0;
  auto const [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) refuse("not a number", text);
  return value;
}
std::uint64_t words::number(std::string_view name, std::uint64_t otherwise) const {
  return has(name) ? to_number(named(name)) : otherwise;
}
morgana::net::ip_address to_address(std::string_view text) {
  auto const read = morgana::net::ip_address::parse(text);
  if (!read) refuse("not an address", text);
  return *read;
}
morgana::net::ip_address words::address(std::string_view name) const {
  return to_address(named(name));
}
morgana::net::mac_address words::mac(std::string_view name) const {
  auto const read = morgana::net::mac_address::parse(named(name));
  if (!read) refuse("not an Ethernet address", named(name));
  return *read;
}

}  // namespace wire_codec
