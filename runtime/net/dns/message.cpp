#include "morgana/net/dns/message.hpp"

#include <array>
#include <cstring>

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::dns {
namespace {

using wire::parse_error;

constexpr std::uint16_t flag_response = 0x8000, flag_authoritative = 0x0400, flag_truncated = 0x0200,
                        flag_recursion_desired = 0x0100, flag_recursion_available = 0x0080;
/// A question's type and class; a record's type, class, TTL and length.
constexpr std::size_t question_bytes = 4, record_bytes = 10;

}  // namespace

void header::emit(std::span<std::byte> into) const {
  auto flags = static_cast<std::uint16_t>((opcode & 15u) << 11 | (static_cast<unsigned>(code) & 15u));
  if (is_response) flags |= flag_response;
  if (is_authoritative) flags |= flag_authoritative;
  if (is_truncated) flags |= flag_truncated;
  if (recursion_desired) flags |= flag_recursion_desired;
  if (recursion_available) flags |= flag_recursion_available;
  wire::store16(into, 0, id);
  wire::store16(into, 2, flags);
  wire::store16(into, 4, questions);
  wire::store16(into, 6, answers);
  wire::store16(into, 8, authorities);
  wire::store16(into, 10, additionals);
}

wire::parsed<header> header::parse(std::span<std::byte const> message) {
  if (message.size() < size_bytes) return std::unexpected(parse_error::too_short);
  auto const flags = wire::load16(message, 2);
  header read;
  read.id = wire::load16(message, 0);
  read.is_response = (flags & flag_response) != 0;
  read.opcode = static_cast<std::uint8_t>(flags >> 11 & 15);
  read.is_authoritative = (flags & flag_authoritative) != 0;
  read.is_truncated = (flags & flag_truncated) != 0;
  read.recursion_desired = (flags & flag_recursion_desired) != 0;
  read.recursion_available = (flags & flag_recursion_available) != 0;
  read.code = static_cast<response_code>(flags & 15);
  read.questions = wire::load16(message, 4);
  read.answers = wire::load16(message, 6);
  read.authorities = wire::load16(message, 8);
  read.additionals = wire::load16(message, 10);
  return read;
}

// ---- reading -----------------------------------------------------------------------------------------

wire::parsed<message_reader> message_reader::open(std::span<std::byte const> message) {
  message_reader made(message);
  auto const head = header::parse(message);
  if (!head) return std::unexpected(head.error());
  made.header_ = *head;
  return made;
}

std::optional<question> message_reader::next_question() {
  if (failure_ || questions_read_ == header_.questions) return std::nullopt;
  auto const asked = name::read(message_, at_);
  if (!asked || at_ + question_bytes > message_.size()) {
    failure_ = asked ? parse_error::too_short : asked.error();
    return std::nullopt;
  }
  ++questions_read_;
  question const one{*asked, static_cast<record_type>(wire::load16(message_, at_)),
                     wire::load16(message_, at_ + 2)};
  at_ += question_bytes;
  return one;
}

std::optional<record> message_reader::next_record() {
  while (questions_read_ != header_.questions && next_question()) {
  }
  auto const all = std::uint32_t{header_.answers} + header_.authorities + header_.additionals;
  if (failure_ || records_read_ == all) return std::nullopt;
  auto const owner = name::read(message_, at_);
  if (!owner || at_ + record_bytes > message_.size()) {
    failure_ = owner ? parse_error::too_short : owner.error();
    return std::nullopt;
  }
  record one;
  one.owner = *owner;
  one.type = static_cast<record_type>(wire::load16(message_, at_));
  one.in_class = wire::load16(message_, at_ + 2);
  one.ttl_s = wire::load32(message_, at_ + 4);
  auto const length = wire::load16(message_, at_ + 8);
  at_ += record_bytes;
  if (at_ + length > message_.size()) {
    failure_ = parse_error::too_short;
    return std::nullopt;
  }
  one.data_offset = at_;
  one.data = message_.subspan(at_, length);
  at_ += length;
  one.section = records_read_ < header_.answers                                        ? section::answer
                : records_read_ < std::uint32_t{header_.answers} + header_.authorities ? section::authority
                                                                                       : section::additional;
  ++records_read_;
  return one;
}

std::optional<ip_address> message_reader::address_of(record const& one) {
  if (one.type == record_type::a && one.data.size() == 4) {
    return ip_address(ipv4_address{wire::load_array<4>(one.data, 0)});
  }
  if (one.type == record_type::aaaa && one.data.size() == 16) {
    return ip_address(ipv6_address{wire::load_array<16>(one.data, 0)});
  }
  return std::nullopt;
}

std::optional<name> message_reader::name_of(record const& one) const {
  auto at = one.data_offset;
  auto const read = name::read(message_, at);
  if (!read || at != one.data_offset + one.data.size()) return std::nullopt;
  return *read;
}

std::optional<start_of_authority> message_reader::authority_of(record const& one) const {
  constexpr std::size_t numbers_bytes = 20;  // RFC 1035 3.3.13: serial, refresh, retry, expire, minimum
  if (one.type != record_type::soa) return std::nullopt;
  auto at = one.data_offset;
  auto const end = one.data_offset + one.data.size();
  if (!name::read(message_, at) || at > end || !name::read(message_, at) || at > end ||
      end - at != numbers_bytes) {
    return std::nullopt;
  }
  return start_of_authority{one.ttl_s, wire::load32(message_, end - 4)};
}

// ---- writing -----------------------------------------------------------------------------------------

message_writer::message_writer(std::span<std::byte> into, dns::header const& head)
    : into_(into), header_(head) {
  header_.questions = header_.answers = header_.authorities = header_.additionals = 0;
}

bool message_writer::put(std::span<std::byte const> bytes) {
  if (bytes.size() > into_.size() - size_) {
    is_full_ = true;
    return false;
  }
  if (!bytes.empty()) std::memcpy(into_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  return true;
}

bool message_writer::put_owner(name const& owner) {
  if (!asked_ || !(*asked_ == owner) || owner.is_root()) return put(owner.wire_bytes());
  std::array<std::byte, 2> const pointer{std::byte{0xc0}, std::byte{header::size_bytes}};
  return put(pointer);
}

void message_writer::add(question const& one) {
  auto const before = size_;
  std::array<std::byte, question_bytes> rest;
  wire::store16(rest, 0, static_cast<std::uint16_t>(one.type));
  wire::store16(rest, 2, one.in_class);
  if (!put(one.name.wire_bytes()) || !put(rest)) {
    size_ = before;
    return;
  }
  if (header_.questions++ == 0) asked_ = one.name;
}

void message_writer::add(name const& owner, record_type type, std::uint32_t ttl_s,
                         std::span<std::byte const> data, section where) {
  auto const before = size_;
  std::array<std::byte, record_bytes> head;
  wire::store16(head, 0, static_cast<std::uint16_t>(type));
  wire::store16(head, 2, class_internet);
  wire::store32(head, 4, ttl_s);
  wire::store16(head, 8, static_cast<std::uint16_t>(data.size()));
  if (!put_owner(owner) || !put(head) || !put(data)) {
    size_ = before;
    return;
  }
  ++(where == section::answer      ? header_.answers
     : where == section::authority ? header_.authorities
                                   : header_.additionals);
}

void message_writer::add(name const& owner, std::uint32_t ttl_s, ip_address const& address) {
  if (address.is_v4()) {
    auto const bytes = address.v4().bytes;
    add(owner, record_type::a, ttl_s, std::as_bytes(std::span(bytes)));
  } else {
    auto const bytes = address.v6().bytes;
    add(owner, record_type::aaaa, ttl_s, std::as_bytes(std::span(bytes)));
  }
}

void message_writer::add_alias(name const& owner, std::uint32_t ttl_s, name const& target) {
  add(owner, record_type::cname, ttl_s, target.wire_bytes());
}

void message_writer::add_authority(name const& zone, std::uint32_t ttl_s, std::uint32_t minimum_s) {
  // Both names are the zone: what else is in there concerns secondary servers only.
  std::array<std::byte, 2 * name::wire_bytes_max + 20> data{};
  auto const owner = zone.wire_bytes();
  std::memcpy(data.data(), owner.data(), owner.size());
  std::memcpy(data.data() + owner.size(), owner.data(), owner.size());
  auto const used = std::span(data).first(2 * owner.size() + 20);
  wire::store32(used, used.size() - 4, minimum_s);
  add(zone, record_type::soa, ttl_s, used, section::authority);
}

void message_writer::add_extension(std::uint16_t udp_bytes_max) {
  std::array<std::byte, 11> record{};
  wire::store16(record, 1, static_cast<std::uint16_t>(record_type::opt));
  wire::store16(record, 3, udp_bytes_max);
  if (put(record)) ++header_.additionals;
}

std::span<std::byte const> message_writer::finish() {
  header_.emit(into_);
  return into_.first(size_);
}

}  // namespace morgana::net::dns
