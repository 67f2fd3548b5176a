#include "morgana/sim/world.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "direction.hpp"
#include "morgana/sim/packet.hpp"

namespace morgana::sim {

namespace {

/// A node that sends or wakes more often than this without time passing is stuck in a loop of its own.
constexpr std::uint32_t busy_max = 100'000;
constexpr std::uint32_t spurious = 0;

std::uint64_t fold(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9fb2'1c65'1e98'df25u;
  return hash ^ hash >> 32;
}

std::uint64_t fold(std::uint64_t hash, std::span<std::byte const> bytes) {
  hash = fold(hash, bytes.size());
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = fold(hash, word);
  }
  std::uint64_t rest = 0;
  if (i < bytes.size()) std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
  return fold(hash, rest);
}

}  // namespace

struct world::event {
  instant when;
  std::uint64_t order;  ///< of scheduling: breaks ties
  std::uint32_t which;  ///< link, node or call
  std::uint32_t slot;   ///< of the frame, or the wake's generation
  std::uint8_t side;
  what_next kind;

  /// For a heap whose front is the earliest.
  friend bool operator<(event const& a, event const& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }
};

struct world::cable {
  port_id ends[2];
  link_direction directions[2];  ///< from that end
};

struct world::place {
  place(std::string_view called, std::unique_ptr<node> added, random_source const& own)
      : name(called), who(std::move(added)), random(own) {}

  std::string name;
  std::unique_ptr<node> who;
  std::vector<std::uint32_t> cables;  ///< link and side of each port, +1; 0: none
  random_source random;
  clock_settings clock;
  instant clock_global = start;  ///< when local_at was the local time
  instant clock_local = start;
  instant wake_at = never;              ///< world time of the event that is queued
  std::uint32_t generation = spurious;  ///< of that event
  instant deadline = never;             ///< local, that wake_at was made for
  instant busy_since{};
  std::uint32_t busy = 0;
};

