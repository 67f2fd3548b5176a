#include "morgana/net/dhcp/v4_server.hpp"

#include <algorithm>

#include "morgana/net/error.hpp"
#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::dhcp {
namespace {

constexpr ipv4_address no_address{};
constexpr ipv4_address everybody{{255, 255, 255, 255}};
constexpr duration probe_wait = 500ms;
/// Replies and probes that wait to be fetched; whoever drives the server fetches them after every call.
constexpr std::size_t waiting_max = 64;

std::uint32_t number(ipv4_address const& one) {
  return wire::load32(std::as_bytes(std::span(one.bytes)), 0);
}
ipv4_address address(std::uint32_t number) {
  ipv4_address made;
  wire::store32(std::as_writable_bytes(std::span(made.bytes)), 0, number);
  return made;
}

few<std::byte, v4_message::client_identifier_bytes_max> identity_of(v4_message const& in) {
  if (!in.client_identifier.empty()) return in.client_identifier;
  // RFC 2131 4.2: the hardware address, with its type.
  few<std::byte, v4_message::client_identifier_bytes_max> made{std::byte{1}};
  for (auto const one : in.hardware.bytes) (void)made.add(static_cast<std::byte>(one));
  return made;
}

ipv4_address mask_of(cidr const& subnet) {
  return address(subnet.prefix_bits == 0 ? 0 : ~std::uint32_t{0} << (32 - subnet.prefix_bits));
}

}  // namespace

result<void> v4_server_configuration::check(dhcp_limits const& limits) const {
  auto const of_subnet = [&](ipv4_address const& one) {
    auto const host = number(one) & ~number(mask_of(subnet));
    // The subnet's own and its broadcast address are nobody's.
    bool const is_special = subnet.prefix_bits < 31 && (host == 0 || host == ~number(mask_of(subnet)));
    return subnet.contains(one) && !is_special && one != address;
  };
  bool const possible =
      subnet.address.is_v4() && subnet.prefix_bits > 0 && subnet.contains(address) && of_subnet(last) &&
      subnet.contains(first) && number(first) <= number(last) &&
      std::ranges::all_of(reservations, [&](auto const& one) { return of_subnet(one.address); });
  if (!possible) return failure(net_error::invalid_address);
  if (number(last) - number(first) >= limits.leases) return failure(net_error::limit_reached, limits.leases);
  return {};
}

v4_server::v4_server(v4_server_configuration const& configuration, dhcp_limits const& limits,
                     siphash_key const& key)
    : configuration_(configuration), limits_(limits), key_(key) {
  taken_.resize(number(configuration_.last) - number(configuration_.first) + 1);
  replies_.reserve(4);
}

// ---- the table ---------------------------------------------------------------------------------------

bool v4_server::has_ended(lease const& one, instant now) const {
  return one.until <= now;
}

v4_server::lease* v4_server::of_client(identity const& client) {
  auto const found = std::ranges::find_if(
      leases_, [&](lease const& one) { return one.binding != binding::declined && one.client == client; });
  return found == leases_.end() ? nullptr : &*found;
}

v4_server::lease* v4_server::at_address(ipv4_address const& wanted) {
  auto const found = std::ranges::find(leases_, wanted, &lease::address);
  return found == leases_.end() ? nullptr : &*found;
}

std::optional<ipv4_address> v4_server::reserved_for(mac_address const& hardware) const {
  for (auto const& one : configuration_.reservations) {
    if (one.hardware == hardware) return one.address;
  }
  return std::nullopt;
}

bool v4_server::is_reserved(ipv4_address const& wanted) const {
  return std::ranges::any_of(configuration_.reservations,
                             [&](auto const& one) { return one.address == wanted; });
}

bool v4_server::in_pool(ipv4_address const& wanted) const {
  auto const host = number(wanted) & ~number(mask_of(configuration_.subnet));
  bool const is_special = configuration_.subnet.prefix_bits < 31 &&
                          (host == 0 || host == ~number(mask_of(configuration_.subnet)));
  return number(wanted) >= number(configuration_.first) && number(wanted) <= number(configuration_.last) &&
         wanted != configuration_.address && !is_special;
}

bool v4_server::is_free_for(ipv4_address const& wanted, v4_message const& in, identity const& client,
                            instant now) {
  if (reserved_for(in.hardware) != wanted && (!in_pool(wanted) || is_reserved(wanted))) return false;
  auto const* const holder = at_address(wanted);
  if (holder == nullptr || has_ended(*holder, now)) return true;
  return holder->binding == binding::released ||
         (holder->binding != binding::declined && holder->client == client);
}

