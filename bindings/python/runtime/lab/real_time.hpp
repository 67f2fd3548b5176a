// Lets a world run by itself, in a thread, so that its time is the machine's: for networks of real guests,
// whose frames come and go through sockets (descriptor_node.hpp).
//
// Who calls into the world meanwhile holds `turn`; what he did is seen at once when he calls changed().
#pragma once

#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "descriptor_node.hpp"
#include "morgana/sim/world.hpp"

namespace morgana::python {

class real_time {
 public:
  /// Longest wait without a look around; also where nothing happens.
  static constexpr duration nap = 200ms;

  /// `is_worth_telling` is asked after each turn of the thread, which holds `turn` then.
  real_time(sim::world& runs, std::function<bool()> is_worth_telling);
  ~real_time();
  real_time(real_time const&) = delete;
  real_time& operator=(real_time const&) = delete;

  void start();
  /// Waits for the thread's end: nothing may be held that it waits for.
  void stop();
  void changed();
  [[nodiscard]] bool is_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }
  /// What the world's clock shows.
  [[nodiscard]] instant now() const;
  void add(sim::node_id at, descriptor_node& which) { sockets_.push_back({at, &which, true}); }
  /// With `turn` held: until somebody has something to tell, at most that long.
  void wait(std::unique_lock<std::mutex>& held, duration length);

  std::mutex turn;

 private:
  struct socket {
    sim::node_id at;
    descriptor_node* node;
    bool is_open;
  };
  void work();
  [[nodiscard]] std::vector<pollfd> wanted() const;

  sim::world& world_;
  std::function<bool()> is_worth_telling_;
  std::condition_variable told_;
  std::vector<socket> sockets_;
  int wake_;
  std::int64_t began_ns_;
  instant began_;
  std::atomic<bool> stopping_ = false;
  std::mutex ending_;
  std::thread thread_;
};

}  // namespace morgana::python