world::world(std::uint64_t seed) : seed_(seed), trace_(fold(0x6d6f'7267'616e'61u, seed)) {}
world::~world() = default;

// ---- building ----------------------------------------------------------------------------------------

node_id world::add(std::string_view name, std::unique_ptr<node> added) {
  auto const id = static_cast<node_id>(nodes_.size());
  nodes_.push_back(
      std::make_unique<place>(name, std::move(added), random(std::string("node ").append(name))));
  auto& here = *nodes_.back();
  here.clock_global = here.clock_local = now_;
  here.cables.resize(here.who->ports());
  at(now_, [this, id] { touch(id); });
  return id;
}

void world::kill(node_id which) {
  auto& here = *nodes_[which];
  here.who.reset();
  here.wake_at = never;
  ++here.generation;
}

void world::replace(node_id which, std::unique_ptr<node> added) {
  kill(which);
  nodes_[which]->who = std::move(added);
  at(now_, [this, which] { touch(which); });
}

node* world::find(node_id which) const {
  return nodes_[which]->who.get();
}
std::string_view world::name(node_id which) const {
  return nodes_[which]->name;
}

link_id world::join(port_id a, port_id b, link_settings const& from_a, link_settings const& from_b) {
  auto const id = static_cast<link_id>(links_.size());
  auto const name_of = [&](port_id from, port_id to) {
    return "link " + nodes_[from.node]->name + "." + std::to_string(from.port) + " to " +
           nodes_[to.node]->name + "." + std::to_string(to.port);
  };
  links_.push_back(std::make_unique<cable>(cable{{a, b},
                                                 {link_direction(from_a, random(name_of(a, b)), now_),
                                                  link_direction(from_b, random(name_of(b, a)), now_)}}));
  nodes_[a.node]->cables[a.port] = id * 2 + 1;
  nodes_[b.node]->cables[b.port] = id * 2 + 2;
  return id;
}

link_settings const& world::settings(link_id which, std::size_t side) const {
  return links_[which]->directions[side].settings;
}
link_counters const& world::counters(link_id which, std::size_t side) const {
  return links_[which]->directions[side].counters;
}

void world::set(link_id which, std::size_t side, link_settings const& to) {
  auto& direction = links_[which]->directions[side];
  direction.set(to, now_);
  if (to.is_held) return;
  for (auto const slot : std::exchange(direction.held, {})) {
    push(now_, what_next::deliver, which, static_cast<std::uint32_t>(side), slot);
  }
}

// ---- clocks ------------------------------------------------------------------------------------------

instant world::to_local(place const& at, instant global) const {
  auto const passed = (global - at.clock_global).count();
  auto const gained = static_cast<__int128>(passed) * at.clock.drift_millionths / 1'000'000;
  return at.clock_local + duration(passed + static_cast<duration::rep>(gained));
}

instant world::to_global(place const& at, instant local) const {
  if (local == never) return never;
  if (local <= at.clock_local) return at.clock_global;
  auto const ahead = static_cast<__int128>((local - at.clock_local).count()) * 1'000'000;
  auto const rate = 1'000'000 + at.clock.drift_millionths;
  auto const needed = (ahead + rate - 1) / rate;
  if (needed > (never - at.clock_global).count()) return never;
  auto global = at.clock_global + duration(static_cast<duration::rep>(needed));
  while (to_local(at, global) < local) global += 1ns;
  return global;
}

void world::set_clock(node_id which, clock_settings const& to) {
  auto& here = *nodes_[which];
  here.clock_local = to_local(here, now_);
  here.clock_global = now_;
  here.clock = to;
  here.deadline = instant{};  // planned anew
  if (here.who) touch(which);
}

void world::jump(node_id which, duration ahead) {
  auto& here = *nodes_[which];
  here.clock_local = to_local(here, now_) + ahead;
  here.clock_global = now_;
  here.deadline = instant{};
  if (here.who) touch(which);
}

instant world::local_now(node_id which) const {
  return to_local(*nodes_[which], now_);
}

// ---- running -----------------------------------------------------------------------------------------

void world::push(instant when, what_next kind, std::uint32_t which, std::uint32_t side, std::uint32_t slot) {
  queue_.push_back({std::max(when, now_), scheduled_++, which, slot, static_cast<std::uint8_t>(side), kind});
  std::push_heap(queue_.begin(), queue_.end());
}

void world::at(instant when, std::function<void()> what) {
  std::uint32_t slot = static_cast<std::uint32_t>(calls_.size());
  if (free_calls_.empty()) {
    calls_.push_back(std::move(what));
  } else {
    slot = free_calls_.back();
    free_calls_.pop_back();
    calls_[slot] = std::move(what);
  }
  push(when, what_next::call, slot, 0, 0);
}

std::uint32_t world::store(frame& kept) {
  std::uint32_t slot = static_cast<std::uint32_t>(slots_.size());
  if (free_slots_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  std::swap(slots_[slot], kept);
  return slot;
}

void world::touch(node_id which) {
  if (nodes_[which]->who != nullptr) run_node(which);
}

void world::fail(node_id which, std::string_view why) {
  problem_ = "node " + nodes_[which]->name + " " + std::string(why) + " at one moment";
  stopped_ = true;
}

void world::run_node(node_id which) {
  auto& here = *nodes_[which];
  auto const local = to_local(here, now_);
  if (here.busy_since != now_) {
    here.busy_since = now_;
    here.busy = 0;
  }
  for (std::uint32_t port = 0; port < here.cables.size(); ++port) {
    while (here.who->poll_transmit(port, sending_, local)) {
      if (++here.busy > busy_max) return fail(which, "sends without end");
      if (sending_.gso_size == 0 && sending_.checksum != net::checksum_state::partial) {
        send_one({which, port}, sending_);
      } else {
        finish_offloads(std::move(sending_), [&](frame&& one) { send_one({which, port}, one); });
        sending_.clear();
      }
    }
  }
  for (auto* const who : observers_) who->on_ran(which, now_);
  if (here.who != nullptr) plan_wake(which);
}

void world::send_one(port_id from, frame& sent) {
  ++frames_;
  // What its stack knew of the checksum, the wire does not tell.
  sent.checksum = net::checksum_state::unchecked;
  trace_ = fold(trace_, static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  trace_ = fold(trace_, std::uint64_t{from.node} << 32 | from.port);
  trace_ = fold(trace_, sent.bytes);
  for (auto* const who : observers_) who->on_sent(from, sent, now_);
  auto const joined = nodes_[from.node]->cables[from.port];
  if (joined == 0) return;
  auto const which = (joined - 1) / 2;
  auto const side = (joined - 1) % 2;
  auto const verdict = links_[which]->directions[side].pass(sent, now_);
  for (std::size_t i = 0; i < verdict.copies; ++i) {
    if (i + 1 < verdict.copies) {
      auto copy = sent;
      push(verdict.at[i], what_next::deliver, which, side, store(copy));
    } else {
      push(verdict.at[i], what_next::deliver, which, side, store(sent));
    }
  }
}

void world::deliver(link_id which, std::size_t side, std::uint32_t slot) {
  auto& direction = links_[which]->directions[side];
  if (direction.settings.is_held) {
    direction.held.push_back(slot);
    return;
  }
  std::swap(arriving_, slots_[slot]);
  free_slots_.push_back(slot);
  ++direction.counters.delivered;
  auto const to = links_[which]->ends[1 - side];
  auto& here = *nodes_[to.node];
  if (here.who == nullptr) return;
  for (auto* const who : observers_) who->on_delivered(to, arriving_, now_);
  here.who->receive(to.port, arriving_, to_local(here, now_));
  run_node(to.node);
}

void world::wake(node_id which, std::uint32_t generation) {
  auto& here = *nodes_[which];
  if (here.who == nullptr) return;
  bool const is_planned = generation == here.generation;
  if (!is_planned && generation != spurious) return;
  auto const local = to_local(here, now_);
  if (is_planned) here.wake_at = never;
  if (is_planned && here.who->next_deadline() > local) return plan_wake(which);
  if (here.busy_since == now_ && ++here.busy > busy_max) return fail(which, "has deadlines without end");
  here.who->on_deadline(local);
  run_node(which);
}

void world::plan_wake(node_id which) {
  auto& here = *nodes_[which];
  auto const deadline = here.who->next_deadline();
  if (deadline == never) return;  // what is queued finds out by itself
  if (deadline == here.deadline && here.wake_at != never) return;
  auto when = std::max(to_global(here, deadline), now_);
  if (when == never) return;
  if (here.clock.late_by > 0ns) when += here.random.between(0ns, here.clock.late_by);
  here.deadline = deadline;
  if (here.random.chance(here.clock.early_millionths) && when > now_) {
    push(now_ + here.random.between(0ns, when - now_), what_next::wake, which, 0, spurious);
  }
  // One that comes earlier plans again when it finds that it was too early.
  if (here.wake_at <= when) return;
  here.wake_at = when;
  if (++here.generation == spurious) ++here.generation;
  push(when, what_next::wake, which, 0, here.generation);
}

instant world::next_event() const {
  return queue_.empty() ? never : queue_.front().when;
}

bool world::step() {
  if (queue_.empty() || stopped_) return false;
  std::pop_heap(queue_.begin(), queue_.end());
  auto const next = queue_.back();
  queue_.pop_back();
  now_ = next.when;
  ++done_;
  switch (next.kind) {
    case what_next::deliver:
      deliver(next.which, next.side, next.slot);
      break;
    case what_next::wake:
      wake(next.which, next.slot);
      break;
    case what_next::call: {
      auto const what = std::exchange(calls_[next.which], nullptr);
      free_calls_.push_back(next.which);
      what();
      break;
    }
  }
  return true;
}

void world::run_until(instant end) {
  while (!queue_.empty() && !stopped_ && queue_.front().when <= end) step();
  if (!stopped_) now_ = std::max(now_, end);
}

bool world::run_until(std::function<bool()> const& is_done, instant end) {
  while (!is_done()) {
    if (queue_.empty() || stopped_ || queue_.front().when > end) return false;
    step();
  }
  return true;
}

}  // namespace morgana::sim