std::optional<ipv4_address> v4_server::choose(v4_message const& in, identity const& client, instant now) {
  // RFC 2131 4.3.1: its own (here: reserved) one, its last one, the one it asks for, any.
  if (auto const reserved = reserved_for(in.hardware)) {
    if (is_free_for(*reserved, in, client, now)) return reserved;
  }
  if (auto const* const known = of_client(client)) {
    if (is_free_for(known->address, in, client, now)) return known->address;
  }
  if (in.requested_address && is_free_for(*in.requested_address, in, client, now))
    return in.requested_address;
  std::ranges::fill(taken_, std::uint8_t{0});
  auto const first = number(configuration_.first);
  auto const size = static_cast<std::uint32_t>(taken_.size());
  auto const take = [&](ipv4_address const& one, std::uint8_t how) {
    auto const place = number(one) - first;
    if (place < size) taken_[place] = std::max(taken_[place], how);
  };
  // 1: somebody's of before, who may come back; 2: not to be given.
  for (auto const& one : leases_) {
    take(one.address,
         has_ended(one, now) || one.binding == binding::released ? std::uint8_t{1} : std::uint8_t{2});
  }
  for (auto const& one : configuration_.reservations) take(one.address, 2);
  take(configuration_.address, 2);
  // The same client is likely to get the same address, even after a restart.
  auto const start = static_cast<std::uint32_t>(siphash(key_, client.all()) % size);
  for (int const most : {0, 1}) {
    for (std::uint32_t i = 0; i < size; ++i) {
      auto const one = address(first + (start + i) % size);
      if (taken_[(start + i) % size] <= most && in_pool(one)) return one;
    }
  }
  return std::nullopt;
}

v4_server::lease* v4_server::entry_for(v4_message const& in, identity const& client,
                                       ipv4_address const& wanted, instant now) {
  auto* entry = of_client(client);
  auto* const holder = at_address(wanted);
  // Free to be given, as the caller found: the entry changes hands, and what the client had before is no
  // more.
  if (holder != nullptr && entry != nullptr && holder != entry) {
    leases_.erase(leases_.begin() + (entry - leases_.data()));
    entry = at_address(wanted);
  } else if (holder != nullptr) {
    entry = holder;
  }
  if (entry == nullptr && leases_.size() < limits_.leases) entry = &leases_.emplace_back();
  if (entry == nullptr) {
    auto const oldest = std::ranges::min_element(leases_, {}, &lease::until);
    if (oldest == leases_.end() || !has_ended(*oldest, now)) {
      ++counters_.leases_limit;
      return nullptr;
    }
    entry = &*oldest;
  }
  entry->address = wanted;
  entry->hardware = in.hardware;
  entry->client = client;
  return entry;
}

// ---- in ----------------------------------------------------------------------------------------------

void v4_server::input(std::span<std::byte const> bytes, instant now) {
  auto const in = v4_message::parse(bytes);
  if (!in) return void(++counters_.malformed);
  if (in->is_reply) return void(++counters_.not_for_us);
  if (in->relay != no_address) return void(++counters_.relayed);
  if (now - second_began_ >= 1s) {
    second_began_ = now;
    this_second_ = 0;
  }
  if (this_second_++ >= limits_.requests_per_s) return void(++counters_.rate_limited);
  ++counters_.received;
  auto const client = identity_of(*in);
  switch (in->type) {
    case v4_type::discover:
      return discover(*in, now);
    case v4_type::request:
      return request(*in, now);
    case v4_type::decline: {
      auto* const known = of_client(client);
      if (in->server != configuration_.address || known == nullptr ||
          in->requested_address != known->address) {
        return void(++counters_.not_for_us);
      }
      ++counters_.declines;
      known->binding = binding::declined;
      known->until = after(now, limits_.declined_for);
      return;
    }
    case v4_type::release: {
      auto* const known = of_client(client);
      if (in->server != configuration_.address || known == nullptr || in->client != known->address) {
        return void(++counters_.not_for_us);
      }
      ++counters_.releases;
      known->binding = binding::released;
      return;
    }
    case v4_type::inform:
      if (in->client == no_address || !configuration_.subnet.contains(in->client))
        return void(++counters_.not_for_us);
      ++counters_.informs;
      return reply(*in, v4_type::ack, no_address);
    default:
      ++counters_.not_for_us;
  }
}

void v4_server::discover(v4_message const& in, instant now) {
  auto const client = identity_of(in);
  auto const chosen = choose(in, client, now);
  if (!chosen) return void(++counters_.pool_empty);
  auto const* const known = of_client(client);
  bool const is_theirs = known != nullptr && known->address == *chosen && known->binding != binding::probing;
  auto* const entry = entry_for(in, client, *chosen, now);
  if (entry == nullptr) return;
  if (is_theirs && entry->binding == binding::bound && !has_ended(*entry, now)) {
    // A client that lost its memory; what it holds stays as long as it was to.
  } else {
    entry->binding = binding::offered;
    entry->until = after(now, limits_.offer_held);
  }
  if (!configuration_.probe_addresses || is_theirs) {
    ++counters_.offers;
    return reply(in, v4_type::offer, *chosen);
  }
  if (offers_.size() >= waiting_max) return;
  entry->binding = binding::probing;
  std::erase_if(offers_, [&](auto const& one) { return one.address == *chosen; });
  offers_.push_back({in, *chosen, after(now, probe_wait)});
  probes_.push_back(*chosen);
}

