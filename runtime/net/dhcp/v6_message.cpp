#include "morgana/net/dhcp/v6_message.hpp"

#include <array>
#include <cstring>

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::dhcp {
namespace {

using wire::parse_error;

enum option : std::uint16_t {
  option_client = 1,
  option_server = 2,
  option_association = 3,
  option_address = 5,
  option_requested = 6,
  option_preference = 7,
  option_elapsed = 8,
  option_status = 13,
  option_rapid_commit = 14,
  option_name_servers = 23,
  option_refresh = 32,
  option_solicit_retry_max = 82,
  option_inform_retry_max = 83,
};

constexpr std::size_t option_head_bytes = 4;
constexpr std::size_t association_bytes = 12;  // before its options: IAID, T1, T2
constexpr std::size_t address_bytes = 24;      // before its options: address and lifetimes

class option_writer {
 public:
  explicit option_writer(std::span<std::byte> into) : into_(into) {}
  /// Room for a value; empty when there is none.
  std::span<std::byte> put(std::uint16_t code, std::size_t size) {
    if (used_ + option_head_bytes + size > into_.size()) return {};
    wire::store16(into_, used_, code);
    wire::store16(into_, used_ + 2, static_cast<std::uint16_t>(size));
    auto const value = into_.subspan(used_ + option_head_bytes, size);
    used_ += option_head_bytes + size;
    return value;
  }
  void put(std::uint16_t code, std::span<std::byte const> bytes) {
    if (bytes.empty()) return;
    if (auto const value = put(code, bytes.size()); !value.empty()) {
      std::memcpy(value.data(), bytes.data(), bytes.size());
    }
  }
  void put32(std::uint16_t code, std::optional<std::uint32_t> const& number) {
    if (!number) return;
    if (auto const value = put(code, 4); !value.empty()) wire::store32(value, 0, *number);
  }
  void put_status(v6_status status) {
    if (status == v6_status::success) return;
    if (auto const value = put(option_status, 2); !value.empty()) {
      wire::store16(value, 0, static_cast<std::uint16_t>(status));
    }
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::span<std::byte> into_;
  std::size_t used_ = 0;
};

/// Calls `visit(code, value)` for each option; false when one runs past the end or `visit` says no.
template <class Visit>
bool each_option(std::span<std::byte const> options, Visit visit) {
  while (!options.empty()) {
    if (options.size() < option_head_bytes) return false;
    auto const code = wire::load16(options, 0);
    std::size_t const size = wire::load16(options, 2);
    if (size > options.size() - option_head_bytes) return false;
    if (!visit(code, options.subspan(option_head_bytes, size))) return false;
    options = options.subspan(option_head_bytes + size);
  }
  return true;
}

bool read_status(std::span<std::byte const> value, v6_status& into) {
  if (value.size() < 2) return false;
  into = static_cast<v6_status>(wire::load16(value, 0));
  return true;
}

bool read_address(std::span<std::byte const> value, v6_address& into) {
  if (value.size() < address_bytes) return false;
  into.address = {wire::load_array<16>(value, 0)};
  into.preferred_s = wire::load32(value, 16);
  into.valid_s = wire::load32(value, 20);
  return each_option(value.subspan(address_bytes), [&](std::uint16_t code, std::span<std::byte const> inner) {
    return code != option_status || read_status(inner, into.status);
  });
}

bool read_association(std::span<std::byte const> value, v6_association& into) {
  if (value.size() < association_bytes) return false;
  into.id = wire::load32(value, 0);
  into.renewal_s = wire::load32(value, 4);
  into.rebinding_s = wire::load32(value, 8);
  return each_option(value.subspan(association_bytes),
                     [&](std::uint16_t code, std::span<std::byte const> inner) {
                       if (code == option_status) return read_status(inner, into.status);
                       if (code != option_address) return true;
                       v6_address one;
                       if (!read_address(inner, one)) return false;
                       (void)into.addresses.add(one);
                       return true;
                     });
}

bool read_identifier(std::span<std::byte const> value, v6_identifier& into) {
  // RFC 8415 11.1: a type and at least one byte, at most 128.
  if (value.size() < 3 || value.size() > 130) return false;
  into.assign(value);
  return true;
}

bool read32(std::span<std::byte const> value, std::optional<std::uint32_t>& into) {
  if (value.size() != 4) return false;
  into = wire::load32(value, 0);
  return true;
}

bool read_option(v6_message& into, std::uint16_t code, std::span<std::byte const> value) {
  switch (code) {
    case option_client:
      return read_identifier(value, into.client);
    case option_server:
      return read_identifier(value, into.server);
    case option_association: {
      v6_association one;
      if (!read_association(value, one)) return false;
      if (!into.association) into.association = one;
      return true;
    }
    case option_requested:
      if (value.size() % 2 != 0) return false;
      for (std::size_t at = 0; at < value.size(); at += 2)
        (void)into.requested_options.add(wire::load16(value, at));
      return true;
    case option_preference:
      if (value.size() != 1) return false;
      into.preference = wire::load8(value, 0);
      return true;
    case option_elapsed:
      if (value.size() != 2) return false;
      into.elapsed_10ms = wire::load16(value, 0);
      return true;
    case option_status:
      return read_status(value, into.status);
    case option_rapid_commit:
      into.rapid_commit = true;
      return value.empty();
    case option_name_servers:
      if (value.size() % 16 != 0) return false;
      for (std::size_t at = 0; at < value.size(); at += 16) {
        (void)into.name_servers.add(ipv6_address{wire::load_array<16>(value, at)});
      }
      return true;
    case option_refresh:
      return read32(value, into.refresh_s);
    case option_solicit_retry_max:
      return read32(value, into.solicit_retry_max_s);
    case option_inform_retry_max:
      return read32(value, into.inform_retry_max_s);
    default:
      return true;
  }
}

}  // namespace

std::span<std::byte const> v6_message::emit(std::span<std::byte> into) const {
  auto const whole = into.first(bytes_max);
  wire::store32(whole, 0, static_cast<std::uint32_t>(type) << 24 | (transaction & 0xff'ffffu));
  option_writer out(whole.subspan(fixed_bytes));
  out.put(option_client, client.all());
  out.put(option_server, server.all());
  if (elapsed_10ms) {
    if (auto const value = out.put(option_elapsed, 2); !value.empty()) wire::store16(value, 0, *elapsed_10ms);
  }
  if (preference) out.put(option_preference, std::as_bytes(std::span(&*preference, 1)));
  if (association) {
    // Written aside, for its length comes before it.
    std::array<std::byte, association_bytes + v6_association::addresses_max * 40 + 8> bytes;
    wire::store32(bytes, 0, association->id);
    wire::store32(bytes, 4, association->renewal_s);
    wire::store32(bytes, 8, association->rebinding_s);
    option_writer inner(std::span(bytes).subspan(association_bytes));
    for (auto const& one : association->addresses) {
      std::size_t const status_bytes = one.status == v6_status::success ? 0 : option_head_bytes + 2;
      auto const value = inner.put(option_address, address_bytes + status_bytes);
      if (value.empty()) break;
      wire::store_array(value, 0, one.address.bytes);
      wire::store32(value, 16, one.preferred_s);
      wire::store32(value, 20, one.valid_s);
      option_writer(value.subspan(address_bytes)).put_status(one.status);
    }
    inner.put_status(association->status);
    out.put(option_association, std::span(bytes).first(association_bytes + inner.used()));
  }
  if (!requested_options.empty()) {
    auto const value = out.put(option_requested, requested_options.size() * 2);
    for (std::size_t i = 0; i * 2 < value.size(); ++i) wire::store16(value, i * 2, requested_options[i]);
  }
  out.put_status(status);
  if (rapid_commit) (void)out.put(option_rapid_commit, 0);
  static_assert(sizeof(ipv6_address) == 16);
  out.put(option_name_servers, std::as_bytes(name_servers.all()));
  out.put32(option_refresh, refresh_s);
  out.put32(option_solicit_retry_max, solicit_retry_max_s);
  out.put32(option_inform_retry_max, inform_retry_max_s);
  return whole.first(fixed_bytes + out.used());
}

wire::parsed<v6_message> v6_message::parse(std::span<std::byte const> message) {
  if (message.size() < fixed_bytes) return std::unexpected(parse_error::too_short);
  auto const kind = wire::load8(message, 0);
  if (kind < 1 || kind > 11) return std::unexpected(parse_error::unsupported);
  v6_message read;
  read.type = static_cast<v6_type>(kind);
  read.transaction = wire::load32(message, 0) & 0xff'ffffu;
  bool const is_right = each_option(
      message.subspan(fixed_bytes),
      [&](std::uint16_t code, std::span<std::byte const> value) { return read_option(read, code, value); });
  if (!is_right) return std::unexpected(parse_error::wrong_option);
  return read;
}

v6_identifier identifier_of(mac_address const& link) {
  v6_identifier made;
  for (auto const one : {0, 3, 0, 1}) (void)made.add(static_cast<std::byte>(one));
  for (auto const one : link.bytes) (void)made.add(static_cast<std::byte>(one));
  return made;
}

}  // namespace morgana::net::dhcp
