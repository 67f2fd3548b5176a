// The record of one connection: the transmission control block of RFC 9293 3.3.1, and the handle its user
// has. It holds state; what happens to it is in machine.hpp's parts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "congestion.hpp"
#include "deadlines.hpp"
#include "flow.hpp"
#include "list.hpp"
#include "morgana/net/tcp/connection.hpp"
#include "morgana/net/tcp/engine.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "receive_queue.hpp"
#include "round_trip.hpp"
#include "send_queue.hpp"
#include "sent_list.hpp"

namespace morgana::net::tcp {

class machine;
class tcb;
class port;  // a listener
struct output_tag;
struct event_tag;

/// Something the user waits for; queued for poll_event while `ready` has bits.
struct event_source : hook<event_tag> {
  enum class kind : std::uint8_t { connection, listener };
  explicit event_source(event_source::kind what) : what(what) {}
  event_source::kind what;
  std::uint8_t ready = 0;
};

/// What the handshake agreed on.
struct agreed {
  std::uint16_t peer_segment_bytes = 536;  ///< its MSS option, bounded below
  std::uint8_t send_scale = 0;
  std::uint8_t receive_scale = 0;
  bool timestamps = false;
  bool sack = false;
  bool ecn = false;
};

/// `reduced`: the window shrinks after a congestion mark, as in fast recovery, but nothing was lost.
enum class recovery_phase : std::uint8_t { open, fast_recovery, timeout, mtu, reduced };
enum class timer_kind : std::uint8_t { none, retransmission, loss_probe, reordering, window_probe };

/// What is known of a connection, and stays so until something takes the ordinary way (prediction.cpp).
namespace calm {
inline constexpr std::uint8_t hears = 0x01;            ///< no loss, no gap, no congestion to report
inline constexpr std::uint8_t receives = 0x02;         ///< data may come, and its user has the connection
inline constexpr std::uint8_t is_acknowledged = 0x04;  ///< what is out was sent once, and later than all that arrived
inline constexpr std::uint8_t speaks = 0x08;           ///< nothing changes when or how data goes
inline constexpr std::uint8_t waits = 0x10;            ///< only for losses, and to acknowledge
}  // namespace calm

/// Connections that were told the same have one copy of it together; who changes something has one of its own.
struct shared_settings : settings {
  explicit shared_settings(settings const& what) : settings(what) {}
  mutable std::uint32_t users = 0;
};

/// What only connections have with which something is not as it should be, or that were told something special.
struct unusual {
  // Path-MTU probing (RFC 4821): what surely passes, and what may; of whole packets, 0: not known yet.
  std::uint32_t mtu_proven = 0, mtu_limit = 0;
  wire::sequence mtu_probe_begin, mtu_probe_end;
  instant paced_until = instant::min();
  instant keepalive_at = never;
  instant challenged_at = instant::min();
  // Recovery
  wire::sequence recovery_point;
  wire::sequence reorder_round_end;
  wire::sequence loss_probe_end;
  wire::sequence ecn_point;  ///< one reduction per window
  std::uint32_t retransmissions_to_undo = 0;
  std::uint32_t retransmitted_timestamp = 0;  ///< TSval of the first retransmission (RFC 3522)
  std::uint32_t delivered_in_recovery = 0;    ///< PRR (RFC 6937)
  std::uint32_t sent_in_recovery = 0;
  std::uint32_t flight_at_recovery = 0;
  std::uint8_t reorder_rounds = 0;    ///< RACK.reo_wnd_persist
  std::uint8_t reorder_quarters = 1;  ///< RACK.reo_wnd_mult
  std::uint8_t spurious_step = 0;     ///< F-RTO (RFC 5682)
  // For people.
  std::uint32_t reorderings = 0;
  std::uint32_t reordering_bytes = 0;
  std::uint32_t segments_retransmitted = 0;
};

/// What a connection has while something is under way: who waits for its user or its peer has given it back
/// (machine::rest).
struct busy_part {
  explicit busy_part(machine& host);
  send_queue send;
  sent_list flight;
  receive_queue receive;
  // Timers; one deadline is the least of them.
  instant timer_at = never;  ///< retransmission, loss probe, reordering or window probe
  instant acknowledge_at = never;
  instant end_at = never;         ///< FIN-WAIT-2 of a released connection
  instant stalled_since = never;  ///< user timeout: since when data waits without progress
  instant syn_sent_at{};
  /// receive_buffer() and receive_step(), as long as calm::speaks holds.
  std::uint32_t calm_buffer = 0, calm_step = 1;
};

class tcb final : public connection,
                  public flow,
                  public timed,
                  public event_source,
                  public hook<output_tag> {
 public:
  tcb(machine& host, flow_key const& which, shared_settings const& with);

  [[nodiscard]] endpoint local() const override { return {key.local, key.local_port}; }
  [[nodiscard]] endpoint peer() const override { return {key.peer, key.peer_port}; }
  [[nodiscard]] tcp::state state() const override { return current; }
  [[nodiscard]] information info() const override;
  [[nodiscard]] settings& options() override;
  [[nodiscard]] std::optional<net_error> failure() const override { return failed; }
  [[nodiscard]] result<std::size_t> write(std::span<std::byte const> bytes, instant now, more what) override;
  void flush(instant now) override;
  [[nodiscard]] result<bool> write(std::span<slice> owned, instant now) override;
  [[nodiscard]] result<std::optional<std::size_t>> read(std::span<std::byte> into, instant now) override;
  [[nodiscard]] bool is_readable() const override;
  [[nodiscard]] std::span<std::byte const> peek() const override;
  void consume(std::size_t bytes, instant now) override;
  void shutdown(instant now) override;
  void abort(instant now) override;
  void release(instant now) override;

  /// What begins now needs its busy part.
  void engage(instant now);
  /// Its settings where nobody else has them, too.
  [[nodiscard]] settings& own_settings();
  /// Something is not as it was: whoever relies on `calm` has to ask again.
  void disturb() { calm = 0; }
  /// The same for these alone of what is known.
  void unlearn(std::uint8_t which) { calm &= static_cast<std::uint8_t>(~which); }
  [[nodiscard]] result<std::size_t> write_more(std::span<std::byte const> bytes, instant now, more what);
  [[nodiscard]] result<std::optional<std::size_t>> read_more(std::span<std::byte> into, instant now);
  void user_sent(instant now, more what = more::none);
  void describe_flight(information& all) const;
  void shutdown_released(instant now);

  /// As it would be if nothing unusual had happened, when nothing has.
  [[nodiscard]] unusual const& rare() const {
    static constexpr unusual nothing;
    return rare_ == nullptr ? nothing : *rare_;
  }
  /// The same, to be changed: from then on it is there.
  [[nodiscard]] unusual& make_rare() { return rare_ != nullptr ? *rare_ : made_rare(); }

  // ---- derived from the state
  // ------------------------------------------------------------------------------
  [[nodiscard]] bool synchronized() const { return current >= tcp::state::established; }
  [[nodiscard]] std::uint32_t outstanding() const { return send_next.value - send_una.value; }
  [[nodiscard]] std::uint32_t in_flight() const;
  [[nodiscard]] std::uint32_t receive_space() const;
  [[nodiscard]] std::uint32_t receive_buffer() const;
  /// By how much the window's edge moves at least.
  [[nodiscard]] std::uint32_t receive_step() const { return receive_step(receive_buffer()); }
  [[nodiscard]] std::uint32_t receive_step(std::uint32_t buffer) const {
    return std::min(segment_bytes(), std::max(buffer / 2, 1u));
  }
  /// The same as receive_space() while calm::speaks holds.
  [[nodiscard]] std::uint32_t calm_receive_space() const;
  [[nodiscard]] std::uint32_t send_buffer() const;
  void tune_receive_buffer(instant now);
  void was_read(std::size_t bytes, instant now);
  /// The output pass has nothing more for it.
  [[nodiscard]] bool has_said_all() const {
    return has_sent_all() && !want_syn && !acknowledge_now && !want_loss_probe && !want_window_probe &&
           busy->flight.lost_bytes() == 0;
  }
  /// The user's last byte, and its FIN.
  [[nodiscard]] bool has_sent_all() const { return send_next == busy->send.end() + (fin_queued ? 1u : 0u); }
  [[nodiscard]] bool may_send_data() const {
    return current == tcp::state::established || current == tcp::state::close_wait;
  }
  [[nodiscard]] bool may_receive_data() const {
    static_assert(static_cast<int>(tcp::state::fin_wait_2) - static_cast<int>(tcp::state::established) == 2);
    return current >= tcp::state::established && current <= tcp::state::fin_wait_2;
  }
  [[nodiscard]] bool fin_sent() const { return fin_queued && send_next == busy->send.end() + 1; }
  [[nodiscard]] wire::sequence receive_next() const { return busy->receive.next(); }
  /// Payload of a full segment, options of data segments taken off.
  [[nodiscard]] std::uint32_t segment_bytes() const { return segment_bytes_now; }

  // ---- state
  // -------------------------------------------------------------------------------------------------
  machine* host;
  tcp::state current = tcp::state::closed;
  shared_settings const* chosen;
  std::optional<net_error> failed;
  agreed terms;
  busy_part* busy;  ///< null: nothing is sent, queued or waited for
  port* parent = nullptr;  ///< the listener, until accepted
  std::uint64_t addresses_sum = 0;  ///< the words of a segment's pseudo-header, but for its length
  std::uint64_t way = 0;            ///< what addressing::way points to

  // Send sequence space, RFC 9293 3.3.1.
  wire::sequence send_una, send_next, send_initial;
  wire::sequence window_sequence, window_acknowledgment;  ///< SND.WL1, SND.WL2
  std::uint32_t send_window = 0;
  std::uint32_t send_window_largest = 0;
  std::uint32_t flight_largest = 0;  ///< of a round: whether the congestion window was used
  wire::sequence flight_round_end;
  std::uint32_t segment_bytes_now = 536;
  std::uint32_t mtu_bytes = 1500;
  wire::sequence push_point;   ///< where the user's last write ended
  wire::sequence flush_to;     ///< what may not be held back any more
  wire::sequence pushed_to;    ///< the last PSH of a write's end, or in place of one
  wire::sequence small_until;  ///< end of the last segment that was not full (Nagle as Minshall has it)

  // Receive sequence space.
  wire::sequence receive_initial;
  wire::sequence receive_rested;  ///< RCV.NXT while there is nothing to receive into
  wire::sequence receive_edge;  ///< the right edge of the window that the peer was promised
  wire::sequence acknowledged_to;      ///< Last.ACK.sent
  std::uint32_t recent_timestamp = 0;  ///< TS.Recent
  std::uint32_t timestamp_offset = 0;
  std::uint32_t receive_buffer_grown = 0;  ///< beyond the default, when the user reads so fast
  std::uint32_t read_bytes = 0;            ///< in this round trip
  instant tune_at = instant::min();        ///< its end
  wire::sequence fin_at;  ///< of the peer's FIN that came beyond a gap

  round_trip trip;
  congestion control;

  instant last_received_at{};
  instant last_sent_at{};
  instant confirm_at = instant::min();  ///< when progress is told to IP again
  timer_kind timer = timer_kind::none;

  // Recovery
  recovery_phase phase = recovery_phase::open;
  std::uint8_t backoff = 0;  ///< retransmissions of the same data
  std::uint8_t probes = 0;   ///< window or keepalive probes without an answer
  std::uint8_t duplicate_acks = 0;
  instant rack_sent_at = instant::min();
  wire::sequence rack_end;
  duration rack_trip{};

  // Wishes of the output pass.
  bool want_syn : 1 = false;
  bool acknowledge_now = false;
  bool probe_moves = false;    ///< new data went out: the loss probe's time begins anew, and is not in timer_at yet
  bool want_loss_probe : 1 = false;
  bool want_window_probe : 1 = false;
  // Flags
  bool released : 1 = false;
  bool fin_queued : 1 = false;    ///< the user shut down
  bool fin_received : 1 = false;  ///< in order
  bool fin_beyond_gap : 1 = false;
  bool reordering_seen : 1 = false;
  bool loss_probe_out : 1 = false;
  bool loss_probe_was_new : 1 = false;
  bool ecn_must_echo : 1 = false;
  bool ecn_reduced : 1 = false;  ///< CWR goes with the next new data
  bool ecn_offered : 1 = false;
  bool window_limited = false;  ///< the congestion window was what held output back, in this round
  bool window_blocked = false;  ///< the same, the last time there was a look
  bool sent_data = false;       ///< new data, since the last look
  bool undo_possible : 1 = false;
  bool has_recent_timestamp : 1 = false;
  bool writer_waits : 1 = false;    ///< a write did not take all it was given
  bool super_segments : 1 = false;  ///< routing::path::segmentation and checksum
  bool partial_checksum : 1 = false;
  bool pacing_waits = false;
  bool mtu_probe_out : 1 = false;
  bool syn_unacknowledged : 1 = false;  ///< opened fast: the SYN-ACK is in flight, and before all else
  bool more_follows = false;  ///< the user said so with its last write
  std::uint8_t calm = 0;        ///< of calm::hears and the others, those known to be so
  std::uint8_t quick_acks = 0;  ///< this many more are sent without delay
  std::uint8_t segments_unacknowledged = 0;

  // For people.
  std::uint16_t received_segment_bytes = 0;
  std::uint16_t fast_open_bytes = 0;  ///< went or came with the SYN; a client's that were not all taken: 0
  instant last_data_at{};
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint32_t segments_sent = 0, segments_received = 0;

 private:
  [[nodiscard]] unusual& made_rare();
  std::unique_ptr<unusual> rare_;
};

}  // namespace morgana::net::tcp
