#include "morgana/net/direct/host.hpp"

#include <algorithm>
#include <utility>

#include "morgana/core/boot_secret.hpp"
#include "morgana/core/memory.hpp"

namespace morgana::net {
namespace {

/// Each interface of a guest has keys of its own, all from the boot's secret.
keyed_secrets secrets_for(mac_address const& interface, std::string_view address_secret) {
  std::array<std::byte, 32> secret;
  std::ranges::copy(boot_secret(), secret.begin());
  for (std::size_t i = 0; i < interface.bytes.size(); ++i) secret[i] ^= std::byte{interface.bytes[i]};
  auto keys = keyed_secrets::derive(secret);
  if (!address_secret.empty()) {
    // RFC 7217 5: a secret that outlives the boot. The text is hashed down to a key, whatever its length.
    auto const text = std::as_bytes(std::span(address_secret));
    keys.interface_identifiers = {siphash({1, 0}, text), siphash({2, 0}, text)};
  }
  return keys;
}

/// Memory for data to send: in a small guest a quarter of what it has. Another quarter is for what arrived; devices and
/// the application have the rest.
std::size_t buffer_limit(direct_stack_options const& options) {
  constexpr std::uint64_t part = 4;
  return static_cast<std::size_t>(std::min(std::uint64_t{options.buffers_mib} << 20, memory_limit() / part));
}

/// Without its addresses, which begin() adds: adding says whether they were good. What arrived takes no more memory
/// than what is sent may.
core_configuration fitted(core_configuration one, std::size_t limit_bytes) {
  one.addresses.clear();
  one.limits.unread_bytes =
      static_cast<std::uint32_t>(std::min<std::size_t>(one.limits.unread_bytes, limit_bytes));
  return one;
}

/// fe80::/10 reaches the link alone (RFC 4291 2.5.6).
bool is_link_local(ip_address const& address) {
  if (address.is_v4()) return false;
  auto const bytes = address.v6().bytes;
  return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

}  // namespace

direct_host::direct_host(morgana::context& in, direct_stack_options const& options,
                         core_configuration const& configuration)
    : in_(&in),
      log_(in.log(), "net"),
      options_(options),
      interface_(configuration.device.address),
      buffers_(buffer_bytes, buffer_limit(options)),
      secrets_(secrets_for(configuration.device.address, options.address_secret)),
      core_(fitted(configuration, buffer_limit(options)), secrets_, buffers_, in.now()),
      ping_identifier_(static_cast<std::uint16_t>(random_stream(secrets_.jitter).next())) {}

direct_host::~direct_host() {
  if (features::dhcp) leases_.reset();
  // The application has none of them any more (stack.hpp); what waits for an address or a ping is told.
  lost_ = true;
  direct_wait::abandon_all(address_waiters_);
  direct_wait::abandon_all(senders_);
  while (pings_ != nullptr) {
    auto& one = *std::exchange(pings_, pings_->next_);
    one.is_listed_ = false;
    direct_wait::abandon_all(one.own_);
  }
}

result<void> direct_host::begin(core_configuration const& configuration) {
  for (auto const& one : configuration.addresses) {
    if (auto added = core_.add_address(one, now()); !added) {
      log_.error("{}: {}", one, added.error());
      return failure(std::move(added.error()));
    }
  }
  fixed_text<256> what;
  for (auto const& one : configuration.addresses) what.append("{}, ", one);
  log_.info("{}{}, mtu {}", what.view(), configuration.device.address, configuration.device.mtu_bytes);
  told_addresses_ = core_.addresses();
  touch();
  return {};
}

task<void> direct_host::obtain_leases() {
  bool const wants_v4 = features::dhcp && options_.ipv4.how == ipv4_setting::mode::dhcp;
  bool const wants_v6 = features::ipv6 && options_.accept_ra;
  if (!wants_v4 && !wants_v6) co_return;
  if (features::dhcp) {
    // Identifiers that go over the network are not to tell of what the core draws from the same key.
    auto const key = secrets_.jitter;
    auto const label = std::as_bytes(std::span(std::string_view("dhcp")));
    siphash_key const own{siphash(key, label), siphash({key.high, key.low}, label)};
    leases_.reset(new lease_keeper(*this, interface_, own, log_));
    if (wants_v6) leases_->start(lease_keeper::family::v6);
    if (wants_v4) leases_->start(lease_keeper::family::v4);
  }
  // Who has an address need not wait for more of them.
  if (auto const there = co_await wait_configured(after(now(), lease_time)); !there) {
    log_.warning("no {} answers; starting without an address, and asking on",
                 std::string_view(wants_v4 ? "DHCP server" : "router"));
  }
}

task<void> direct_host::release_leases() {
  if (features::dhcp && leases_) co_await leases_->release();
}

address_list direct_host::name_servers() const {
  auto made = features::dhcp && leases_ ? leases_->name_servers() : address_list();
  for (auto const& one : core_.advertised_name_servers()) (void)made.add(one);
  return made;
}

// ---- turns -------------------------------------------------------------------------------------------

void direct_host::receive(std::span<segment> frames) {
  if (lost_) return;
  core_.input(frames, now());
  dispatch();
  touch();
}

void direct_host::run() {
  if (lost_) return;
  // Once: who is always ready does not keep us from sending.
  has_stood_back_ = !has_stood_back_ && in_->executor().has_ready();
  if (has_stood_back_) return touch();
  take_turn();
  if (behind_turn_ != nullptr) std::exchange(behind_turn_, nullptr)->complete();
}

void direct_host::take_turn() {
  output();
  if (lost_) return;
  if (core_.has_event() || !drainers_.is_empty()) dispatch();
  if (!blocked_) direct_wait::try_all(senders_);
  arm();
}

void direct_host::expired() {
  if (lost_) return;
  core_.on_deadline(now());
  dispatch();
  touch();
}

void direct_host::output() {
  if (blocked_) return;
  std::size_t sent = 0;
  for (;;) {
    if (first_frame_ == end_frame_) {
      // Most turns have less to send than a batch.
      if (sent != 0 && !core_.has_output()) return;
      if (sent >= turn_frames_max) return touch();
      first_frame_ = 0;
      end_frame_ = core_.poll_transmit(frames_, now());
      if (end_frame_ == 0) return;
    }
    auto const offered = end_frame_ - first_frame_;
    auto const taken = transmit(std::span(frames_).subspan(first_frame_, offered));
    if (!taken) return device_lost(taken.error());
    first_frame_ += *taken;
    sent += *taken;
    if (*taken < offered) {
      blocked_ = true;
      return;
    }
  }
}

void direct_host::arm() {
  auto const next = core_.next_deadline();
  if (next != (is_armed() ? deadline() : never)) in_->executor().arm(*this, next);
}

void direct_host::dispatch() {
  for (;;) {
    // Of a connection nearly always.
    while (auto const of = core_.tcp().poll_event()) {
      if (of->connection == nullptr) {
        auto* const who = static_cast<direct_listening*>(of->listener->user);
        if (who != nullptr) direct_wait::try_all(who->acceptors);
      } else if (auto* const who = static_cast<direct_connection*>(of->connection->user)) {
        direct_wait::try_all(who->readers);
        direct_wait::try_all(who->writers);
      }
    }
    if (!core_.has_event()) break;
    auto const told = core_.poll_event();
    if (!told) break;
    tell_others(*told);
  }
  if (!drainers_.is_empty() && core_.tcp().unfinished() == 0) drainers_.complete_all();
}

/// What is told of seldom.
[[gnu::noinline]] void direct_host::tell_others(core::event const& told) {
  if (told.listener != nullptr) {
    if (auto* const who = static_cast<direct_listening*>(told.listener->user)) direct_wait::try_all(who->acceptors);
  } else if (told.port != nullptr) {
    if (auto* const who = static_cast<direct_port*>(told.port->user)) direct_wait::try_all(who->readers);
  } else if (told.raw != nullptr) {
    if (auto* const who = static_cast<direct_raw_port*>(told.raw->user)) direct_wait::try_all(who->readers);
  } else if (told.echo_reply) {
    for (auto* one = pings_; one != nullptr; one = one->next_) {
      auto const& reply = *told.echo_reply;
      if (reply.identifier != ping_identifier_ || reply.sequence != one->sequence_ || one->answered_) continue;
      one->answered_ = now();
      direct_wait::try_all(one->own_);
    }
  } else if (told.addresses_changed) {
    note_addresses();
  }
}

void direct_host::device_lost(error const& why) {
  if (lost_) return;
  lost_ = true;
  log_.error("the network device is gone: {}", why);
  disarm();
  ready_node::unlink();
  if (behind_turn_ != nullptr) std::exchange(behind_turn_, nullptr)->complete();
  for (auto const& one : records_) {
    direct_wait::try_all(one->readers);
    direct_wait::try_all(one->writers);
  }
  for (auto* const one : listeners_) direct_wait::try_all(one->acceptors);
  for (auto* const one : ports_) direct_wait::try_all(one->readers);
  for (auto* const one : raws_) direct_wait::try_all(one->readers);
  direct_wait::try_all(senders_);
  direct_wait::abandon_all(address_waiters_);
  for (auto* one = pings_; one != nullptr; one = one->next_) direct_wait::abandon_all(one->own_);
  drainers_.complete_all();
}

task<void> direct_host::drain() {
  // What was called last, a stream's destructor for one, may not have left yet.
  output();
  co_await drain_wait(*this, after(now(), drain_time));
}

// ---- records -----------------------------------------------------------------------------------------

direct_connection& direct_host::take_record(tcp::connection& handle) {
  if (free_records_ == nullptr) {
    free_records_ = records_.emplace_back(std::make_unique<direct_connection>()).get();
    free_records_->host = this;
  }
  auto& taken = *std::exchange(free_records_, free_records_->next_free);
  taken.next_free = nullptr;
  taken.handle = &handle;
  handle.user = &taken;
  return taken;
}

void direct_host::give_record(direct_connection& unused) noexcept {
  unused.handle = nullptr;
  unused.readers.rest();
  unused.next_free = free_records_;
  free_records_ = &unused;
}

// ---- what an application asks for --------------------------------------------------------------------

result<direct_listener> direct_host::listen(listen_options const& where) {
  if (lost_) return failure(net_error::unreachable);
  if (where.address.is_left_out()) return failure(net_error::address_not_available);
  bool const possible = where.address.is_unspecified() || where.address.is_loopback() ||
                        std::ranges::any_of(core_.addresses(), [&](auto const& one) {
                          return one.address.address == where.address;
                        });
  if (!possible) return failure(net_error::address_not_available);
  auto const handle = core_.tcp().listen(where);
  if (!handle) return failure(handle.error());
  auto record = std::make_unique<direct_listening>(this, *handle);
  (*handle)->user = record.get();
  listeners_.push_back(record.get());
  return direct_listener(std::move(record));
}

result<direct_datagrams> direct_host::bind(endpoint const& local) {
  if (lost_) return failure(net_error::unreachable);
  auto const handle = core_.bind(local);
  if (!handle) return failure(handle.error());
  auto record = std::make_unique<direct_port>(this, *handle);
  (*handle)->user = record.get();
  ports_.push_back(record.get());
  return direct_datagrams(std::move(record));
}

bool direct_host::connect_wait::await_ready() {
  auto& host = *host_;
  if (host.lost_) return fail(net_error::unreachable);
  auto const handle = host.core_.tcp().connect(peer_, with_, host.now());
  if (!handle) return fail(handle.error());
  record_ = &host.take_record(**handle);
  stream_ = direct_stream(*record_);
  queue_ = &record_->writers;
  host.touch();
  if (!first_.empty()) {
    auto const taken = (*handle)->write(first_, host.now());
    if (!taken) return fail(taken.error());
    if (*taken != first_.size()) return fail(net_error::limit_reached);
  }
  return attempt();
}

bool direct_host::connect_wait::attempt() {
  if (host_->lost_) return fail(net_error::unreachable);
  auto& handle = *record_->handle;
  if (auto const why = handle.failure()) return fail(*why);
  switch (handle.state()) {
    case tcp::state::syn_sent:
    case tcp::state::syn_received:
      return false;
    case tcp::state::closed:
      return fail(net_error::not_connected);
    default:
      return true;
  }
}

result<direct_stream> direct_host::connect_wait::await_resume() {
  // A deadline that passed while the answer was on its way to us does not undo it.
  if (record_ != nullptr && !failed_ && attempt() && !failed_) return std::move(stream_);
  auto why = problem();
  if (stream_.info().state != tcp::state::closed) stream_.abort();
  stream_ = {};
  return failure(why ? std::move(*why) : error(net_error::timed_out));
}

// ---- ping --------------------------------------------------------------------------------------------

bool direct_host::ping_wait::await_ready() {
  auto& host = *host_;
  if (host.lost_) return fail(net_error::unreachable);
  sequence_ = ++host.ping_sequence_;
  sent_ = host.now();
  if (auto sent = host.core_.ping(to_, host.ping_identifier_, sequence_, payload_bytes_, sent_); !sent) {
    return fail(std::move(sent.error()));
  }
  next_ = host.pings_;
  host.pings_ = this;
  is_listed_ = true;
  host.touch();
  return false;
}

direct_host::ping_wait::~ping_wait() {
  if (!is_listed_) return;
  auto** at = &host_->pings_;
  while (*at != this) at = &(*at)->next_;
  *at = next_;
}

result<duration> direct_host::ping_wait::await_resume() {
  if (answered_) return *answered_ - sent_;
  return failure(problem().value_or(error(net_error::timed_out)));
}

// ---- addresses ---------------------------------------------------------------------------------------

void direct_host::note_addresses() {
  ++address_generation_;
  auto const now_there = core_.addresses();
  auto const find = [](std::vector<net::core::address_entry> const& in, ip_address const& address) {
    auto const found =
        std::ranges::find_if(in, [&](auto const& one) { return one.address.address == address; });
    return found == in.end() ? nullptr : &*found;
  };
  for (auto const& one : now_there) {
    auto const* const before = find(told_addresses_, one.address.address);
    if (one.state == net::core::address_state::duplicated &&
        (before == nullptr || before->state != net::core::address_state::duplicated)) {
      log_.error("{} is in use by another host on this network: it is given up", one.address.address);
    } else if (before == nullptr) {
      log_.info("{} is ours", one.address);
    }
  }
  for (auto const& one : told_addresses_) {
    if (find(now_there, one.address.address) == nullptr) log_.warning("{} is not ours any more", one.address);
  }
  told_addresses_ = now_there;
  direct_wait::try_all(address_waiters_);
}

bool direct_host::is_configured() const {
  return std::ranges::any_of(core_.addresses(), [&](net::core::address_entry const& one) {
    if (is_link_local(one.address.address)) return false;
    return one.state == net::core::address_state::preferred ||
           one.state == net::core::address_state::deprecated ||
           one.state ==
               net::core::address_state::tentative;  // used meanwhile: core_configuration::optimistic
  });
}

task<result<void>> direct_host::wait_configured(instant deadline) {
  for (;;) {
    if (is_configured()) co_return {};
    auto const changed = co_await addresses_changed(address_generation_, deadline);
    if (!changed) co_return failure(changed.error());
  }
}

bool direct_host::address_wait::attempt() {
  if (host_->lost_) return fail(net_error::unreachable);
  return host_->address_generation_ != since_;
}

result<std::uint64_t> direct_host::address_wait::await_resume() {
  if (auto why = problem()) return failure(std::move(*why));
  return host_->address_generation_;
}

}  // namespace morgana::net
