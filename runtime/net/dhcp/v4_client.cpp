#include "morgana/net/dhcp/v4_client.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::dhcp {
namespace {

constexpr ipv4_address everybody{{255, 255, 255, 255}};
constexpr duration retry_first = 4s;
constexpr std::uint32_t retry_doublings = 4;  // to 64 s
constexpr std::uint32_t requests_max = 4;     // then from the beginning, RFC 2131 3.1 5
constexpr duration after_decline = 10s;
constexpr duration renewal_retry_min = 60s;  // RFC 2131 4.4.5
constexpr duration after_refusal_first = 1s;
constexpr std::uint16_t message_bytes_accepted = 1'400;

/// What RFC 2131 4.4.1 has a client ask for: 121 before 3 (RFC 3442).
constexpr std::array<std::uint8_t, 9> wanted_options{1, 121, 3, 6, 15, 26, 42, 58, 59};

/// A mask's length; nothing when it has holes.
std::optional<std::uint8_t> prefix_of(ipv4_address const& mask) {
  auto const value = wire::load32(std::as_bytes(std::span(mask.bytes)), 0);
  auto const ones = std::countl_one(value);
  if (std::popcount(value) != ones) return std::nullopt;
  return static_cast<std::uint8_t>(ones);
}

bool is_host_address(ipv4_address const& one) {
  return one.bytes[0] != 0 && one.bytes[0] != 127 && one.bytes[0] < 224;
}

}  // namespace

v4_client::v4_client(v4_client_configuration const& configuration, dhcp_limits const& limits,
                     siphash_key const& key)
    : configuration_(configuration),
      limits_(limits),
      random_(key),
      identifier_(client_identifier_of(configuration.hardware)) {}

void v4_client::start(instant now) {
  farewell_.reset();
  if (!configuration_.previous) return begin(now);
  began_ = now;
  tries_ = 0;
  transaction_ = static_cast<std::uint32_t>(random_.next());
  state_ = v4_state::init_reboot;
  wants_to_send_ = true;
  schedule_retry(now);
}

void v4_client::begin(instant now) {
  began_ = now;
  tries_ = 0;
  transaction_ = static_cast<std::uint32_t>(random_.next());
  offer_.reset();
  state_ = v4_state::selecting;
  wants_to_send_ = true;
  schedule_retry(now);
}

void v4_client::wait_before_beginning(duration length, instant now) {
  state_ = v4_state::init;
  wants_to_send_ = false;
  due_ = after(now, length);
}

