// What the parts of a simulated host's platform know of each other. Private to targets/sim/guest.
//
// Global state is this host's own: each host is a private copy of the image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "morgana/sim/platform.h"

namespace morgana::sim {

/// The simulator's functions; null before the entry was called.
extern constinit morgana_sim_platform const* simulator;

inline morgana_sim_text text(std::string_view from) {
  return {.data = from.data(), .size = from.size()};
}

/// Makes the heap of the simulator's arena.
void start_heap(void* arena, std::size_t bytes, morgana_sim_usage* usage);
[[nodiscard]] std::size_t heap_limit_bytes();

/// A device that looks, whenever the host comes back from waiting, whether something arrived. deliver()
/// completes operations; it resumes no coroutine.
class pollable {
 public:
  pollable();
  pollable(pollable const&) = delete;
  pollable& operator=(pollable const&) = delete;
  virtual void deliver() = 0;
  static void deliver_all();

 protected:
  ~pollable();

 private:
  pollable* next_;
  pollable* previous_ = nullptr;
};

}  // namespace morgana::sim
