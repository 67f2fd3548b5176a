// What must be true of every TCP/IP host at every step, whatever the network does to it.
//
// wire_oracle judges by frames alone, with code of its own (packet.hpp): what a host sends against what it
// sent and was given before. It needs nothing of the stack, so that it watches images as well as bare hosts.
//   - every checksum is right
//   - no acknowledgment, and no SACK block, goes beyond what was received, and none goes back
//   - the right edge of the receive window never moves left (but by the rounding of its scale)
//   - no new data lies beyond the window that the peer offered
//   - no two connections of a host begin with the same number
//   - a SYN that is sent again has the options it had
//   - whoever closed first resets nothing of that connection while it is in TIME-WAIT
//
// connection_oracle judges one connection by its information, from step to step.
//   - states follow each other as RFC 9293 3.3.2 allows
//   - SND.UNA and RCV.NXT never go back; SND.UNA <= SND.NXT
//   - while something is outstanding or unsent there is a deadline, and not one beyond the longest timeout
//   - what is newly sent fits into the congestion window
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "morgana/net/tcp/connection.hpp"
#include "morgana/sim/packet.hpp"
#include "morgana/sim/world.hpp"

namespace morgana::sim {

class wire_oracle : public observer {
 public:
  /// Watches nodes that `judge` was called for; stops the world at the first violation.
  explicit wire_oracle(world& all) : world_(all) { all.watch(*this); }
  void judge(node_id host);
  /// The host lost what it knew: what it says from now on is not held against what it said before.
  void forget(node_id host);

  /// What was violated, with host, time and packet; empty while nothing is.
  [[nodiscard]] std::string const& violation() const { return violation_; }
  [[nodiscard]] std::uint64_t segments() const { return segments_; }
  /// Segments that carried bytes sent before, and all that carried bytes.
  [[nodiscard]] std::uint64_t retransmissions() const { return retransmissions_; }
  [[nodiscard]] std::uint64_t data_segments() const { return data_segments_; }
  /// Those of them that carried nothing but what the peer had said by SACK that it has.
  [[nodiscard]] std::uint64_t needless() const { return needless_; }

  void on_sent(port_id from, frame const& sent, instant now) override;
  void on_delivered(port_id to, frame const& arrived, instant now) override;

 private:
  struct flow_key {
    std::array<std::byte, 40> bytes{};  ///< node, family, ports, addresses: ours first
    friend bool operator==(flow_key const&, flow_key const&) = default;
  };
  struct flow_hash {
    std::size_t operator()(flow_key const& key) const;
  };
  /// One incarnation of a connection, as its host sees it.
  struct flow {
    bool has_sent_syn = false, has_received_syn = false, has_acknowledged = false;
    std::uint32_t initial = 0, sent_to = 0;  ///< ours; the end of what was sent
    std::uint32_t peer_initial = 0, received_to = 0;
    std::uint32_t acknowledged = 0;  ///< the most that we acknowledged
    std::uint32_t edge = 0;          ///< the most that we offered
    std::uint32_t peer_edge = 0;     ///< the most that the peer offered
    bool has_peer_edge = false;
    int scale = -1, peer_scale = -1;  ///< of the SYNs as they were sent and as they arrived
    std::uint32_t syn_seen = 0;       ///< of a SYN that may begin another incarnation
    bool has_syn_seen = false;
    int syn_seen_scale = -1;
    int syn_scale[2] = {-2, -2};  ///< of the first SYN and of the first SYN-ACK; -2: none was sent
    bool syn_sack[2] = {false, false};
    std::vector<std::array<std::uint32_t, 2>> reported;  ///< what the peer has beyond a gap
    std::uint32_t fin = 0, peer_fin = 0;                 ///< behind them
    bool has_sent_fin = false, has_received_fin = false, closes_first = false;
    bool is_last_to_close = false;  ///< it took the other's FIN before it sent its own
    bool is_fin_acknowledged = false, was_last_syn = false;
    instant time_wait_since = never;  ///< of its host's clock
    [[nodiscard]] unsigned shift() const {
      return scale < 0 || peer_scale < 0 ? 0u : static_cast<unsigned>(scale);
    }
    [[nodiscard]] unsigned peer_shift() const {
      return scale < 0 || peer_scale < 0 ? 0u : static_cast<unsigned>(peer_scale);
    }
  };

  [[nodiscard]] static flow_key key_of(node_id host, std::span<std::byte const> frame, tcp_packet const& t,
                                       bool is_ours);
  void judge_segment(flow& f, flow_key const& key, std::span<std::byte const> frame, tcp_packet const& t,
                     node_id host);
  void judge_syn(flow& f, flow_key const& key, tcp_packet const& t, node_id host);
  void judge_reset(flow_key const& key, tcp_packet const& t, node_id host);
  void take_reports(flow& f, std::span<std::byte const> frame, tcp_packet const& t);
  void violated(node_id host, std::string const& what, tcp_packet const* t);

  world& world_;
  std::vector<bool> judged_;
  std::unordered_map<flow_key, flow, flow_hash> flows_;  ///< looked up, never walked
  struct initial_key {
    node_id host = 0;
    std::uint32_t number = 0;
    friend auto operator<=>(initial_key const&, initial_key const&) = default;
  };
  std::map<initial_key, flow_key> initials_;
  std::string violation_;
  std::uint64_t segments_ = 0, retransmissions_ = 0, data_segments_ = 0, needless_ = 0;
};

class connection_oracle {
 public:
  /// What is violated, in words; empty when nothing is. Call it after every step of its host; `now` is the
  /// host's.
  [[nodiscard]] std::string check(net::tcp::information const& facts, net::tcp::settings const& chosen,
                                  instant now);

 private:
  bool is_first_ = true;
  net::tcp::information last_;
};

/// Whether a connection seen in `from` may be in `to` at a later look.
[[nodiscard]] bool may_follow(net::tcp::state from, net::tcp::state to);
[[nodiscard]] std::string_view name_of(net::tcp::state which);

}  // namespace morgana::sim
