#include <algorithm>
#include <array>
#include <string>

#include "morgana/sim/oracle.hpp"

namespace morgana::sim {

using net::tcp::state;

namespace {

constexpr std::size_t states = 11;
/// RFC 6298 2.5, and the longest wait between window probes: nothing waits longer without trying.
constexpr duration longest_wait = 121s;

constexpr std::uint16_t bit(state which) {
  return static_cast<std::uint16_t>(1u << static_cast<unsigned>(which));
}

/// The arrows of RFC 9293, figure 5, and of 3.10.7 (resets and aborts go to closed from anywhere).
constexpr std::array<std::uint16_t, states> arrows = {
    /* closed       */ 0,
    /* listen       */ static_cast<std::uint16_t>(bit(state::syn_received) | bit(state::syn_sent)),
    /* syn_sent     */ static_cast<std::uint16_t>(bit(state::syn_received) | bit(state::established)),
    /* syn_received */ static_cast<std::uint16_t>(bit(state::established) | bit(state::fin_wait_1)),
    /* established  */ static_cast<std::uint16_t>(bit(state::fin_wait_1) | bit(state::close_wait)),
    /* fin_wait_1   */
    static_cast<std::uint16_t>(bit(state::fin_wait_2) | bit(state::closing) | bit(state::time_wait)),
    /* fin_wait_2   */ bit(state::time_wait),
    /* close_wait   */ bit(state::last_ack),
    /* closing      */ bit(state::time_wait),
    /* last_ack     */ 0,
    /* time_wait    */ 0,
};

constexpr std::array<std::uint16_t, states> closure() {
  auto all = arrows;
  for (std::size_t i = 0; i < states; ++i) {
    all[i] = static_cast<std::uint16_t>(all[i] | 1u << i | bit(state::closed));
  }
  for (std::size_t round = 0; round < states; ++round) {
    for (std::size_t i = 0; i < states; ++i) {
      for (std::size_t j = 0; j < states; ++j) {
        if ((all[i] >> j & 1u) != 0) all[i] = static_cast<std::uint16_t>(all[i] | all[j]);
      }
    }
  }
  return all;
}
constexpr auto reachable = closure();

bool goes_back(std::uint32_t before, std::uint32_t after) {
  return static_cast<std::int32_t>(after - before) < 0;
}

}  // namespace

bool may_follow(state from, state to) {
  return (reachable[static_cast<std::size_t>(from)] >> static_cast<std::size_t>(to) & 1u) != 0;
}

std::string_view name_of(state which) {
  constexpr std::array<std::string_view, states> names = {
      "closed",     "listen",     "syn_sent", "syn_received", "established", "fin_wait_1",
      "fin_wait_2", "close_wait", "closing",  "last_ack",     "time_wait"};
  return names[static_cast<std::size_t>(which)];
}

std::string connection_oracle::check(net::tcp::information const& facts, net::tcp::settings const& chosen,
                                     instant now) {
  auto const before = last_;
  auto const was_first = is_first_;
  last_ = facts;
  is_first_ = false;
  if (!was_first) {
    if (!may_follow(before.state, facts.state)) {
      return "its state goes from " + std::string(name_of(before.state)) + " to " +
             std::string(name_of(facts.state));
    }
    if (goes_back(before.send_unacknowledged, facts.send_unacknowledged)) return "SND.UNA goes back";
    bool const had_peer = before.state >= state::syn_received;
    if (had_peer && goes_back(before.receive_next, facts.receive_next)) return "RCV.NXT goes back";
  }
  if (facts.state == state::closed || facts.state == state::time_wait || facts.state == state::listen)
    return {};
  auto const outstanding = facts.send_next - facts.send_unacknowledged;
  if (goes_back(facts.send_unacknowledged, facts.send_next)) return "SND.UNA is beyond SND.NXT";
  if (outstanding != 0 || facts.unsent_bytes != 0) {
    if (facts.deadline == never) return "something is outstanding, and no timer runs";
    auto const bound = std::max(longest_wait, chosen.keepalive ? chosen.keepalive_idle : 0s);
    if (facts.deadline - now > bound) return "something is outstanding, and nothing happens for two minutes";
  }
  if (facts.bytes_in_flight > outstanding) return "more in flight than outstanding";
  if (facts.bytes_sent > before.bytes_sent && !was_first && before.state >= state::established) {
    // One segment may overshoot, two ride on limited transmit (RFC 3042). A loss probe of new data asks no window
    // (RFC 8985 7.3), be it one that a congestion mark has just halved.
    bool const is_probe = facts.bytes_sent - before.bytes_sent <= facts.maximum_segment_size;
    auto const window = std::max(before.congestion_window_bytes, facts.congestion_window_bytes);
    auto const allowance = 4 * std::max(facts.maximum_segment_size, before.maximum_segment_size);
    if (facts.bytes_in_flight > window + allowance && !is_probe) {
      return std::to_string(facts.bytes_in_flight) + " bytes in flight, the congestion window is " +
             std::to_string(window);
    }
  }
  return {};
}

}  // namespace morgana::sim
