// One TCP connection as its user sees it (RFC 9293), without I/O: bytes are written into it and read from it,
// and it says when that is worth trying again. The coroutine shell (direct_stack), the simulator, packetdrill
// and Python all use this interface; engine.hpp moves its packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/core/result.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::net::tcp {

/// RFC 9293 3.3.2.
enum class state : std::uint8_t {
  closed, listen, syn_sent, syn_received, established, fin_wait_1, fin_wait_2, close_wait, closing, last_ack, time_wait,
};

enum class congestion_control : std::uint8_t { new_reno, cubic };

/// Whether what is written before the SYN leaves goes with it (RFC 7413): never; when the peer gave us a cookie, else one
/// is asked for; or always, for peers that are known to take it.
enum class fast_open : std::uint8_t { no, with_cookie, without_cookie };

inline constexpr std::uint32_t receive_buffer_bytes_default = 256 * 1024;
inline constexpr std::uint32_t send_buffer_bytes_default = 1u << 20;

/// What a connection can be told; all may change while it lives.
struct settings {
  bool no_delay = true;                       ///< false: Nagle's algorithm (RFC 9293 3.7.4)
  bool keepalive = false;
  duration keepalive_idle = 2h;
  duration keepalive_interval = 75s;
  std::uint8_t keepalive_probes = 9;
  bool ecn = false;                           ///< ask for ECN when connecting (RFC 3168); a listener always agrees
  bool timestamps = true;                     ///< offer or accept them (RFC 7323)
  duration user_timeout = 0s;                 ///< RFC 5482; 0: by the number of retransmissions
  congestion_control control = congestion_control::cubic;
  std::uint8_t differentiated_services = 0;   ///< RFC 2474: six bits; 46 is expedited forwarding
  /// A size that is chosen is kept. These, the default, are where buffers begin: they grow to the limits while the
  /// user reads as fast as data comes, and as the congestion window asks for.
  std::uint32_t receive_buffer_bytes = receive_buffer_bytes_default;
  std::uint32_t send_buffer_bytes = send_buffer_bytes_default;
  /// The largest segment in either direction, options included (RFC 6691); 0: what the path carries. Before
  /// connecting, or on a listener.
  std::uint16_t maximum_segment_bytes = 0;
  /// What does not fill a segment waits for more, for flush(), or for a retransmission timeout at most.
  bool hold_partial = false;
  /// Spreads segments over the round trip, except the first ten, instead of sending them as acknowledgments
  /// come.
  bool pacing = false;
  std::uint8_t super_segment_min = 2;  ///< as many segments leave as one super-segment, however slow the path
  bool loss_probe = true;              ///< RFC 8985, 7
  /// Slow start that finds the round trip rising ends slowly, as HyStart++ has it (RFC 9406), or at once, as
  /// HyStart (S. Ha and I. Rhee, 2011) and Linux have it.
  bool leave_slow_start_slowly = true;
  bool restart_after_idle = true;  ///< RFC 5681, 4.1: the window shrinks while it is not used
  /// Packetization-layer path-MTU discovery (RFC 4821): larger segments of data look for a larger path MTU.
  /// This is the segment size where the search begins; 0: no search.
  std::uint16_t probe_mtu_from = 0;
  tcp::fast_open fast_open = tcp::fast_open::no;  ///< before connecting
  std::uint8_t syn_retries = 0;                   ///< before connecting gives up; 0: as network_limits says

  friend bool operator==(settings const&, settings const&) = default;
};

/// Where a sender stands with losses; the numbers are those of Linux's tcp_ca_state.
enum class loss_phase : std::uint8_t {
  open,      ///< nothing unusual
  disorder,  ///< something is acknowledged beyond a gap
  reduced,   ///< after a congestion mark (RFC 3168)
  recovery,  ///< retransmitting what was found lost
  loss,      ///< after a retransmission timeout
};

/// For people, tests and metrics; never for decisions of the protocol.
struct information {
  tcp::state state = state::closed;
  std::uint32_t maximum_segment_size = 0;
  duration smoothed_round_trip{};
  duration retransmission_timeout{};
  std::uint32_t congestion_window_bytes = 0;
  std::uint32_t slow_start_threshold_bytes = 0;
  std::uint32_t bytes_in_flight = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0, bytes_acknowledged = 0;
  std::uint64_t segments_sent = 0, segments_received = 0, segments_retransmitted = 0;
  bool has_timestamps = false, has_sack = false, has_ecn = false;
  std::uint8_t send_window_scale = 0, receive_window_scale = 0;

