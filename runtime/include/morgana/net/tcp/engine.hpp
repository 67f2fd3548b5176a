// All TCP connections of one host, without I/O and without IP: it is given segments that begin at the TCP
// header and gives such segments back. What it needs from below is said in `routing`.
//
// Time is an argument; randomness is keyed (keyed.hpp). Nothing is allocated per segment: connections,
// half-open entries and buffers come from pools that grow to their limits and are reused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "morgana/core/result.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"
#include "morgana/net/segment.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/net/tcp/connection.hpp"
#include "morgana/net/wire/ip.hpp"

namespace morgana::net::tcp {

/// What IP knows and TCP asks for.
class routing {
 public:
  struct path {
    ip_address source;                        ///< the address of ours that packets to there carry
    std::uint32_t mtu_bytes = 1500;           ///< of whole IP packets, path-MTU discovery included
    bool segmentation = false;                ///< super-packets may be handed down (GSO)
    bool checksum = false;                    ///< checksum_state::partial may be handed down
    std::uint64_t way = 0;                    ///< for what addressing::way points to, of packets from `source`; 0: not known
  };
  /// Nothing when there is no route.
  [[nodiscard]] virtual std::optional<path> find(ip_address const& destination) = 0;
  /// While it is the same, so are all paths that were found. 0: ask each time.
  [[nodiscard]] virtual std::uint64_t version() const { return 0; }
  [[nodiscard]] virtual bool is_local(ip_address const& address) const = 0;
  /// What was sent to there has arrived: its next hop can be reached (RFC 4861 7.3.1, RFC 1122 2.3.2.1). Every few
  /// seconds of progress.
  virtual void confirm(ip_address const& destination, instant now);
  /// Nothing sent to there is answered (RFC 1122 3.3.1.4, RFC 9293 3.8.3 R1): the next hop is worth a question.
  virtual void suspect(ip_address const& destination, instant now);
  /// A search found that no larger packets arrive there (RFC 4821).
  virtual void limit_mtu(ip_address const& destination, std::uint32_t mtu_bytes, instant now);

 protected:
  ~routing() = default;
};

/// Beside each segment, in either direction.
struct addressing {
  ip_address source, destination;
  std::uint8_t traffic_class = 0;             ///< of the IP header, with its ECN bits
  /// Out only: where the layer below may note by which way the connection's last segment went, so that it need not look
  /// for the next one's. Zero at first; null when nobody keeps it.
  std::uint64_t* way = nullptr;
  /// Out only: engine::transmit_following() may have more.
  bool has_following = false;
};

struct engine_counters {
  std::uint64_t segments_in = 0, segments_out = 0, segments_retransmitted = 0;
  std::uint64_t predicted_in = 0, predicted_out = 0;  ///< of these by the short way (prediction.cpp)
  std::uint64_t wrong_checksums = 0, malformed = 0, resets_sent = 0, resets_received = 0, resets_refused = 0;
  std::uint64_t syn_dropped = 0, syn_cookies_sent = 0, syn_cookies_accepted = 0, syn_cookies_refused = 0;
  std::uint64_t accept_queue_full = 0, challenge_acks = 0, challenge_acks_suppressed = 0, paws_dropped = 0;
  std::uint64_t out_of_order_dropped = 0, connections_refused = 0, time_wait_evicted = 0, timeouts = 0;
  std::uint64_t sack_ranges_full = 0;           ///< acknowledgments with a block that was not recorded
  std::uint64_t half_opens_expired = 0, mss_raised = 0;
  std::uint64_t fast_opens_accepted = 0, fast_opens_full = 0;   ///< with data in the SYN; at listen_options::fast_open
  std::uint64_t fast_opens_sent = 0, fast_opens_refused = 0;    ///< our SYNs with data; of these not taken whole
  std::uint64_t fast_open_peers_evicted = 0;
  std::uint64_t windows_closed = 0;             ///< a window of zero was told a peer
  std::uint64_t windows_held_back = 0;          ///< a window was told while half of the memory for what arrives was taken
  std::uint64_t send_buffers_full = 0;          ///< writes that were not taken whole
  std::uint64_t buffers_exhausted = 0;          ///< writes of nothing because the pool had none
  std::uint64_t abandoned = 0;                  ///< connections without a user whose peer took nothing
};

class engine {
 public:
  engine(network_limits const& limits, keyed_secrets const& secrets, buffer_pool& buffers, routing& below, instant now);
  ~engine();
  engine(engine const&) = delete;
  engine& operator=(engine const&) = delete;

  // ---- packets -----------------------------------------------------------------------------------------
  /// `packet` begins at the TCP header; its checksum is verified unless its state says valid.
  void input(addressing const& between, segment&& packet, instant now);
  /// The same for what came together: what one was asked, those that go on where it ended need not be asked again. Each
  /// is moved from in part, and to be cleared.
  void input(addressing const& between, std::span<segment> packets, instant now);
  /// Builds the next segment that wants to go, TCP header first, checksum done or partial; false when none.
  [[nodiscard]] bool poll_transmit(addressing& between, segment& packet, instant now);
  /// Right after it, when `between` has_following: those that need nothing but its segment's header, whatever was put in
  /// front of that, with another number and sum. Says how many; they are between the same.
  [[nodiscard]] std::size_t transmit_following(addressing& between, segment const& first, std::span<segment> into,
                                               instant now);
  /// Nothing can leave now, and poll_transmit is not called until something can: what waits gets its timers.
  void device_is_full(instant now);
  [[nodiscard]] instant next_deadline() const;
  void on_deadline(instant now);

  // ---- errors from below (RFC 5927 checks are done here) -------------------------------------------------
  enum class soft_error : std::uint8_t { unreachable, refused, too_big };
  /// True when what it quotes is in flight: only then may more than this connection believe it.
  bool on_icmp(addressing const& quoted, std::uint16_t source_port, std::uint16_t destination_port,
               std::uint32_t sequence, soft_error what, std::uint32_t mtu_bytes, instant now);

  // ---- users -------------------------------------------------------------------------------------------
  /// Errors: address_in_use, limit_reached.
  [[nodiscard]] result<listener*> listen(listen_options const& where);
  /// The SYN goes out at the next poll_transmit. Errors: unreachable, limit_reached,
  /// address_not_available (no free port, RFC 6056).
  [[nodiscard]] result<connection*> connect(endpoint const& peer, settings const& with, instant now);
  /// The same with the local end chosen: for simultaneous open and tests.
  [[nodiscard]] result<connection*> connect(endpoint const& local, endpoint const& peer, settings const& with,
                                            instant now);

  /// What a SYN to there would carry of data written before it leaves (settings::fast_open); nothing: it would carry none,
  /// for want of a cookie.
  [[nodiscard]] std::optional<std::uint32_t> fast_open_room(ip_address const& peer, settings const& with) const;
  /// Of all peers: this host may have moved to another network.
  void forget_fast_open_cookies();

  struct event {
    tcp::connection* connection = nullptr;    ///< or
    tcp::listener* listener = nullptr;
    std::uint8_t ready = 0;                   ///< readiness
  };
  /// Each object comes once with all that became ready since it came last.
  [[nodiscard]] bool has_output() const;
  [[nodiscard]] bool has_event() const;
  [[nodiscard]] std::optional<event> poll_event();

  [[nodiscard]] engine_counters const& counters() const;
  [[nodiscard]] std::size_t connections() const;       ///< in any state but closed, time_wait included
  /// Connections with data or a FIN that the peer has not acknowledged. Looks at each.
  [[nodiscard]] std::size_t unfinished() const;

 private:
  struct implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace morgana::net::tcp
