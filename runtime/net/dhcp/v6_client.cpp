#include "morgana/net/dhcp/v6_client.hpp"

#include <algorithm>
#include <utility>

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::dhcp {
namespace {

constexpr std::uint32_t infinite_s = UINT32_MAX;
constexpr duration refresh_default = 24h, refresh_min = 600s;  // RFC 8415 21.23
constexpr std::uint8_t preference_at_once = 255;

// What is asked for (21.7): name servers, and the limits that a server may set (21.24, 21.25).
constexpr std::array<std::uint16_t, 3> wanted_stateful{23, 82, 83};
constexpr std::array<std::uint16_t, 4> wanted_stateless{23, 32, 82, 83};

duration seconds(std::uint32_t count) {
  return std::chrono::seconds(count);
}
instant lifetime_end(instant now, std::uint32_t length_s) {
  return length_s == infinite_s ? never : after(now, seconds(length_s));
}

bool is_host_address(ipv6_address const& one) {
  ip_address const any(one);
  return !any.is_unspecified() && !any.is_multicast() && !any.is_loopback();
}

}  // namespace

v6_client::v6_client(v6_client_configuration const& configuration, siphash_key const& key)
    : configuration_(configuration),
      random_(key),
      identifier_(identifier_of(configuration.hardware)),
      association_(wire::load32(std::as_bytes(std::span(configuration.hardware.bytes)), 2)) {}

void v6_client::start(mode how, instant now) {
  enter(how == mode::stateful ? v6_state::soliciting : v6_state::informing, now);
}

// ---- retransmission (RFC 8415 15) --------------------------------------------------------------------

v6_client::schedule v6_client::times() const {
  switch (state_) {
    case v6_state::soliciting:
      return {1s, solicit_retry_max_};
    case v6_state::requesting:
      return {1s, 30s, 10};
    case v6_state::confirming:
      return {1s, 4s, 0, 10s};
    case v6_state::renewing:
      return {10s, 600s, 0, lease_->rebind_at - began_};
    case v6_state::rebinding:
      return {10s, 600s, 0, lease_->valid_until - began_};
    case v6_state::releasing:
    case v6_state::declining:
      return {1s, 0s, 4};
    case v6_state::informing:
      return {1s, inform_retry_max_};
    default:
      return {};
  }
}

void v6_client::enter(v6_state next, instant now) {
  state_ = next;
  transaction_ = static_cast<std::uint32_t>(random_.below(1u << 24));
  began_ = now;
  tries_ = 0;
  wait_ = {};
  best_.reset();
  retry(now);
}

void v6_client::retry(instant now) {
  auto const limits = times();
  // RAND is between -0.1 and 0.1, here in thousandths; of the first SOLICIT above 0 (18.2.1).
  auto const spread = [&](duration of) {
    bool const is_first_solicit = state_ == v6_state::soliciting && tries_ == 0;
    auto const thousandths = is_first_solicit ? static_cast<std::int64_t>(random_.below(100)) + 1
                                              : static_cast<std::int64_t>(random_.below(201)) - 100;
    return of / 1000 * thousandths;
  };
  if (tries_ == 0) {
    wait_ = limits.initial + spread(limits.initial);
  } else {
    wait_ = 2 * wait_ + spread(wait_);
  }
  if (limits.most != duration{} && wait_ > limits.most) wait_ = limits.most + spread(limits.most);
  ++tries_;
  wants_to_send_ = true;
  due_ = after(now, wait_);
  if (limits.length != duration{}) due_ = std::min(due_, after(began_, limits.length));
}

instant v6_client::next_deadline() const {
  return lease_ ? std::min(due_, lease_->valid_until) : due_;
}

void v6_client::on_deadline(instant now) {
  if (now < next_deadline()) return;
  if (lease_ && now >= lease_->valid_until) {
    ++counters_.expired;
    lose();
    return enter(v6_state::soliciting, now);
  }
  switch (state_) {
    case v6_state::off:
      due_ = never;
      return;
    case v6_state::informed:
      return enter(v6_state::informing, now);
    case v6_state::bound:
      return enter(v6_state::renewing, now);
    case v6_state::soliciting:
      // 18.2.1: those that came before the first timeout are compared; later the first one is taken.
      if (best_) {
        auto const chosen = *best_;
        enter(v6_state::requesting, now);
        best_ = chosen;
        return;
      }
      break;
    default:
      break;
  }
  auto const limits = times();
  bool const is_over = (limits.tries != 0 && tries_ >= limits.tries) ||
                       (limits.length != duration{} && now >= after(began_, limits.length));
  if (is_over) return give_up(now);
  retry(now);
}

/// Nobody answered, as often and as long as it may be tried.
void v6_client::give_up(instant now) {
  switch (state_) {
    case v6_state::renewing:
      return enter(v6_state::rebinding, now);
    case v6_state::confirming:
      // 18.2.3: the addresses are used on.
      state_ = v6_state::bound;
      wants_to_send_ = false;
      due_ = lease_->renew_at;
      return;
    case v6_state::releasing:
      state_ = v6_state::off;
      due_ = never;
      return;
    default:
      return enter(v6_state::soliciting, now);
  }
}

// ---- in ----------------------------------------------------------------------------------------------

void v6_client::lose() {
  if (!lease_) return;
  tell_lost_ = tell_lost_ || !tell_bound_;
  tell_bound_ = tell_renewed_ = false;
  lost_ = *lease_;
  lease_.reset();
}

void v6_client::learn_limits(v6_message const& in) {
  // 21.24, 21.25: others than 60 to 86400 are ignored.
  auto const learn = [](std::optional<std::uint32_t> const& given, duration& into) {
    if (given && *given >= 60 && *given <= 86'400) into = seconds(*given);
  };
  learn(in.solicit_retry_max_s, solicit_retry_max_);
  learn(in.inform_retry_max_s, inform_retry_max_);
}

void v6_client::input(std::span<std::byte const> bytes, instant now) {
  auto const in = v6_message::parse(bytes);
  if (!in) return void(++counters_.malformed);
  // 16.3, 16.10.
  bool const is_ours = (in->type == v6_type::advertise || in->type == v6_type::reply) &&
                       in->transaction == transaction_ && in->client == identifier_ && !in->server.empty();
  if (!is_ours || state_ == v6_state::off || state_ == v6_state::bound || state_ == v6_state::informed) {
    return void(++counters_.not_for_us);
  }
  bool const is_from_chosen = (state_ != v6_state::requesting || in->server == best_->server) &&
                              (state_ != v6_state::renewing || in->server == lease_->server);
  if (!is_from_chosen) return void(++counters_.not_for_us);
  ++counters_.received;
  learn_limits(*in);
  if (in->type == v6_type::advertise) {
    if (state_ == v6_state::soliciting) take_advertisement(*in, now);
    return;
  }
  take_reply(*in, now);
}

v6_address const* v6_client::usable(v6_message const& in) const {
  if (!in.association || in.association->id != association_) return nullptr;
  for (auto const& one : in.association->addresses) {
    if (one.status == v6_status::success && one.valid_s != 0 && one.preferred_s <= one.valid_s &&
        is_host_address(one.address)) {
      // Of several the one that we have already.
      if (lease_ && one.address != lease_->address) continue;
      return &one;
    }
  }
  return nullptr;
}

void v6_client::take_advertisement(v6_message const& in, instant now) {
  if (in.status != v6_status::success || usable(in) == nullptr) return void(++counters_.unusable);
  auto const rank = in.preference.value_or(0);
  if (!best_ || rank > best_->preference.value_or(0)) best_ = in;
  // 18.2.1: with the highest preference, or after the first timeout, there is nothing to wait for.
  if (rank != preference_at_once && tries_ == 1) return;
  auto const chosen = *best_;
  enter(v6_state::requesting, now);
  best_ = chosen;
}

void v6_client::bind(v6_message const& in, v6_address const& given, instant now) {
  bool const is_renewal = lease_.has_value();
  v6_lease made;
  made.address = given.address;
  made.name_servers = in.name_servers;
  if (is_renewal && in.name_servers.empty()) made.name_servers = lease_->name_servers;
  made.server = in.server;
  made.preferred_until = lifetime_end(now, given.preferred_s);
  made.valid_until = lifetime_end(now, given.valid_s);
  // 14.2, 21.4: half and four fifths of the preferred lifetime where the server leaves it to us, or says
  // nonsense.
  std::uint64_t const preferred = given.preferred_s == 0 ? given.valid_s : given.preferred_s;
  std::uint64_t t1 = in.association->renewal_s, t2 = in.association->rebinding_s;
  if (t2 == 0 || t2 > given.valid_s) t2 = preferred == infinite_s ? infinite_s : preferred * 4 / 5;
  if (t1 == 0 || t1 > t2) t1 = preferred == infinite_s ? infinite_s : std::min(preferred / 2, t2);
  made.renew_at = lifetime_end(now, static_cast<std::uint32_t>(t1));
  made.rebind_at = lifetime_end(now, static_cast<std::uint32_t>(t2));
  lease_ = made;
  state_ = v6_state::bound;
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

void v6_client::take_reply(v6_message const& in, instant now) {
  switch (state_) {
    case v6_state::soliciting:
      // Only what was asked for with rapid commit may skip the request (16.10).
      if (!in.rapid_commit || !configuration_.rapid_commit) return void(++counters_.not_for_us);
      break;
    case v6_state::confirming:
      if (in.status == v6_status::not_on_link) {
        ++counters_.refused;
        lose();
        return enter(v6_state::soliciting, now);
      }
      return give_up(now);  // used on
    case v6_state::releasing:
      state_ = v6_state::off;
      wants_to_send_ = false;
      due_ = never;
      return;
    case v6_state::declining:
      return enter(v6_state::soliciting, now);
    case v6_state::informing: {
      v6_lease made;
      made.name_servers = in.name_servers;
      made.server = in.server;
      auto const refresh = in.refresh_s ? std::max(seconds(*in.refresh_s), refresh_min) : refresh_default;
      lost_ = made;  // told from here: there is no lease
      tell_informed_ = true;
      state_ = v6_state::informed;
      wants_to_send_ = false;
      due_ = in.refresh_s == infinite_s ? never : after(now, refresh);
      return;
    }
    default:
      break;
  }
  // 18.2.10.1: a server that is busy is asked again in time.
  if (in.status == v6_status::unspecified_failure || in.status == v6_status::use_multicast) {
    return void(++counters_.unusable);
  }
  auto const about = in.association ? in.association->status : in.status;
  if (auto const* const given = usable(in); given != nullptr && about == v6_status::success)
    return bind(in, *given, now);
  if (state_ == v6_state::soliciting) return void(++counters_.unusable);
  if (state_ == v6_state::requesting) {
    ++counters_.refused;
    return enter(v6_state::soliciting, now);
  }
  // Renewing or rebinding.
  if (about == v6_status::no_binding) {
    // The server forgot it: asked for anew, from that one (18.2.10.1).
    ++counters_.refused;
    auto chosen = in;
    enter(v6_state::requesting, now);
    best_ = chosen;
    return;
  }
  bool const is_taken_back =
      in.association && std::ranges::any_of(in.association->addresses, [&](auto const& one) {
        return one.address == lease_->address && one.valid_s == 0;
      });
  if (is_taken_back || about == v6_status::no_addresses || about == v6_status::not_on_link) {
    ++counters_.refused;
    lose();
    return enter(v6_state::soliciting, now);
  }
  ++counters_.unusable;  // says nothing of our address: asked again, then others
}

// ---- what the host tells -----------------------------------------------------------------------------

void v6_client::confirm(instant now) {
  if (lease_) enter(v6_state::confirming, now);
}

void v6_client::conflict(instant now) {
  if (!lease_) return;
  ++counters_.declined;
  lose();
  enter(v6_state::declining, now);
}

void v6_client::release(instant now) {
  if (!lease_) {
    state_ = v6_state::off;
    wants_to_send_ = false;
    due_ = never;
    return;
  }
  lose();
  enter(v6_state::releasing, now);
}

// ---- out ---------------------------------------------------------------------------------------------

std::optional<std::span<std::byte const>> v6_client::poll_transmit(instant now) {
  if (!std::exchange(wants_to_send_, false)) return std::nullopt;
  v6_message made;
  made.transaction = transaction_;
  made.client = identifier_;
  auto const elapsed = (now - began_) / 10ms;
  made.elapsed_10ms = static_cast<std::uint16_t>(std::min<std::int64_t>(elapsed, UINT16_MAX));
  made.requested_options.assign(wanted_stateful);
  v6_association association{.id = association_, .renewal_s = 0, .rebinding_s = 0, .addresses = {}};
  auto const name = [&](ipv6_address const& one) {
    (void)association.addresses.add({one, 0, 0, v6_status::success});
  };
  switch (state_) {
    case v6_state::soliciting:
      made.type = v6_type::solicit;
      made.rapid_commit = configuration_.rapid_commit;
      break;
    case v6_state::requesting:
      made.type = v6_type::request;
      made.server = best_->server;
      if (auto const* const offered = usable(*best_)) name(offered->address);
      break;
    case v6_state::confirming:
      made.type = v6_type::confirm;
      made.requested_options.clear();
      name(lease_->address);
      break;
    case v6_state::renewing:
      made.type = v6_type::renew;
      made.server = lease_->server;
      name(lease_->address);
      break;
    case v6_state::rebinding:
      made.type = v6_type::rebind;
      name(lease_->address);
      break;
    case v6_state::releasing:
    case v6_state::declining:
      made.type = state_ == v6_state::releasing ? v6_type::release : v6_type::decline;
      made.requested_options.clear();
      made.server = lost_.server;
      name(lost_.address);
      break;
    case v6_state::informing:
      made.type = v6_type::information_request;
      made.requested_options.assign(wanted_stateless);
      break;
    default:
      return std::nullopt;
  }
  if (made.type != v6_type::information_request) made.association = association;
  ++counters_.sent;
  return made.emit(message_);
}

std::optional<v6_client::event> v6_client::poll_event() {
  if (std::exchange(tell_lost_, false)) return event{event::kind::lost, lost_};
  if (std::exchange(tell_bound_, false)) return event{event::kind::bound, *lease_};
  if (std::exchange(tell_renewed_, false)) return event{event::kind::renewed, *lease_};
  if (std::exchange(tell_informed_, false)) return event{event::kind::informed, lost_};
  return std::nullopt;
}

}  // namespace morgana::net::dhcp
