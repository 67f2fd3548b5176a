// What a simulation is made of; for its own sources.
#pragma once

#include <pthread.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "capture.hpp"
#include "descriptor_node.hpp"
#include "hub.hpp"
#include "morgana/sim/guest_node.hpp"
#include "morgana/sim/middlebox.hpp"
#include "morgana/sim/router.hpp"
#include "morgana/sim/world.hpp"
#include "raw_node.hpp"
#include "real_time.hpp"
#include "simulation.hpp"
#include "stack_host.hpp"

namespace morgana::python {

/// One node, and what it is: exactly one of the pointers is set while it has power.
struct member {
  enum class kind : std::uint8_t { stack, guest, raw, hub, router, box, descriptor };
  member(member::kind what, std::string called, std::uint32_t with_ports)
      : is(what), name(std::move(called)), ports(with_ports) {}

  member::kind is;
  std::string name;
  std::uint32_t ports;
  std::vector<bool> taken_ports;
  std::uint32_t boots = 0;
  stack_settings of_stack;
  guest_description of_guest;
  std::shared_ptr<sim::image const> image;
  stack_host* stack = nullptr;
  sim::guest_node* guest = nullptr;
  raw_node* raw = nullptr;
  python::hub* hub = nullptr;
  sim::router* router = nullptr;
  descriptor_node* descriptor = nullptr;
  sim::port_translator* translator = nullptr;
  std::size_t console_seen = 0;
};

/// All guests of a process belong to one thread (sim/guest.hpp): a simulation takes the right to have some,
/// if no other thread has it.
class guest_right {
 public:
  guest_right() = default;
  guest_right(guest_right const&) = delete;
  guest_right& operator=(guest_right const&) = delete;
  ~guest_right();
  [[nodiscard]] bool take();
  [[nodiscard]] bool has() const { return has_; }

 private:
  bool has_ = false;
};

struct simulation::state final : sim::observer {
  explicit state(std::uint64_t seed) : world(seed) {}

  [[nodiscard]] answer<member*> find(node_number which) const;
  /// A host with our stack, connected, its clock set to now.
  [[nodiscard]] answer<stack_host*> host(node_number which, bool must_be_connected = true);
  [[nodiscard]] answer<node_number> add(member made, std::unique_ptr<sim::node> node);
  [[nodiscard]] answer<std::unique_ptr<sim::node>> power_on(member& which);
  [[nodiscard]] std::array<std::uint8_t, 6> mac_for(std::string_view name) const;
  /// Begins an operation on a host.
  template <class Work>
  answer<operation> begin(node_number on, stack_host& host, Work&& make) {
    auto const number = ++operations;
    operation_at[number] = on;
    host.begin_operation(number, std::forward<Work>(make));
    world.touch(on);
    return number;
  }
  /// In the host's own time.
  [[nodiscard]] static instant deadline(stack_host const& at, std::optional<duration> timeout) {
    return timeout ? after(at.host_now(), *timeout) : never;
  }

  void on_ran(sim::node_id which, instant now) override;

  guest_right guests;
  // Before the world: its nodes use them until the last.
  finished_list finished;
  std::vector<std::unique_ptr<capture>> captures;
  sim::world world;
  std::vector<std::unique_ptr<member>> members;
  struct cable {
    sim::link_id link;
    node_number ends[2];
    std::uint32_t ports[2];
  };
  std::vector<cable> cables;
  instant world_now = sim::start;  ///< for nodes that need it
  operation operations = 0;
  std::map<operation, node_number> operation_at;
  handle handles = 0;
  pthread_t owner = ::pthread_self();
  std::uint64_t fork = 0;
  bool is_running = false;
  bool told = false, filter_failed = false;  ///< while it runs
  std::atomic<std::thread::id> holder;       ///< in real time, who calls
  std::unique_ptr<real_time> by_itself;      ///< last: its thread uses all of the above
};

}  // namespace morgana::python
