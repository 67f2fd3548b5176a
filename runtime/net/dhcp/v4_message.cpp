#include "morgana/net/dhcp/v4_message.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::dhcp {
namespace {

using wire::parse_error;

constexpr std::uint32_t magic_cookie = 0x6382'5363;
constexpr std::uint8_t ethernet = 1;
constexpr std::uint16_t flag_broadcast = 0x8000;
// RFC 2131 figure 1.
constexpr std::size_t place_hardware = 28, place_server_name = 44, place_file = 108, place_cookie = 236;
constexpr std::size_t server_name_bytes = 64, file_bytes = 128;

enum option : std::uint8_t {
  option_pad = 0,
  option_subnet_mask = 1,
  option_routers = 3,
  option_name_servers = 6,
  option_host_name = 12,
  option_domain = 15,
  option_mtu = 26,
  option_time_servers = 42,
  option_requested_address = 50,
  option_lease = 51,
  option_overload = 52,
  option_type = 53,
  option_server = 54,
  option_requested_options = 55,
  option_message_bytes_max = 57,
  option_renewal = 58,
  option_rebinding = 59,
  option_client_identifier = 61,
  option_routes = 121,
  option_end = 255,
};

// ---- writing -----------------------------------------------------------------------------------------

class option_writer {
 public:
  explicit option_writer(std::span<std::byte> into) : into_(into) {}
  void put(std::uint8_t code, std::span<std::byte const> value) {
    // Room for the end is kept; what a client or server of ours has to say always fits.
    if (used_ + 2 + value.size() + 1 > into_.size() || value.size() > 255) return;
    wire::store8(into_, used_, code);
    wire::store8(into_, used_ + 1, static_cast<std::uint8_t>(value.size()));
    if (!value.empty()) std::memcpy(into_.data() + used_ + 2, value.data(), value.size());
    used_ += 2 + value.size();
  }
  void put8(std::uint8_t code, std::uint8_t value) { put(code, std::as_bytes(std::span(&value, 1))); }
  void put16(std::uint8_t code, std::optional<std::uint16_t> const& value) {
    std::array<std::byte, 2> bytes;
    if (!value) return;
    wire::store16(bytes, 0, *value);
    put(code, bytes);
  }
  void put32(std::uint8_t code, std::optional<std::uint32_t> const& value) {
    std::array<std::byte, 4> bytes;
    if (!value) return;
    wire::store32(bytes, 0, *value);
    put(code, bytes);
  }
  void put(std::uint8_t code, std::optional<ipv4_address> const& value) {
    if (value) put(code, std::as_bytes(std::span(value->bytes)));
  }
  void put(std::uint8_t code, std::span<ipv4_address const> values) {
    if (!values.empty()) put(code, std::as_bytes(values));
  }
  void put(std::uint8_t code, short_text const& text) {
    if (!text.empty()) put(code, std::as_bytes(text.all()));
  }
  std::size_t finish() {
    wire::store8(into_, used_, option_end);
    return used_ + 1;
  }

 private:
  std::span<std::byte> into_;
  std::size_t used_ = 0;
};
static_assert(sizeof(ipv4_address) == 4);

/// RFC 3442: prefix length, the bytes of the destination that it covers, the router.
std::size_t encode(std::span<v4_route const> routes, std::span<std::byte> into) {
  std::size_t used = 0;
  for (auto const& one : routes) {
    std::size_t const significant = (one.prefix_bits + 7u) / 8;
    wire::store8(into, used++, one.prefix_bits);
    std::memcpy(into.data() + used, one.destination.bytes.data(), significant);
    wire::store_array(into, used + significant, one.gateway.bytes);
    used += significant + 4;
  }
  return used;
}

// ---- reading -----------------------------------------------------------------------------------------

/// The fields of a message that hold options.
struct option_fields {
  std::array<std::span<std::byte const>, 3> all;
  std::size_t count = 1;
};

/// Calls `visit(code, value)` for each option of one field; false when one runs past it. RFC 2132 3.2: what
/// follows the end is nothing. A field may also end without it.
template <class Visit>
bool each_option(std::span<std::byte const> field, Visit visit) {
  for (std::size_t at = 0; at < field.size();) {
    auto const code = wire::load8(field, at);
    if (code == option_end) return true;
    if (code == option_pad) {
      ++at;
      continue;
    }
    if (at + 2 > field.size()) return false;
    auto const length = wire::load8(field, at + 1);
    if (at + 2 + length > field.size()) return false;
    visit(code, field.subspan(at + 2, length));
    at += std::size_t{2} + length;
  }
  return true;
}

/// All parts of one option, in order (RFC 3396 5); nothing when it is not there.
class joined_option {
 public:
  joined_option(option_fields const& fields, std::uint8_t wanted) {
    for (auto const& field : std::span(fields.all).first(fields.count)) {
      (void)each_option(field, [&](std::uint8_t code, std::span<std::byte const> part) {
        if (code != wanted) return;
        is_there_ = true;
        auto const room = std::min(part.size(), bytes_.size() - size_);
        if (room != 0) std::memcpy(bytes_.data() + size_, part.data(), room);
        size_ += room;
      });
    }
  }
  [[nodiscard]] bool is_there() const { return is_there_; }
  [[nodiscard]] std::span<std::byte const> bytes() const { return std::span(bytes_).first(size_); }

