// The engine's public face.
#include "morgana/net/tcp/engine.hpp"

#include <algorithm>

#include "machine.hpp"

namespace morgana::net::tcp {

// IP that does not want to know.
void routing::confirm(ip_address const&, instant) {}
void routing::suspect(ip_address const&, instant) {}
void routing::limit_mtu(ip_address const&, std::uint32_t, instant) {}

struct engine::implementation : machine {
  using machine::machine;
};

machine::machine(network_limits const& bounds, keyed_secrets const& secrets, buffer_pool& buffers,
                 routing& ip, instant)
    : limits(bounds),
      below(ip),
      chunks{buffers},
      arrived{buffers, bounds.unread_bytes / chunk_source::piece_bytes},
      receive_buffer_first(first_receive_buffer(bounds)),
      receive_buffer_most(std::min(bounds.receive_buffer_bytes, bounds.unread_bytes / 4)),
      flows(secrets.sequence_numbers, secrets.flows),
      numbers(secrets),
      fast_open_key(secrets.fast_open),
      cookies(bounds.fast_open_peers),
      jitter(secrets.jitter) {}

machine::~machine() {
  while (auto* const one = closed.front()) destroy(*one);
  flows.for_each([this](flow& one) {
    if (one.kind == flow_kind::connection) destroy(static_cast<tcb&>(one));
  });
}

engine::engine(network_limits const& limits, keyed_secrets const& secrets, buffer_pool& buffers,
               routing& below, instant now)
    : self_(std::make_unique<implementation>(limits, secrets, buffers, below, now)) {}
engine::~engine() = default;

void engine::input(addressing const& between, segment&& packet, instant now) {
  self_->input(between, std::move(packet), now);
}
void engine::input(addressing const& between, std::span<segment> packets, instant now) {
  self_->input(between, packets, now);
}
bool engine::poll_transmit(addressing& between, segment& packet, instant now) {
  return self_->poll_transmit(between, packet, now);
}
std::size_t engine::transmit_following(addressing& between, segment const& first, std::span<segment> into,
                                       instant now) {
  return self_->transmit_following(between, first, into, now);
}
void engine::device_is_full(instant now) {
  for (auto* one = self_->output.front(); one != nullptr; one = self_->output.next(*one))
    self_->arm(*one, now);
}

instant engine::next_deadline() const {
  return self_->next_deadline();
}
void engine::on_deadline(instant now) {
  self_->on_deadline(now);
}

bool engine::on_icmp(addressing const& quoted, std::uint16_t source_port, std::uint16_t destination_port,
                     std::uint32_t sequence, soft_error what, std::uint32_t mtu_bytes, instant now) {
  return self_->on_icmp(quoted, source_port, destination_port, sequence, what, mtu_bytes, now);
}

result<listener*> engine::listen(listen_options const& where) {
  auto chosen = where;
  if (chosen.port == 0) {
    for (std::uint32_t tries = 0; tries < identifiers::ephemeral_count && chosen.port == 0; ++tries) {
      auto const number = self_->numbers.next_port();
      if (self_->find_port(where.address, number) == nullptr) chosen.port = number;
    }
    if (chosen.port == 0) return failure(net_error::address_in_use);
  }
  for (auto const& one : self_->ports) {
    if (one->where.port == chosen.port && one->where.address == chosen.address) {
      return failure(net_error::address_in_use, chosen.port);
    }
  }
  self_->ports.push_back(std::make_unique<port>(*self_, chosen, settings{}));
  self_->ports.back()->fast = {.pending_max = chosen.fast_open, .key = self_->fast_open_key};
  return self_->ports.back().get();
}

result<connection*> engine::connect(endpoint const& peer, settings const& with, instant now) {
  auto const* const path = self_->path_to(peer.address);
  if (path == nullptr) return failure(net_error::unreachable);
  auto const source = path->source;
  // Steps are random, so a full round may take more tries than there are ports; then each is tried in turn.
  for (std::uint32_t tries = 0; tries < 2 * identifiers::ephemeral_count; ++tries) {
    auto const number =
        tries < identifiers::ephemeral_count
            ? self_->numbers.next_port()
            : static_cast<std::uint16_t>(identifiers::ephemeral_first + tries % identifiers::ephemeral_count);
    flow_key const key{source, peer.address, number, peer.port};
    auto const hash = self_->flows.hash_new(key);
    if (self_->flows.find(key, hash) != nullptr) continue;
    if (self_->find_port(source, number) != nullptr) continue;
    return self_->connect(key, hash, with, now);
  }
  return failure(net_error::address_not_available);
}

result<connection*> engine::connect(endpoint const& local, endpoint const& peer, settings const& with,
                                    instant now) {
  if (!self_->below.find(peer.address)) return failure(net_error::unreachable);
  flow_key const key{local.address, peer.address, local.port, peer.port};
  auto const hash = self_->flows.hash_new(key);
  if (self_->flows.find(key, hash) != nullptr) return failure(net_error::address_in_use, local.port);
  return self_->connect(key, hash, with, now);
}

result<connection*> machine::connect(flow_key const& key, std::uint64_t hash, settings const& with, instant now) {
  if (key.peer_port == 0 || key.peer.is_unspecified() || key.peer.is_multicast()) {
    return failure(net_error::unreachable);
  }
  if (live >= limits.connections) {
    ++counters.connections_refused;
    return failure(net_error::limit_reached, limits.connections);
  }
  auto* const c = open(key, share(with), now);
  flows.insert(*c, hash);
  auto const first = identifiers::begin(hash, now);
  c->timestamp_offset = first.timestamp_offset;
  input_opening = &machine::input_syn_sent;
  c->current = state::syn_sent;
  c->send_initial = c->send_una = first.number;
  c->send_next = c->send_initial + 1;
  c->busy->send.start_at(c->send_next);
  c->ecn_offered = with.ecn;
  c->want_syn = true;
  schedule(*c);
  return c;
}

std::optional<std::uint32_t> engine::fast_open_room(ip_address const& peer, settings const& with) const {
  auto const path = self_->below.find(peer);
  if (!path || !self_->may_fast_open(peer, with)) return std::nullopt;
  auto const header = peer.is_v4() ? 40u : 60u;
  return self_->fast_open_room(peer, machine::advertised_segment_bytes(with, std::max(path->mtu_bytes, header) - header));
}
void engine::forget_fast_open_cookies() {
  self_->cookies.clear();
}

bool engine::has_output() const {
  return self_->has_output();
}

bool engine::has_event() const {
  return self_->events.front() != nullptr;
}

std::optional<engine::event> engine::poll_event() {
  auto* const one = self_->events.front();
  if (one == nullptr) return std::nullopt;
  static_cast<hook<event_tag>&>(*one).unlink();
  auto const ready = std::exchange(one->ready, std::uint8_t{0});
  if (one->what == event_source::kind::listener) return event{nullptr, static_cast<port*>(one), ready};
  return event{static_cast<tcb*>(one), nullptr, ready};
}

engine_counters const& engine::counters() const {
  return self_->counters;
}
std::size_t engine::unfinished() const {
  std::size_t count = 0;
  self_->flows.for_each([&](flow const& one) {
    if (one.kind != flow_kind::connection) return;
    auto const& c = static_cast<tcb const&>(one);
    bool const closes =
        c.current == state::fin_wait_1 || c.current == state::closing || c.current == state::last_ack;
    if (closes || (c.busy != nullptr && c.busy->send.size() != 0)) ++count;
  });
  return count;
}
std::size_t engine::connections() const {
  return self_->live + self_->time_waits.entries.used();
}

}  // namespace morgana::net::tcp
