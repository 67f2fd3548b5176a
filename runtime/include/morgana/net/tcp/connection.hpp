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
#include "morgana/net/segment.hpp"

namespace morgana::net::tcp {

/// RFC 9293 3.3.2.
enum class state : std::uint8_t {
  closed, listen, syn_sent, syn_received, established, fin_wait_1, fin_wait_2, close_wait, closing, last_ack, time_wait,
};

enum class congestion_control : std::uint8_t { new_reno, cubic };

/// What a connection can be told; all may change while it lives.
struct settings {
  bool no_delay = true;                       ///< false: Nagle's algorithm (RFC 9293 3.7.4)
  bool keepalive = false;
  duration keepalive_idle = 2h;
  duration keepalive_interval = 75s;
  std::uint8_t keepalive_probes = 9;
  bool ecn = false;                           ///< ask for ECN when connecting (RFC 3168); a listener always agrees
  duration user_timeout = 0s;                 ///< RFC 5482; 0: by the number of retransmissions
  congestion_control control = congestion_control::cubic;
  std::uint8_t differentiated_services = 0;   ///< RFC 2474: six bits; 46 is expedited forwarding
  std::uint32_t receive_buffer_bytes = 256 * 1024;
  std::uint32_t send_buffer_bytes = 1u << 20;
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
};

/// Which of a user's waits may have an answer now; a set, reported by engine::poll_event.
enum readiness : std::uint8_t {
  ready_connected = 0x01,                     ///< the handshake is done, or failed (see error())
  ready_to_read = 0x02,                       ///< bytes, the end of the stream, or an error
  ready_to_write = 0x04,                      ///< room again, or an error
  ready_to_accept = 0x08,                     ///< listeners only
  ready_closed = 0x10,                        ///< nothing more will happen; the handle may be released
};

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
  [[nodiscard]] virtual settings& options() = 0;

  /// Why it ended, once it did: net_error::reset, refused, timed_out, unreachable.
  [[nodiscard]] virtual std::optional<net_error> failure() const = 0;

  /// Copies as much as there is room for and says how much; 0 means wait for ready_to_write. PSH is set at
  /// the end of each call's data. Errors: not_connected after shutdown() or abort(), and failure().
  [[nodiscard]] virtual result<std::size_t> write(std::span<std::byte const> bytes, instant now) = 0;
  /// Takes slices without a copy, all of them or none (then false); they are held until acknowledged.
  [[nodiscard]] virtual result<bool> write(std::span<slice> owned, instant now) = 0;

  /// Copies what has arrived in order; 0 at the end of the peer's stream; nothing when there is nothing yet.
  [[nodiscard]] virtual result<std::optional<std::size_t>> read(std::span<std::byte> into, instant now) = 0;
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
  virtual void release(instant now) = 0;
  void* user = nullptr;

 protected:
  listener() = default;
  ~listener() = default;
};

}  // namespace morgana::net::tcp