  // What a simulator's oracles compare with what it saw: RFC 9293 3.3.1.
  std::uint32_t send_unacknowledged = 0;      ///< SND.UNA
  std::uint32_t send_next = 0;                ///< SND.NXT
  std::uint32_t send_window_bytes = 0;        ///< SND.WND
  std::uint32_t receive_next = 0;             ///< RCV.NXT
  std::uint32_t unsent_bytes = 0;             ///< written, and never sent yet; the FIN counts as one
  instant deadline = never;                   ///< when it acts by itself at the latest, should nothing arrive
  duration round_trip_variation{}, minimum_round_trip{};
  loss_phase phase = loss_phase::open;
  // Of what is in flight, in segments.
  std::uint32_t segments_unacknowledged = 0, segments_sacked = 0, segments_lost = 0;
  std::uint32_t segments_retransmitted_in_flight = 0;
  std::uint32_t reordering_segments = 3, reorderings = 0;  ///< the furthest that was seen, and how often
  std::uint32_t received_segment_bytes = 0;                ///< the largest that came
  std::uint32_t advertised_segment_bytes = 0;              ///< our MSS option
  std::uint32_t send_queue_bytes = 0, receive_queue_bytes = 0;
  std::uint8_t retransmissions_in_a_row = 0, window_probes = 0;
  instant last_data_received_at{};  ///< or the end of the handshake
  bool peer_ended = false;  ///< its FIN came, in order
  /// Data that went, or came, with the SYN and was taken (RFC 7413); of a client's only when all of it was.
  std::uint32_t fast_open_bytes = 0;
};

/// Which of a user's waits may have an answer now; a set, reported by engine::poll_event.
enum readiness : std::uint8_t {
  ready_connected = 0x01,                     ///< the handshake is done, or failed (see error())
  ready_to_read = 0x02,                       ///< bytes, the end of the stream, or an error
  ready_to_write = 0x04,                      ///< room again, or an error
  ready_to_accept = 0x08,                     ///< listeners only
  ready_closed = 0x10,                        ///< nothing more will happen; the handle may be released
};

/// Whether more is about to be written: then what does not fill a segment may wait for it.
enum class more : bool { none, follows };

/// A handle is owned by its user: release() gives it up, after which the engine finishes the connection in
/// order by itself. All calls take `now` where they may send.
class connection {
 public:
  connection(connection const&) = delete;
  connection& operator=(connection const&) = delete;

  [[nodiscard]] virtual endpoint local() const = 0;
  [[nodiscard]] virtual endpoint peer() const = 0;
  [[nodiscard]] virtual tcp::state state() const = 0;
  [[nodiscard]] virtual information info() const = 0;
  /// To be asked for at each change: what is changed through an older reference may be noticed late.
  [[nodiscard]] virtual settings& options() = 0;

  /// Why it ended, once it did: net_error::reset, refused, timed_out, unreachable.
  [[nodiscard]] virtual std::optional<net_error> failure() const = 0;

  /// Copies as much as there is room for and says how much; 0 means wait for ready_to_write. PSH is set at
  /// the end of a call's data, unless more follows. Errors: not_connected after shutdown() or abort(), and
  /// failure().
  [[nodiscard]] virtual result<std::size_t> write(std::span<std::byte const> bytes, instant now,
                                                  more what = more::none) = 0;
  /// Sends what was held back.
  virtual void flush(instant now) = 0;
  /// Takes slices without a copy, all of them or none (then false); they are held until acknowledged.
  [[nodiscard]] virtual result<bool> write(std::span<slice> owned, instant now) = 0;

  /// Copies what has arrived in order; 0 at the end of the peer's stream; nothing when there is nothing yet.
  [[nodiscard]] virtual result<std::optional<std::size_t>> read(std::span<std::byte> into, instant now) = 0;
  /// Whether read() has bytes, the end or an error to give.
  [[nodiscard]] virtual bool is_readable() const = 0;
  /// The first run of bytes that arrived in order, in place; consume() lets them go and may open the window.
  [[nodiscard]] virtual std::span<std::byte const> peek() const = 0;
  virtual void consume(std::size_t bytes, instant now) = 0;

  /// Half-close: FIN after all that was written.
  virtual void shutdown(instant now) = 0;
  /// RST, at once; what was not sent is lost.
  virtual void abort(instant now) = 0;
  /// The user is done with the handle. Unread data makes it an abort (RFC 9293 3.10.4, RFC 1122 4.2.2.13).
  virtual void release(instant now) = 0;

  /// The user's own, for finding its waiters from an event.
  void* user = nullptr;

 protected:
  connection() = default;
  ~connection() = default;
};

/// TCP Fast Open of a listener (RFC 7413); its cookies are SipHash-2-4 of both addresses, as Linux has them.
struct fast_open_acceptance {
  std::uint32_t pending_max = 0;  ///< connections whose handshake is not done (5.1); 0: off
  bool needs_cookie = true;       ///< false only where nobody can lie about its address
  siphash_key key;                ///< servers behind one address share one; at first the host's own
};

/// A port that accepts.
class listener {
 public:
  listener(listener const&) = delete;
  listener& operator=(listener const&) = delete;

  [[nodiscard]] virtual endpoint local() const = 0;
  /// The next connection whose handshake is done, or null. The caller owns the handle.
  [[nodiscard]] virtual connection* accept() = 0;
  /// What accepted connections start with.
  [[nodiscard]] virtual settings& options() = 0;
  [[nodiscard]] virtual fast_open_acceptance& fast_open() = 0;
  virtual void release(instant now) = 0;
  void* user = nullptr;

 protected:
  listener() = default;
  ~listener() = default;
};

}  // namespace morgana::net::tcp
