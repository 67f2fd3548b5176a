#include "morgana/net/dns/name.hpp"

#include <algorithm>
#include <cstring>

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::dns {
namespace {

using wire::parse_error;

constexpr std::uint8_t label_kind = 0xc0;  // RFC 1035 4.1.4: 00 a label, 11 a pointer, the rest reserved
constexpr std::uint8_t pointer_kind = 0xc0;

constexpr std::uint8_t small(std::uint8_t letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<std::uint8_t>(letter + ('a' - 'A')) : letter;
}

constexpr bool is_name_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

}  // namespace

bool name::append(std::span<std::byte const> label) {
  if (label.empty() || label.size() > label_bytes_max || size_ + label.size() + 1 > wire_bytes_max)
    return false;
  bytes_[size_ - 1u] = static_cast<std::uint8_t>(label.size());
  std::memcpy(bytes_.data() + size_, label.data(), label.size());
  size_ = static_cast<std::uint8_t>(size_ + label.size() + 1);
  bytes_[size_ - 1u] = 0;
  return true;
}

std::optional<name> name::parse(std::string_view text) {
  name made;
  if (text == ".") return made;
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  for (;;) {
    auto const dot = text.find('.');
    auto const label = text.substr(0, dot);
    if (!std::ranges::all_of(label, is_name_letter) || !made.append(std::as_bytes(std::span(label)))) {
      return std::nullopt;
    }
    if (dot == text.npos) return made;
    text.remove_prefix(dot + 1);
  }
}

wire::parsed<name> name::read(std::span<std::byte const> message, std::size_t& offset) {
  name made;
  auto at = offset;
  auto earliest = offset;  // where the part being read began: pointers go before it
  std::optional<std::size_t> behind;
  for (std::size_t jumps = 0;;) {
    if (at >= message.size()) return std::unexpected(parse_error::too_short);
    auto const length = wire::load8(message, at);
    if (length == 0) {
      offset = behind.value_or(at + 1);
      return made;
    }
    if ((length & label_kind) == pointer_kind) {
      if (at + 2 > message.size()) return std::unexpected(parse_error::too_short);
      std::size_t const target = wire::load16(message, at) & 0x3fffu;
      if (target >= earliest || ++jumps > pointers_max) return std::unexpected(parse_error::wrong_option);
      if (!behind) behind = at + 2;
      at = earliest = target;
      continue;
    }
    if ((length & label_kind) != 0) return std::unexpected(parse_error::wrong_option);
    if (at + 1 + length > message.size()) return std::unexpected(parse_error::too_short);
    if (!made.append(message.subspan(at + 1, length))) return std::unexpected(parse_error::wrong_length);
    at += std::size_t{1} + length;
  }
}

std::size_t name::labels() const {
  std::size_t count = 0;
  for (std::size_t at = 0; bytes_[at] != 0; at += std::size_t{1} + bytes_[at]) ++count;
  return count;
}

bool name::is_within(name const& other) const {
  for (std::size_t at = 0;; at += std::size_t{1} + bytes_[at]) {
    auto const left = std::span(bytes_).first(size_).subspan(at);
    auto const right = std::span(other.bytes_).first(other.size_);
    if (std::ranges::equal(left, right, {}, small, small)) return true;
    if (bytes_[at] == 0) return false;
  }
}

bool name::is_identical(name const& other) const {
  return std::ranges::equal(wire_bytes(), other.wire_bytes());
}

name name::folded() const {
  auto made = *this;
  for (auto& letter : made.letters()) letter = small(letter);
  return made;
}

bool operator==(name const& a, name const& b) {
  // Lengths of labels are below 64, and so no letters: they compare as they are.
  return std::ranges::equal(std::span(a.bytes_).first(a.size_), std::span(b.bytes_).first(b.size_), {}, small,
                            small);
}

void write_text(text_writer& out, name const& value) {
  auto const bytes = value.wire_bytes();
  if (value.is_root()) return out.put('.');
  for (std::size_t at = 0; static_cast<std::uint8_t>(bytes[at]) != 0;) {
    auto const length = static_cast<std::size_t>(bytes[at]);
    if (at != 0) out.put('.');
    for (auto const letter : bytes.subspan(at + 1, length)) {
      auto const c = static_cast<char>(letter);
      if (is_name_letter(c)) {
        out.put(c);
      } else {
        out.put('\\');
        out.put_unsigned(static_cast<std::uint8_t>(letter), 10, 3, '0');
      }
    }
    at += length + 1;
  }
}

}  // namespace morgana::net::dns
