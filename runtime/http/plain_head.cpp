// The head that nearly every request has, without the parser: GET or HEAD of a path by HTTP/1.1 and fields without
// surprises, all of it there. What is taken here the parser takes too, and finds the same in it: the fuzzer
// (tests/fuzz/http_request.cpp) compares the two. Whatever else comes goes to the parser, which says what is wrong with it.
#include <bit>
#include <cstdint>
#include <cstring>

#include "known_names.hpp"
#include "morgana/http/connection.hpp"
#include "text_rules.hpp"

namespace morgana::http {

namespace {

constexpr std::uint64_t in_each_byte = 0x0101'0101'0101'0101u;
constexpr std::size_t word_bytes = sizeof in_each_byte;

/// From `at` on behind what is from `First` to '~' in ASCII and not `Except` (0: no such), eight bytes at a time.
template <unsigned char First, unsigned char Except>
char const* behind_text(char const* at, char const* end) {
  static_assert(std::endian::native == std::endian::little);
  for (; static_cast<std::size_t>(end - at) >= word_bytes; at += word_bytes) {
    std::uint64_t word;
    std::memcpy(&word, at, word_bytes);
    // The top bit of each byte that ends it; a carry or borrow comes only from one that does, so the first is right.
    auto ends = (word - in_each_byte * First) | (word + in_each_byte) | word;
    if constexpr (Except != 0) {
      auto const differing = word ^ in_each_byte * Except;
      ends |= (differing - in_each_byte) & ~differing;
    }
    ends &= in_each_byte << 7;
    if (ends != 0) return at + std::countr_zero(ends) / 8;
  }
  for (; at != end; ++at) {
    auto const one = static_cast<unsigned char>(*at);
    if (one < First || one > '~' || (Except != 0 && one == Except)) break;
  }
  return at;
}

/// From `at` on behind letters and '-', of which nearly all names of fields are: eight bytes at a time, while there are eight.
char const* behind_letters(char const* at, char const* end) {
  constexpr auto top = in_each_byte << 7;
  for (; static_cast<std::size_t>(end - at) >= word_bytes; at += word_bytes) {
    std::uint64_t word;
    std::memcpy(&word, at, word_bytes);
    // Top bits again; without those of the text itself no sum carries into the next byte.
    auto const low = (word & ~top) | in_each_byte * 0x20;
    auto const letters = (low + in_each_byte * (0x80 - 'a')) & ~(low + in_each_byte * (0x80 - 'z' - 1));
    auto const not_dash = ((word & ~top) ^ in_each_byte * '-') + ~top;
    auto const ends = ((~letters & not_dash) | word) & top;
    if (ends != 0) return at + std::countr_zero(ends) / 8;
  }
  return at;
}

template <std::size_t Size>
bool begins_with(char const* at, char const* end, char const (&text)[Size]) {
  return static_cast<std::size_t>(end - at) >= Size - 1 && std::memcmp(at, text, Size - 1) == 0;
}

/// Fields that say how a message is framed, or that the connection becomes another.
bool is_for_parser(std::string_view name, std::size_t known) {
  switch (known) {
    case static_cast<std::size_t>(known_field::content_length):
    case static_cast<std::size_t>(known_field::transfer_encoding):
    case static_cast<std::size_t>(known_field::expect): return true;
    case not_known: break;
    default: return false;
  }
  constexpr std::string_view upgrade = "upgrade", proxy = "proxy-connection";
  return (name.size() == upgrade.size() && equals_ignoring_case(name, upgrade)) ||
         (name.size() == proxy.size() && equals_ignoring_case(name, proxy));
}

std::string_view between(char const* begin, char const* end) { return {begin, static_cast<std::size_t>(end - begin)}; }

}  // namespace

bool connection::take_plain_fields(char const*& at, char const* end, bool& keeps) {
  auto const most = std::min(server_.limits.header_fields, request_.fields_.size());
  std::size_t count = 0;
  unsigned present = 0;
  while (!begins_with(at, end, "\r\n")) {
    auto const* const name_begin = at;
    at = behind_letters(at, end);
    while (at != end && is_token_char(*at)) ++at;
    if (at == name_begin || at == end || *at != ':' || count == most) return false;
    auto const name = between(name_begin, at);
    auto const* value_begin = at + 1;
    while (value_begin != end && *value_begin == ' ') ++value_begin;
    auto const* value_end = behind_text<' ', 0>(value_begin, end);
    if (!begins_with(value_end, end, "\r\n")) return false;
    at = value_end + 2;
    while (value_end != value_begin && value_end[-1] == ' ') --value_end;
    auto const value = between(value_begin, value_end);
    auto const known = find_known(name);
    if (is_for_parser(name, known)) return false;
    if (known != not_known) {
      auto const bit = 1u << known;
      if ((present & bit) != 0) return false;
      present |= bit;
      request_.known_[known] = static_cast<std::uint8_t>(count);
    }
    if (known == static_cast<std::size_t>(known_field::connection)) {
      keeps = equals_ignoring_case(value, "keep-alive");
      if (!keeps && !equals_ignoring_case(value, "close")) return false;
    }
    request_.fields_[count++] = {name, value};
  }
  at += 2;
  request_.present_ = static_cast<std::uint16_t>(present);
  request_.field_count_ = count;
  return request_.has(known_field::host) && is_host(request_.header(known_field::host));
}

/// False, and the message is to be begun anew, when it is not plain, or not all of it is there.
bool connection::take_plain_head() {
  auto const* const begin = buffer_ + begin_;
  auto const* const end = buffer_ + end_;
  auto const is_get = begins_with(begin, end, "GET /");
  if (!is_get && !begins_with(begin, end, "HEAD /")) return false;
  auto const* const target_begin = begin + (is_get ? 4 : 5);
  auto const* const target_end = behind_text<'!', '#'>(target_begin, end);
  constexpr char version[] = " HTTP/1.1\r\n";
  constexpr auto version_bytes = sizeof version - 1;
  if (!begins_with(target_end, end, version)) return false;
  auto const& limits = server_.limits;
  auto const line_bytes = static_cast<std::size_t>(target_end - begin) + version_bytes - 2;
  auto const* at = target_end + version_bytes;
  auto const* const fields_begin = at;
  bool keeps = true;
  if (!take_plain_fields(at, end, keeps)) return false;
  if (line_bytes > limits.request_line_bytes) return false;
  if (static_cast<std::size_t>(at - fields_begin) > limits.headers_bytes) return false;

  request_.method_ = is_get ? method::get : method::head;
  request_.method_text_ = between(begin, target_begin - 1);
  request_.target_ = between(target_begin, target_end);
  request_.host_ = request_.header(known_field::host);
  request_.body_.length_ = 0;
  split_target(request_.target_);
  line_end_ = target_end;
  head_complete_ = message_complete_ = true;
  parsed_ = static_cast<std::size_t>(at - buffer_);
  keep_alive_ = keeps;
  remember_head();
  begin_request();
  return true;
}

}  // namespace morgana::http
