// One run of one plan: chaos, then everything healed, then everything over; judged all the way.
#pragma once

#include <cstdint>
#include <string>

#include "plan.hpp"

namespace morgana::simulation {

struct run_options {
  std::string pcap;  ///< a file for what every host sends; empty: none
};

struct run_report {
  std::string violation;  ///< empty: all was well
  std::uint64_t trace = 0;
  std::uint64_t frames = 0, events = 0;
  duration virtual_time{};
  std::uint64_t bytes = 0;  ///< of streams, delivered and compared
  std::uint64_t retransmissions = 0, data_segments = 0, needless = 0;
  std::string hosts;                       ///< what each has counted, for people
  std::uint64_t complete = 0, failed = 0;  ///< sides of conversations
};

[[nodiscard]] run_report run(plan const& chosen, run_options const& options = {});

}  // namespace morgana::simulation