 private:
  std::array<std::byte, 512> bytes_;
  std::size_t size_ = 0;
  bool is_there_ = false;
};

class option_reader {
 public:
  explicit option_reader(option_fields const& fields) : fields_(fields) {}
  [[nodiscard]] bool is_wrong() const { return is_wrong_; }

  void read(std::uint8_t code, std::optional<std::uint8_t>& into) {
    if (auto const one = sized(code, 1)) into = wire::load8(one->bytes(), 0);
  }
  void read(std::uint8_t code, std::optional<std::uint16_t>& into) {
    if (auto const one = sized(code, 2)) into = wire::load16(one->bytes(), 0);
  }
  void read(std::uint8_t code, std::optional<std::uint32_t>& into) {
    if (auto const one = sized(code, 4)) into = wire::load32(one->bytes(), 0);
  }
  void read(std::uint8_t code, std::optional<ipv4_address>& into) {
    if (auto const one = sized(code, 4)) into = ipv4_address{wire::load_array<4>(one->bytes(), 0)};
  }
  void read(std::uint8_t code, few<ipv4_address, v4_message::addresses_max>& into) {
    joined_option const one(fields_, code);
    if (!one.is_there()) return;
    if (one.bytes().empty() || one.bytes().size() % 4 != 0) is_wrong_ = true;
    for (std::size_t at = 0; at + 4 <= one.bytes().size(); at += 4) {
      (void)into.add(ipv4_address{wire::load_array<4>(one.bytes(), at)});
    }
  }
  /// Texts of the past end in a zero (RFC 2132 2).
  void read(std::uint8_t code, short_text& into) {
    joined_option const one(fields_, code);
    for (auto const letter : one.bytes()) {
      if (letter == std::byte{0}) return;
      (void)into.add(static_cast<char>(letter));
    }
  }
  template <class T, std::size_t Max>
  void read_bytes(std::uint8_t code, few<T, Max>& into) {
    joined_option const one(fields_, code);
    for (auto const byte : one.bytes()) (void)into.add(static_cast<T>(byte));
  }
  void read(std::uint8_t code, few<v4_route, v4_message::routes_max>& into) {
    joined_option const one(fields_, code);
    auto const all = one.bytes();
    for (std::size_t at = 0; at < all.size();) {
      auto const bits = wire::load8(all, at);
      std::size_t const significant = (bits + 7u) / 8;
      if (bits > 32 || at + 1 + significant + 4 > all.size()) {
        is_wrong_ = true;
        return;
      }
      v4_route route;
      route.prefix_bits = bits;
      std::memcpy(route.destination.bytes.data(), all.data() + at + 1, significant);
      route.gateway = {wire::load_array<4>(all, at + 1 + significant)};
      (void)into.add(route);
      at += 1 + significant + 4;
    }
  }

 private:
  std::optional<joined_option> sized(std::uint8_t code, std::size_t bytes) {
    joined_option one(fields_, code);
    if (!one.is_there()) return std::nullopt;
    if (one.bytes().size() == bytes) return one;
    is_wrong_ = true;
    return std::nullopt;
  }
  option_fields const& fields_;
  bool is_wrong_ = false;
};

}  // namespace

std::span<std::byte const> v4_message::emit(std::span<std::byte> into) const {
  auto const whole = into.first(bytes_max);
  std::ranges::fill(whole, std::byte{0});
  wire::store8(whole, 0, is_reply ? 2 : 1);
  wire::store8(whole, 1, ethernet);
  wire::store8(whole, 2, 6);
  wire::store32(whole, 4, transaction);
  wire::store16(whole, 8, elapsed_s);
  wire::store16(whole, 10, wants_broadcast ? flag_broadcast : 0);
  wire::store_array(whole, 12, client.bytes);
  wire::store_array(whole, 16, yours.bytes);
  wire::store_array(whole, 24, relay.bytes);
  wire::store_array(whole, place_hardware, hardware.bytes);
  wire::store32(whole, place_cookie, magic_cookie);
  option_writer out(whole.subspan(fixed_bytes));
  out.put8(option_type, static_cast<std::uint8_t>(type));
  out.put(option_client_identifier, client_identifier.all());
  out.put(option_server, server);
  out.put(option_requested_address, requested_address);
  out.put32(option_lease, lease_s);
  out.put32(option_renewal, renewal_s);
  out.put32(option_rebinding, rebinding_s);
  out.put(option_subnet_mask, subnet_mask);
  // RFC 3442: before the routers, for those who read in order.
  std::array<std::byte, routes_max * 9> encoded;
  if (auto const size = encode(routes.all(), encoded); size != 0)
    out.put(option_routes, std::span(encoded).first(size));
  out.put(option_routers, routers.all());
  out.put(option_name_servers, name_servers.all());
  out.put(option_domain, domain);
  out.put(option_host_name, host_name);
  out.put16(option_mtu, mtu_bytes);
  out.put(option_time_servers, time_servers.all());
  out.put16(option_message_bytes_max, message_bytes_max);
  if (!requested_options.empty()) out.put(option_requested_options, std::as_bytes(requested_options.all()));
  return whole.first(std::max(bytes_min, fixed_bytes + out.finish()));
}

