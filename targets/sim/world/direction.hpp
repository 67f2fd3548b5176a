// One direction of a link: what happens to each frame, decided the moment it is sent. The queue is first in,
// first out, so when a frame will leave it is known when it enters; drops that a real queue decides on at its
// head (CoDel) come out the same.
#pragma once

#include <cstdint>
#include <vector>

#include "morgana/sim/frame.hpp"
#include "morgana/sim/link.hpp"
#include "morgana/sim/random.hpp"

namespace morgana::sim {

class link_direction {
 public:
  link_direction(link_settings const& chosen, random_source const& random, instant now)
      : settings(chosen), random_(random), since_(now) {}

  void set(link_settings const& to, instant now);

  /// Up to two arrivals of one sent frame.
  struct verdict {
    std::uint8_t copies = 0;
    instant at[2]{};
  };
  /// May change the frame (marks, corruption).
  [[nodiscard]] verdict pass(frame& sent, instant now);

  link_settings settings;
  link_counters counters;
  std::vector<std::uint32_t> held;  ///< slots of frames that wait for is_held to end

 private:
  [[nodiscard]] bool lost();
  [[nodiscard]] bool is_down(instant now) const;
  void corrupt(frame& sent);
  /// When the last bit has left the queue; nothing when there was no room.
  [[nodiscard]] bool enqueue(frame& sent, instant now, instant& left);
  [[nodiscard]] bool codel_drops(instant leaving, duration sojourn);

  random_source random_;
  instant since_;  ///< when this up-and-down began
  instant busy_until_{};
  instant last_arrival_{};
  bool in_burst_ = false;
  // CoDel (RFC 8289)
  instant first_above_{};
  instant drop_next_{};
  std::uint32_t drop_count_ = 0;
  std::uint32_t last_count_ = 0;
  bool dropping_ = false;
};

/// Sets the congestion mark of a packet that is capable of it; false when it is not.
[[nodiscard]] bool mark_congestion(frame& sent);

}  // namespace morgana::sim