void v4_client::schedule_retry(instant now) {
  auto const jitter = std::chrono::milliseconds(random_.below(2'001)) - 1s;
  due_ = after(now, retry_first * (1 << std::min(tries_, retry_doublings)) + jitter);
  ++tries_;
}

void v4_client::lose() {
  if (!lease_) return;
  // What was never told need not be taken back.
  tell_lost_ = tell_lost_ || !tell_bound_;
  tell_bound_ = tell_renewed_ = false;
  lost_ = *lease_;
  lease_.reset();
}

// ---- in ----------------------------------------------------------------------------------------------

bool v4_client::is_mine(v4_message const& message) const {
  // RFC 6842: a server may repeat the identifier, ours then.
  return message.is_reply && message.transaction == transaction_ &&
         message.hardware == configuration_.hardware &&
         (message.client_identifier.empty() || message.client_identifier == identifier_);
}

void v4_client::input(std::span<std::byte const> bytes, instant now) {
  auto const message = v4_message::parse(bytes);
  if (!message) return void(++counters_.malformed);
  bool const listens = state_ != v4_state::off && state_ != v4_state::init && state_ != v4_state::bound;
  if (!listens || !is_mine(*message)) return void(++counters_.not_for_us);
  ++counters_.received;
  if (state_ == v4_state::selecting) {
    if (message->type == v4_type::offer) take_offer(*message, now);
    return;
  }
  // RFC 2131 4.3.2: the one that was chosen, the one that gave the lease; anybody when all are asked.
  bool const chosen = state_ == v4_state::requesting ? message->server == offer_->server
                      : state_ == v4_state::renewing ? message->server == lease_->server
                                                     : true;
  if (!chosen) return void(++counters_.not_for_us);
  if (message->type == v4_type::ack) return take_acknowledgment(*message, now);
  if (message->type != v4_type::nak) return;
  ++counters_.refused;
  lose();
  configuration_.previous.reset();
  // RFC 2131 3.1 5: from the beginning. A server that refuses what it offered must not make a storm.
  if (refusals_++ == 0) return begin(now);
  wait_before_beginning(after_refusal_first * (1 << std::min(refusals_, 6u)), now);
}

void v4_client::take_offer(v4_message const& offer, instant now) {
  if (!is_host_address(offer.yours) || !offer.server || !offer.lease_s || *offer.lease_s == 0) {
    return void(++counters_.unusable);
  }
  // The first is as good as any: who has several servers on a link has them for the case that one does not
  // answer.
  offer_ = offer;
  state_ = v4_state::requesting;
  tries_ = 0;
  wants_to_send_ = true;
  schedule_retry(now);
}

void v4_client::take_acknowledgment(v4_message const& ack, instant now) {
  auto const prefix = ack.subnet_mask ? prefix_of(*ack.subnet_mask) : std::uint8_t{32};
  if (!is_host_address(ack.yours) || !ack.server || !ack.lease_s || *ack.lease_s == 0 || !prefix ||
      *prefix == 0) {
    return void(++counters_.unusable);
  }
  cidr const given{ip_address(ack.yours), *prefix};
  bool const is_renewal = lease_ && lease_->address == given;
  if (lease_ && !is_renewal) lose();
  v4_lease made;
  made.address = given;
  made.server = *ack.server;
  made.routes = ack.routes;
  // RFC 3442: with classless routes the router option is ignored.
  if (ack.routes.empty()) made.routers = ack.routers;
  made.name_servers = ack.name_servers;
  made.time_servers = ack.time_servers;
  if (ack.mtu_bytes && *ack.mtu_bytes >= 68) made.mtu_bytes = ack.mtu_bytes;  // RFC 2132 5.1
  made.domain = ack.domain;
  made.obtained = now;
  if (*ack.lease_s != infinite_s) {
    std::uint64_t const lease = *ack.lease_s;
    // RFC 2131 4.4.5, and only in the order that makes sense.
    auto t2 = std::uint64_t{ack.rebinding_s.value_or(static_cast<std::uint32_t>(lease * 7 / 8))};
    if (t2 >= lease) t2 = lease * 7 / 8;
    auto t1 = std::uint64_t{ack.renewal_s.value_or(static_cast<std::uint32_t>(lease / 2))};
    if (t1 >= t2) t1 = std::min(lease / 2, t2);
    made.renew_at = after(now, std::chrono::seconds(t1));
    made.rebind_at = after(now, std::chrono::seconds(t2));
    made.expires = after(now, std::chrono::seconds(lease));
  }
  lease_ = made;
  configuration_.previous = ack.yours;
  state_ = v4_state::bound;
  refusals_ = 0;
  wants_to_send_ = false;
  due_ = made.renew_at;
  if (is_renewal) {
    ++counters_.renewals;
    tell_renewed_ = !tell_bound_;
  } else {
    ++counters_.leases;
    tell_bound_ = true;
  }
}

void v4_client::conflict(instant now) {
  if (!lease_) return;
  ++counters_.declined;
  lose();
  configuration_.previous.reset();
  farewell_ = v4_type::decline;
  wait_before_beginning(after_decline, now);
}

void v4_client::release(instant) {
  if (lease_) {
    lose();
    farewell_ = v4_type::release;
  }
  state_ = v4_state::off;
  wants_to_send_ = false;
  due_ = never;
}

// ---- time --------------------------------------------------------------------------------------------

void v4_client::on_deadline(instant now) {
  if (now < due_) return;
  switch (state_) {
    case v4_state::off:
      due_ = never;
      return;
    case v4_state::init:
      return begin(now);
    case v4_state::selecting:
      wants_to_send_ = true;
      return schedule_retry(now);
    case v4_state::requesting:
    case v4_state::init_reboot:
      if (tries_ >= requests_max) {
        configuration_.previous.reset();
        return begin(now);
      }
      wants_to_send_ = true;
      return schedule_retry(now);
    case v4_state::bound:
    case v4_state::renewing:
    case v4_state::rebinding:
      break;
  }
  if (now >= lease_->expires) {
    ++counters_.expired;
    lose();
    return begin(now);
  }
  if (state_ == v4_state::bound) {
    began_ = now;
    transaction_ = static_cast<std::uint32_t>(random_.next());
  }
  // RFC 2131 4.4.5: again after half of what is left, but not more often than once a minute.
  bool const rebinds = now >= lease_->rebind_at;
  state_ = rebinds ? v4_state::rebinding : v4_state::renewing;
  auto const end = rebinds ? lease_->expires : lease_->rebind_at;
  due_ = std::min(end, after(now, std::max(renewal_retry_min, (end - now) / 2)));
  wants_to_send_ = true;
}

// ---- out ---------------------------------------------------------------------------------------------

v4_message v4_client::prepare(v4_type type, instant now) const {
  v4_message made;
  made.type = type;
  made.transaction = transaction_;
  made.hardware = configuration_.hardware;
  made.client_identifier = identifier_;
  auto const elapsed = std::chrono::duration_cast<std::chrono::seconds>(now - began_).count();
  made.elapsed_s = static_cast<std::uint16_t>(std::min<std::int64_t>(elapsed, UINT16_MAX));
  if (type == v4_type::discover || type == v4_type::request) {
    made.requested_options.assign(wanted_options);
    made.message_bytes_max = message_bytes_accepted;
    made.host_name = configuration_.host_name;
  }
  return made;
}

std::optional<v4_client::transmission> v4_client::poll_transmit(instant now) {
  ip_address const all = everybody;
  if (farewell_) {
    auto made = prepare(*farewell_, now);
    made.transaction = static_cast<std::uint32_t>(random_.next());
    made.elapsed_s = 0;
    made.server = lost_.server;
    bool const declines = *farewell_ == v4_type::decline;
    farewell_.reset();
    // RFC 2131 table 5: a declined address is named in an option, for it is not the client's.
    if (declines) {
      made.requested_address = lost_.address.address.v4();
    } else {
      made.client = lost_.address.address.v4();
    }
    ++counters_.sent;
    return transmission{{declines ? all : ip_address(lost_.server), v4_server_port}, made.emit(message_)};
  }
  if (!wants_to_send_) return std::nullopt;
  wants_to_send_ = false;
  auto made = prepare(state_ == v4_state::selecting ? v4_type::discover : v4_type::request, now);
  auto to = all;
  switch (state_) {
    case v4_state::selecting:
      // Without an address only broadcasts are ours to receive.
      made.wants_broadcast = true;
      break;
    case v4_state::requesting:
      made.wants_broadcast = true;
      made.server = offer_->server;
      made.requested_address = offer_->yours;
      break;
    case v4_state::init_reboot:
      made.wants_broadcast = true;
      made.requested_address = configuration_.previous;
      break;
    case v4_state::renewing:
      to = lease_->server;
      [[fallthrough]];
    case v4_state::rebinding:
      made.client = lease_->address.address.v4();
      break;
    default:
      return std::nullopt;
  }
  ++counters_.sent;
  return transmission{{to, v4_server_port}, made.emit(message_)};
}

std::optional<v4_client::event> v4_client::poll_event() {
  if (std::exchange(tell_lost_, false)) return event{event::kind::lost, lost_};
  if (std::exchange(tell_bound_, false)) return event{event::kind::bound, *lease_};
  if (std::exchange(tell_renewed_, false)) return event{event::kind::renewed, *lease_};
  return std::nullopt;
}

}  // namespace morgana::net::dhcp