wire::parsed<v4_message> v4_message::parse(std::span<std::byte const> message) {
  if (message.size() < fixed_bytes) return std::unexpected(parse_error::too_short);
  auto const operation = wire::load8(message, 0);
  bool const is_ours = (operation == 1 || operation == 2) && wire::load8(message, 1) == ethernet &&
                       wire::load8(message, 2) == 6 && wire::load32(message, place_cookie) == magic_cookie;
  if (!is_ours) return std::unexpected(parse_error::unsupported);
  v4_message read;
  read.is_reply = operation == 2;
  read.transaction = wire::load32(message, 4);
  read.elapsed_s = wire::load16(message, 8);
  read.wants_broadcast = (wire::load16(message, 10) & flag_broadcast) != 0;
  read.client = {wire::load_array<4>(message, 12)};
  read.yours = {wire::load_array<4>(message, 16)};
  read.relay = {wire::load_array<4>(message, 24)};
  read.hardware = {wire::load_array<6>(message, place_hardware)};

  option_fields fields;
  fields.all[0] = message.subspan(fixed_bytes);
  std::uint8_t overload = 0;
  auto const find_overload = [&](std::uint8_t code, std::span<std::byte const> value) {
    if (code == option_overload && value.size() == 1) overload = static_cast<std::uint8_t>(value[0]);
  };
  if (!each_option(fields.all[0], find_overload)) return std::unexpected(parse_error::wrong_option);
  // RFC 2132 9.3, in the order of RFC 3396 5.
  if ((overload & 1) != 0) fields.all[fields.count++] = message.subspan(place_file, file_bytes);
  if ((overload & 2) != 0) fields.all[fields.count++] = message.subspan(place_server_name, server_name_bytes);
  for (auto const& field : std::span(fields.all).subspan(1, fields.count - 1)) {
    if (!each_option(field, [](std::uint8_t, std::span<std::byte const>) {})) {
      return std::unexpected(parse_error::wrong_option);
    }
  }

  option_reader options(fields);
  std::optional<std::uint8_t> kind;
  options.read(option_type, kind);
  options.read(option_subnet_mask, read.subnet_mask);
  options.read(option_routers, read.routers);
  options.read(option_name_servers, read.name_servers);
  options.read(option_host_name, read.host_name);
  options.read(option_domain, read.domain);
  options.read(option_mtu, read.mtu_bytes);
  options.read(option_time_servers, read.time_servers);
  options.read(option_requested_address, read.requested_address);
  options.read(option_lease, read.lease_s);
  options.read(option_server, read.server);
  options.read_bytes(option_requested_options, read.requested_options);
  options.read(option_message_bytes_max, read.message_bytes_max);
  options.read(option_renewal, read.renewal_s);
  options.read(option_rebinding, read.rebinding_s);
  options.read_bytes(option_client_identifier, read.client_identifier);
  options.read(option_routes, read.routes);
  if (options.is_wrong()) return std::unexpected(parse_error::wrong_option);
  if (!kind || *kind < 1 || *kind > 8) return std::unexpected(parse_error::unsupported);
  read.type = static_cast<v4_type>(*kind);
  return read;
}

few<std::byte, v4_message::client_identifier_bytes_max> client_identifier_of(mac_address const& link) {
  few<std::byte, v4_message::client_identifier_bytes_max> made;
  (void)made.add(std::byte{255});
  // The IAID tells the interfaces of one client apart; the address' last bytes do.
  for (std::size_t i = 2; i < 6; ++i) (void)made.add(static_cast<std::byte>(link.bytes[i]));
  // DUID-LL: type 3, hardware type 1.
  for (auto const one : {0, 3, 0, 1}) (void)made.add(static_cast<std::byte>(one));
  for (auto const one : link.bytes) (void)made.add(static_cast<std::byte>(one));
  return made;
}

}  // namespace morgana::net::dhcp