void v4_server::request(v4_message const& in, instant now) {
  auto const client = identity_of(in);
  auto const refuse = [&] {
    ++counters_.refusals;
    reply(in, v4_type::nak, no_address);
  };
  auto* const known = of_client(client);
  if (in.server && *in.server != configuration_.address) {
    // RFC 2131 3.1 4: another server was chosen, ours is not held any longer.
    ++counters_.not_for_us;
    if (known != nullptr && known->binding != binding::bound) known->binding = binding::released;
    return;
  }
  auto const wanted = in.requested_address ? *in.requested_address : in.client;
  if (wanted == no_address) return void(++counters_.not_for_us);
  if (in.server) {
    // It chose our offer: that one, and no other.
    bool const is_offered = known != nullptr && known->address == wanted &&
                            known->binding != binding::released && known->binding != binding::probing &&
                            !has_ended(*known, now);
    if (!is_offered) return refuse();
  } else {
    // INIT-REBOOT, RENEWING or REBINDING (RFC 2131 4.3.2).
    if (!configuration_.subnet.contains(wanted)) return refuse();
    if (known != nullptr && known->address != wanted && !has_ended(*known, now)) return refuse();
    if (!is_free_for(wanted, in, client, now)) return refuse();
  }
  auto* const entry = entry_for(in, client, wanted, now);
  if (entry == nullptr) return;
  entry->binding = binding::bound;
  entry->until = after(now, configuration_.lease_length);
  ++counters_.acknowledgments;
  reply(in, v4_type::ack, wanted);
}

// ---- out ---------------------------------------------------------------------------------------------

void v4_server::reply(v4_message const& in, v4_type type, ipv4_address const& given) {
  if (replies_.size() >= waiting_max) return;
  v4_message made;
  made.is_reply = true;
  made.type = type;
  made.transaction = in.transaction;
  made.wants_broadcast = in.wants_broadcast;
  made.hardware = in.hardware;
  made.server = configuration_.address;
  made.client_identifier = in.client_identifier;  // RFC 6842
  endpoint to{ip_address(everybody), v4_client_port};
  if (type != v4_type::nak) {
    made.yours = given;
    made.client = type == v4_type::ack ? in.client : no_address;
    if (given != no_address) {
      auto const length =
          std::chrono::duration_cast<std::chrono::seconds>(configuration_.lease_length).count();
      made.lease_s = static_cast<std::uint32_t>(std::min<std::int64_t>(length, infinite_s));
      if (made.lease_s != infinite_s) {
        made.renewal_s = *made.lease_s / 2;
        made.rebinding_s = static_cast<std::uint32_t>(std::uint64_t{*made.lease_s} * 7 / 8);
      }
    }
    made.subnet_mask = mask_of(configuration_.subnet);
    made.routers = configuration_.routers;
    made.routes = configuration_.routes;
    made.name_servers = configuration_.name_servers;
    made.time_servers = configuration_.time_servers;
    made.mtu_bytes = configuration_.mtu_bytes;
    made.domain = configuration_.domain;
    // RFC 2131 4.1: to its address when it has one. A frame to an address that it has not yet would need the
    // link's help, so that one without hears it as a broadcast.
    if (in.client != no_address) to.address = in.client;
  }
  replies_.push_back({made, to});
}

std::optional<v4_server::transmission> v4_server::poll_transmit(instant) {
  if (replies_.empty()) return std::nullopt;
  auto const one = replies_.front();
  replies_.erase(replies_.begin());
  return transmission{one.to, one.message.emit(message_)};
}

std::optional<ipv4_address> v4_server::poll_probe() {
  if (probes_.empty()) return std::nullopt;
  auto const one = probes_.front();
  probes_.erase(probes_.begin());
  return one;
}

void v4_server::probed(ipv4_address wanted, bool is_in_use, instant now) {
  auto const offer = std::ranges::find(offers_, wanted, &waiting_offer::address);
  if (offer == offers_.end()) return;
  auto const question = offer->question;
  offers_.erase(offer);
  auto* const entry = at_address(wanted);
  if (entry == nullptr || entry->binding != binding::probing) return;
  if (is_in_use) {
    ++counters_.conflicts;
    entry->binding = binding::declined;
    entry->until = after(now, limits_.declined_for);
    return discover(question, now);
  }
  entry->binding = binding::offered;
  ++counters_.offers;
  reply(question, v4_type::offer, wanted);
}

instant v4_server::next_deadline() const {
  auto next = never;
  for (auto const& one : offers_) next = std::min(next, one.until);
  return next;
}

void v4_server::on_deadline(instant now) {
  // Silence: nobody has it.
  for (;;) {
    auto const due = std::ranges::find_if(offers_, [&](auto const& one) { return one.until <= now; });
    if (due == offers_.end()) return;
    probed(due->address, false, now);
  }
}

}  // namespace morgana::net::dhcp
