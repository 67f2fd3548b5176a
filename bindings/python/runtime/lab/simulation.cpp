#include "simulation.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "checks.hpp"
#include "state.hpp"

namespace morgana::python {
namespace {

/// How often this process is a copy of another: a simulation knows by it that it is in the wrong one.
std::atomic<std::uint64_t> forks = 0;
void count_fork() {
  forks.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

simulation::simulation(std::uint64_t seed) : seed_(seed), self_(std::make_unique<state>(seed)) {
  static bool const watched = ::pthread_atfork(nullptr, nullptr, count_fork) == 0;
  (void)watched;
  self_->fork = forks.load(std::memory_order_relaxed);
  self_->world.watch(*self_);
}

simulation::~simulation() = default;

answer<> simulation::usable() const {
  if (!self_) return wrong_use("this simulation is closed");
  if (self_->by_itself) {
    if (self_->by_itself->is_own_thread()) return wrong_use("this simulation is running");
  } else if (::pthread_equal(self_->owner, ::pthread_self()) == 0) {
    return wrong_use("this simulation belongs to the thread that made it");
  }
  if (self_->fork != forks.load(std::memory_order_relaxed)) {
    return wrong_use("this simulation belongs to the process that made it; make one after the fork");
  }
  if (self_->is_running) return wrong_use("this simulation is running");
  return {};
}

answer<> simulation::close() {
  if (!self_) return {};
  if (auto const ok = usable(); !ok) return ok;
  self_.reset();
  return {};
}

// ---- finding -------------------------------------------------------------------------------------------

answer<member*> simulation::state::find(node_number which) const {
  if (which < members.size()) return members[which].get();
  return bad_value("there is no node of number " + std::to_string(which));
}

answer<stack_host*> simulation::state::host(node_number which, bool must_be_connected) {
  auto const found = find(which);
  if (!found) return std::unexpected(found.error());
  auto& one = **found;
  if (one.is != member::kind::stack) return wrong_use(one.name + " is no host with a stack of this process");
  if (one.stack == nullptr) {
    return std::unexpected(problem{problem::kind::connection, ENETDOWN, one.name + " has no power"});
  }
  one.stack->enter(world.local_now(which));
  if (!one.stack->broken().empty())
    return bad_value(one.name + ": " + one.stack->broken() + "\n" + one.stack->log());
  if (must_be_connected && one.stack->network() == nullptr) {
    return wrong_use(one.name + " has no address yet: await its configured() first");
  }
  return one.stack;
}

void simulation::state::on_ran(sim::node_id which, instant) {
  if (!guests.has() || which >= members.size() || members[which]->guest == nullptr) return;
  auto& one = *members[which];
  auto const size = one.guest->console().size();
  if (size == one.console_seen && !one.guest->host().has_ended()) return;
  one.console_seen = size;
  told = true;
}

answer<instant> simulation::now() const {
  MORGANA_USABLE();
  if (self_->by_itself) return std::max(self_->by_itself->now(), self_->world.now());
  return self_->world.now();
}
answer<std::uint64_t> simulation::trace_hash() const {
  MORGANA_USABLE();
  return self_->world.trace_hash();
}
answer<std::uint64_t> simulation::frames_sent() const {
  MORGANA_USABLE();
  return self_->world.frames_sent();
}
answer<std::uint64_t> simulation::events() const {
  MORGANA_USABLE();
  return self_->world.events();
}

// ---- running -------------------------------------------------------------------------------------------

answer<stopped_by> simulation::run(instant end, bool told, std::function<bool()> const& interrupted) {
  MORGANA_USABLE();
  using clock = std::chrono::steady_clock;
  constexpr std::uint32_t events_between_looks = 256;
  auto& all = *self_;
  if (all.by_itself) return wait(end, told, interrupted);
  all.is_running = true;
  std::uint32_t events = 0;
  bool was_interrupted = false;
  all.told = all.filter_failed = false;
  auto looked = clock::now();
  bool const stopped = all.world.run_until(
      [&] {
        all.world_now = all.world.now();
        if (!all.finished.empty() || (told && all.told) || all.filter_failed) return true;
        if (interrupted && ++events % events_between_looks == 0 && clock::now() - looked > 10ms) {
          was_interrupted = interrupted();
          looked = clock::now();
        }
        return was_interrupted;
      },
      end);
  if (!stopped && end != never && all.world.problem().empty()) all.world.run_until(end);
  all.world_now = all.world.now();
  all.is_running = false;
  if (!all.world.problem().empty()) return wrong_use("the world stopped: " + all.world.problem());
  if (was_interrupted || all.filter_failed) return stopped_by::interrupted;
  if (stopped) return all.finished.empty() ? stopped_by::told : stopped_by::outcome;
  return end == never ? stopped_by::idle : stopped_by::time;
}

answer<stopped_by> simulation::wait(instant end, bool told, std::function<bool()> const& interrupted) {
  auto& all = *self_;
  std::unique_lock held(all.by_itself->turn, std::adopt_lock);
  auto const look = [&]() -> std::optional<stopped_by> {
    if (!all.finished.empty()) return stopped_by::outcome;
    if (told && std::exchange(all.told, false)) return stopped_by::told;
    if (all.filter_failed) return stopped_by::interrupted;
    if (all.by_itself->now() >= end) return stopped_by::time;
    return std::nullopt;
  };
  std::optional<stopped_by> ended;
  while (!(ended = look()) && all.world.problem().empty()) {
    all.by_itself->changed();
    all.holder = std::thread::id();
    all.by_itself->wait(held, std::clamp<duration>(end - all.by_itself->now(), 1us, 20ms));
    held.unlock();
    bool const stop = interrupted && interrupted();
    held.lock();
    all.holder = std::this_thread::get_id();
    if (stop) ended = stopped_by::interrupted;
    if (ended) break;
  }
  (void)held.release();
  if (!all.world.problem().empty()) return wrong_use("the world stopped: " + all.world.problem());
  return *ended;
}

answer<node_number> simulation::add_descriptor(std::string const& name, int descriptor) {
  MORGANA_USABLE();
  auto node = descriptor_node::open(descriptor);
  if (!node)
    return bad_value("descriptor " + std::to_string(descriptor) +
                     " is no socket of messages (SOCK_SEQPACKET, SOCK_DGRAM)");
  member made(member::kind::descriptor, name, 1);
  made.descriptor = node.get();
  auto* const kept = node.get();
  auto const number = self_->add(std::move(made), std::move(node));
  if (number && self_->by_itself) self_->by_itself->add(*number, *kept);
  return number;
}

answer<> simulation::run_in_real_time() {
  MORGANA_USABLE();
  if (self_->by_itself) return wrong_use("this simulation runs in real time already");
  if (self_->guests.has())
    return wrong_use("guests have virtual time: this simulation cannot run in real time");
  auto& all = *self_;
  all.by_itself = std::make_unique<real_time>(all.world, [&all] {
    all.world_now = all.world.now();
    return !all.finished.empty() || all.told || all.filter_failed || all.world.stopped();
  });
  for (std::size_t i = 0; i < all.members.size(); ++i) {
    if (all.members[i]->descriptor != nullptr)
      all.by_itself->add(static_cast<node_number>(i), *all.members[i]->descriptor);
  }
  all.by_itself->start();
  return {};
}

bool simulation::is_in_real_time() const {
  return self_ && self_->by_itself;
}

bool simulation::lock(bool try_only) {
  auto& by = *self_->by_itself;
  if (by.is_own_thread() || self_->holder.load() == std::this_thread::get_id()) return false;
  if (!try_only) {
    by.turn.lock();
  } else if (!by.turn.try_lock()) {
    return false;
  }
  self_->holder = std::this_thread::get_id();
  // What is called is called now, not when something happened last.
  self_->is_running = true;
  self_->world.run_until(by.now());
  self_->is_running = false;
  self_->world_now = self_->world.now();
  return true;
}

bool simulation::is_held_here() const {
  return self_->by_itself->is_own_thread() || self_->holder.load() == std::this_thread::get_id();
}

void simulation::unlock() {
  if (!self_) return;
  self_->holder = std::thread::id();
  self_->by_itself->changed();
  self_->by_itself->turn.unlock();
}

void simulation::stop_real_time() {
  if (is_in_real_time()) self_->by_itself->stop();
}

std::vector<outcome> simulation::take_finished() {
  if (!usable()) return {};
  auto all = std::exchange(self_->finished, {});
  for (auto const& one : all) {
    auto const at = self_->operation_at.find(one.operation);
    if (at == self_->operation_at.end()) continue;
    if (auto* const host = self_->members[at->second]->stack) host->forget(one.operation);
    self_->operation_at.erase(at);
  }
  return all;
}

answer<> simulation::cancel(operation which) {
  MORGANA_USABLE();
  auto const at = self_->operation_at.find(which);
  if (at == self_->operation_at.end()) return {};
  auto& on = *self_->members[at->second];
  if (on.stack != nullptr) on.stack->forget(which);
  if (on.raw != nullptr) on.raw->forget(which);
  std::erase_if(self_->finished, [&](outcome const& one) { return one.operation == which; });
  auto const node = at->second;
  self_->operation_at.erase(at);
  self_->world.touch(node);
  return {};
}

}  // namespace morgana::python
