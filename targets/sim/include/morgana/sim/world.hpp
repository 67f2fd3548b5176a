// A simulated network in virtual time: nodes with ports, links between them, one queue of what happens next.
//
//   sim::world world(seed);
//   auto one = world.add("one", std::make_unique<my_host>(…));
//   auto two = world.add("two", std::make_unique<my_host>(…));
//   auto cable = world.join({one, 0}, {two, 0}, {.delay = 5ms, .loss_millionths = 10'000});
//   world.at(sim::start + 2s, [&] { world.change(cable, [](auto& s) { s.is_cut = true; }); });
//   world.run_for(10s);
//
// Everything that happens is a function of the seed and of the calls made: events at the same moment happen
// in the order in which they were scheduled, every random decision comes from a stream named after the one
// who makes it, and no address of memory decides anything. trace_hash() is over every frame sent, with its
// port and time: two runs that agree on it were the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/core/time.hpp"
#include "morgana/sim/link.hpp"
#include "morgana/sim/node.hpp"
#include "morgana/sim/random.hpp"

namespace morgana::sim {

using node_id = std::uint32_t;
using link_id = std::uint32_t;

struct port_id {
  node_id node = 0;
  std::uint32_t port = 0;
  friend bool operator==(port_id const&, port_id const&) = default;
};

/// When a world begins. Not zero, so that a clock that starts at its epoch is not the only one tested.
inline constexpr instant start = instant(1s);

/// A node's own clock, and how punctually it is called.
struct clock_settings {
  std::int32_t drift_millionths = 0;   ///< +100: gains 100 microseconds each second
  duration late_by = 0ns;              ///< it runs up to this much after its deadline
  std::uint32_t early_millionths = 0;  ///< chance that it runs before its deadline, too, for nothing
};

/// Sees all that happens and may not change it. Calls come in the order of events.
class observer {
 public:
  virtual ~observer() = default;
  /// A node sent this frame: whole and with its checksums, before the link does anything to it. `now` is the
  /// world's time here and below.
  virtual void on_sent(port_id, frame const&, instant) {}
  /// A node is about to be given this frame.
  virtual void on_delivered(port_id, frame const&, instant) {}
  /// A node ran (frames, a deadline, or touch()), and everything it wanted to send is sent.
  virtual void on_ran(node_id, instant) {}
};

class world {
 public:
  explicit world(std::uint64_t seed);
  ~world();
  world(world const&) = delete;
  world& operator=(world const&) = delete;

  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] instant now() const { return now_; }
  /// A stream of random numbers of its own.
  [[nodiscard]] random_source random(std::string_view name) const { return {seed_, name}; }

  // ---- building ----------------------------------------------------------------------------------------
  /// The node runs for the first time at once (its deadline is asked for, its frames are taken).
  node_id add(std::string_view name, std::unique_ptr<node> added);
  /// Kills a node, as by pulling its plug: it is destroyed, its ports stay joined and swallow what arrives.
  void kill(node_id which);
  /// Puts another in its place (a host that boots again).
  void replace(node_id which, std::unique_ptr<node> added);
  [[nodiscard]] node* find(node_id which) const;  ///< null once killed
  [[nodiscard]] std::string_view name(node_id which) const;
  [[nodiscard]] std::size_t nodes() const { return nodes_.size(); }

  /// A cable between two ports, neither of which has one.
  link_id join(port_id a, port_id b, link_settings const& both = {}) { return join(a, b, both, both); }
  link_id join(port_id a, port_id b, link_settings const& from_a, link_settings const& from_b);
  [[nodiscard]] std::size_t links() const { return links_.size(); }
  /// What passes from `a` (side 0) or `b` (side 1) of join().
  [[nodiscard]] link_settings const& settings(link_id which, std::size_t side) const;
  void set(link_id which, std::size_t side, link_settings const& to);
  /// Changes both directions.
  template <class Change>
  void change(link_id which, Change const& how) {
    for (std::size_t side = 0; side < 2; ++side) {
      auto changed = settings(which, side);
      how(changed);
      set(which, side, changed);
    }
  }
  [[nodiscard]] link_counters const& counters(link_id which, std::size_t side) const;

  // ---- clocks ------------------------------------------------------------------------------------------
  void set_clock(node_id which, clock_settings const& to);
  /// The node's clock jumps forward, as after a suspension.
  void jump(node_id which, duration ahead);
  /// The node's own time now.
  [[nodiscard]] instant local_now(node_id which) const;

  // ---- running -----------------------------------------------------------------------------------------
  /// Does something at that moment (or at once, when it is past).
  void at(instant when, std::function<void()> what);
  /// Somebody called the node from outside: takes its frames and asks for its deadline again.
  void touch(node_id which);
  /// When the next thing happens; `never` when nothing is left to.
  [[nodiscard]] instant next_event() const;
  /// One event; false when there is none left.
  bool step();
  void run_until(instant end);
  void run_for(duration length) { run_until(now_ + length); }
  /// Until `is_done` says so, which is asked after each event; false when `end` came first.
  bool run_until(std::function<bool()> const& is_done, instant end);
  /// No event runs after this one; for an observer that has seen enough.
  void stop() { stopped_ = true; }
  [[nodiscard]] bool stopped() const { return stopped_; }

  void watch(observer& who) { observers_.push_back(&who); }
  [[nodiscard]] std::uint64_t trace_hash() const { return trace_; }
  [[nodiscard]] std::uint64_t frames_sent() const { return frames_; }
  [[nodiscard]] std::uint64_t events() const { return done_; }
  /// What made the world stop by itself: a node that never has enough (frames or deadlines at one moment).
  /// Empty while all is well.
  [[nodiscard]] std::string const& problem() const { return problem_; }

 private:
  struct event;
  struct direction;
  struct cable;
  struct place;
  enum class what_next : std::uint8_t { deliver, wake, call };

  void push(instant when, what_next kind, std::uint32_t which, std::uint32_t side, std::uint32_t slot);
  void run_node(node_id which);
  void send_one(port_id from, frame& sent);
  void fail(node_id which, std::string_view why);
  void deliver(link_id which, std::size_t side, std::uint32_t slot);
  void wake(node_id which, std::uint32_t generation);
  void plan_wake(node_id which);
  [[nodiscard]] std::uint32_t store(frame& kept);
  [[nodiscard]] instant to_local(place const& at, instant global) const;
  [[nodiscard]] instant to_global(place const& at, instant local) const;

  std::uint64_t seed_;
  instant now_ = start;
  std::uint64_t scheduled_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t trace_ = 0;
  std::uint64_t frames_ = 0;
  bool stopped_ = false;
  std::string problem_;
  frame sending_, arriving_;  ///< scratch, so that memory of frames goes round
  std::vector<event> queue_;  ///< a heap
  std::vector<std::unique_ptr<place>> nodes_;
  std::vector<std::unique_ptr<cable>> links_;
  std::vector<frame> slots_;  ///< frames under way
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::function<void()>> calls_;
  std::vector<std::uint32_t> free_calls_;
  std::vector<observer*> observers_;
};

}  // namespace morgana::sim
