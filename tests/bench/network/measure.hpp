// How every benchmark of the network measures: CPU time of this process around the marked region, and what was
// allocated in it. Instructions are counted from outside, by callgrind, in the same region:
//
//   valgrind --tool=callgrind --toggle-collect=morgana_measured_region PROGRAM WORKLOAD COUNT
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>

namespace morgana::bench {

/// Calls of operator new so far, and bytes of them that are still in use (allocations.cpp).
std::uint64_t allocations();
std::uint64_t live_bytes();

inline double cpu_seconds() {
  timespec spent{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
}

/// The frame of this function is what callgrind collects in: it keeps its name and is never inlined.
extern "C" void morgana_measured_region(void (*body)(void*), void* context);

struct cost {
  double cpu_seconds = 0;
  std::uint64_t allocations = 0;
};

/// Runs `body` within the region and adds what it cost.
template <class Body>
void measure(cost& total, Body const& body) {
  auto const before = cpu_seconds();
  auto const allocated = allocations();
  morgana_measured_region([](void* context) { (*static_cast<Body const*>(context))(); },
                          const_cast<Body*>(&body));
  total.allocations += allocations() - allocated;
  total.cpu_seconds += cpu_seconds() - before;
}

}  // namespace morgana::bench
