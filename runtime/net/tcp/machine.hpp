// All parts of one engine in one place. The functions are grouped by file: what comes in (input.cpp,
// acknowledgment.cpp), what goes out (output.cpp), loss (recovery.cpp), time (timers.cpp), passive opens
// (handshake.cpp), endings (ending.cpp), ICMP (soft_errors.cpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "chunks.hpp"
#include "deadlines.hpp"
#include "fast_open.hpp"
#include "flow.hpp"
#include "half_open.hpp"
#include "identifiers.hpp"
#include "list.hpp"
#include "morgana/net/tcp/engine.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "port.hpp"
#include "replies.hpp"
#include "tcb.hpp"
#include "time_wait.hpp"

namespace morgana::net::tcp {

/// The words of a segment's pseudo-header (RFC 9293 3.1, RFC 8200 8.1), but for its length.
[[nodiscard]] inline std::uint64_t pseudo_header_sum(ip_address const& a, ip_address const& b) {
  return a.sum() + b.sum() + wire::network_order(static_cast<std::uint16_t>(wire::protocol::tcp));
}

/// One arriving segment, its header taken off.
struct arrival {
  addressing const* between = nullptr;
  wire::tcp_header header;
  flow_key key;
  std::uint32_t size = 0;  ///< payload bytes
  bool had_syn = false;    ///< its window is not scaled (RFC 7323, 2.2), although the SYN is passed
  [[nodiscard]] std::uint32_t window(std::uint8_t scale) const {  ///< SEG.WND in bytes
    return std::uint32_t{header.window} << (had_syn ? 0 : scale);
  }
  [[nodiscard]] std::uint32_t length() const {  ///< SEG.LEN
    return size + (header.has(wire::tcp_syn) ? 1u : 0u) + (header.has(wire::tcp_fin) ? 1u : 0u);
  }
};

class machine {
 public:
  machine(network_limits const& limits, keyed_secrets const& secrets, buffer_pool& buffers, routing& below,
          instant now);
  ~machine();

  // input.cpp
  void input(addressing const& between, segment&& packet, instant now);  // prediction.cpp
  void input_unpredicted(addressing const& between, segment& packet, instant now);
  void input_connection(tcb& c, arrival& a, segment& packet, instant now);
  /// prediction.cpp: the same for segments that came together.
  void input(addressing const& between, std::span<segment> packets, instant now);
  void input_run(addressing const& between, std::span<segment> packets, instant now);
  /// How many of them go on, one after the other, where the last segment ended; only these are taken.
  [[nodiscard]] std::size_t input_following(std::span<segment> packets, instant now);
  void input_single(addressing const& between, segment& packet, instant now);
  /// False, and nothing done, when it is not the segment that was expected.
  [[nodiscard]] bool input_predicted(addressing const& between, std::span<std::byte const> bytes,
                                     segment& packet, instant now);
  void input_alone(addressing const& between, segment& packet, instant now);
  /// predicted_ends.cpp: the same for the peer's FIN alone, and for what acknowledges ours, the last segment there is.
  void input_end(addressing const& between, segment& packet, instant now);
  void input_last(tcb& c, addressing const& between, segment& packet, instant now);
  /// predicted_opens.cpp: the same for the three segments that nearly all connections begin with, and for our SYN.
  void input_syn(addressing const& between, segment& packet, instant now);
  void input_syn_ack(addressing const& between, segment& packet, instant now);
  void input_completing(half_open& entry, addressing const& between, segment& packet, instant now);
  [[nodiscard]] bool transmit_syn(tcb& c, addressing& between, segment& packet, instant now);
  void acknowledge_calm(tcb& c, wire::sequence at, wire::sequence ack, std::uint32_t window, instant now);
  void acknowledged_calm(tcb& c, wire::sequence at, wire::sequence ack, std::uint32_t window, std::uint32_t bytes,
                         sent_list::delivery const& last, bool waits, instant now);
  /// Asks all that tcb::calm stands for; whether it is now all of `wanted`.
  [[nodiscard]] static bool becomes_calm(tcb& c, std::uint8_t wanted);
  [[nodiscard]] bool acknowledge_ordinarily(tcb& c, addressing const& between,
                                            std::span<std::byte const> bytes, std::uint32_t size,
                                            instant now);
  void end_expected(tcb& c, wire::sequence at, instant now);
  /// The same for acknowledgments of segments that were not expected, in any state.
  [[nodiscard]] bool acknowledge_predicted(tcb& c, wire::sequence at, wire::sequence ack,
                                           std::uint32_t window, instant now);
  /// predicted_output.cpp: the same for what goes out: a whole segment or the last one, or an acknowledgment.
  [[nodiscard]] bool build_predicted(tcb& c, addressing& between, segment& packet, instant now);
  void input_syn_sent(tcb& c, arrival& a, segment& packet, instant now);
  bool acceptable(tcb& c, arrival& a, segment& packet, instant now);
  void apply_syn(tcb& c, wire::tcp_header const& h, bool is_answer, instant now);
  [[nodiscard]] bool pass_own_fin(tcb& c, instant now);
  void input_data(tcb& c, arrival const& a, segment& packet, instant now);
  /// Data came, `added` bytes of it in order: when to acknowledge it, and who wants to know.
  void received(tcb& c, receive_queue::outcome what, std::uint32_t size, std::uint32_t added, instant now);
  [[gnu::always_inline]] static void received_in_order(tcb& c, std::uint32_t size, instant now) {
    auto const full = size <= c.segment_bytes() ? 1u : (size + c.segment_bytes() - 1) / c.segment_bytes();
    c.segments_unacknowledged = static_cast<std::uint8_t>(std::min(255u, c.segments_unacknowledged + full));
    if (c.quick_acks != 0) {
      --c.quick_acks;
      c.acknowledge_now = true;
    } else if (c.segments_unacknowledged >= 2) {
      c.acknowledge_now = true;
    } else if (c.busy->acknowledge_at == never) {
      c.busy->acknowledge_at = after(now, acknowledge_delay);
    }
  }
  /// All of it in order, of a calm connection.
  [[gnu::always_inline]] void received_calm(tcb& c, std::uint32_t size, std::uint32_t added, instant now) {
    c.bytes_received += added;
    received_in_order(c, size, now);
    made_progress(c, now);
    tell(c, ready_to_read);
  }
  /// False: it was the last, and `c` may be gone.
  bool input_fin(tcb& c, instant now);
  void became_established(tcb& c, instant now);
  void answer_stray(arrival const& a);
  void challenge(tcb& c, instant now);
  /// Takes one of the connection's, and of the whole stack's.
  [[nodiscard]] bool may_challenge(tcb& c, instant now);
  static constexpr duration acknowledge_delay = 40ms;
  /// Takes one of this second's challenge acknowledgments.
  bool challenges_allowed(instant now);
  void acknowledge_late(time_wait const& w, instant now, std::uint64_t way = 0);

  // acknowledgment.cpp
  bool input_acknowledgment(tcb& c, arrival const& a, instant now);
  void update_window(tcb& c, arrival const& a);

  /// Data passed, one way or the other: IP hears of it every few seconds.
  void made_progress(tcb& c, instant now) {
    if (now < c.confirm_at) return;
    confirm(c, now);
  }
  void confirm(tcb& c, instant now) {
    if (!(now < confirmed.until && c.key.peer == confirmed.peer)) {
      confirmed = {c.key.peer, after(now, confirm_interval)};
      below.confirm(c.key.peer, now);
    }
    c.confirm_at = confirmed.until;
  }
  void suspect(tcb const& c, instant now) {
    confirmed.until = instant::min();
    below.suspect(c.key.peer, now);
  }

  // recovery.cpp
  void after_acknowledgment(tcb& c, acknowledged const& got, bool advanced, wire::tcp_header const& h,
                            instant now);
  void detect_losses(tcb& c, acknowledged const& got, bool advanced, instant now);
  void proportional_reduction(tcb& c, std::uint32_t delivered, bool advanced);
  void enter_recovery(tcb& c, instant now);
  void undo_reduction(tcb& c);
  void rack_update(tcb& c, acknowledged const& got, instant now);
  duration rack_detect(tcb& c, instant now);
  void on_retransmission_timeout(tcb& c, instant now);
  void congestion_mark(tcb& c, instant now);

  /// Where a default receive buffer begins: in a small guest many connections together must not be promised more than
  /// there is.
  [[nodiscard]] static std::uint32_t first_receive_buffer(network_limits const& all) {
    return std::min(receive_buffer_bytes_default, all.unread_bytes / 64);
  }

  // timers.cpp
  [[nodiscard]] static bool is_blocked_here(tcb const& c);
  void arm(tcb& c, instant now);
  void arm_calm(tcb& c, instant now);
  void arm_loss_timer(tcb& c, instant now);
  /// Says when the loss probe is due that new data moved; before anything arrives that changes when.
  void settle_probe(tcb& c);
  [[nodiscard]] static instant loss_probe_time(tcb const& c, sent const& front, std::uint32_t in_flight,
                                              instant now);
  void wake(tcb& c, instant now);
  void on_deadline(instant now);
  [[nodiscard]] instant next_deadline() const;
  /// Gives back what a connection does not need while it waits for its user or its peer; and takes it again.
  void rest(tcb& c);
  /// Sees to it that there is a look whether it may, also when nothing is ever said.
  void rest_soon(tcb& c, instant since) {
    if (c.heap_index == timed::not_waiting && c.in_table) wakes.at_latest(c, after(since, rest_interval));
  }
  static constexpr duration rest_interval = 1s;
  void engage(tcb& c);
  void engage(tcb& c, instant now);
  void start_keepalive(tcb& c, instant now);
  /// How long data may wait without progress; 0: as long as it is retransmitted.
  [[nodiscard]] duration stall_limit(tcb const& c) const;
  /// A write found no buffer, and nothing is queued whose acknowledgment would wake the writer.
  void wait_for_buffers(tcb& c, instant now);

  // output.cpp
  void schedule(tcb& c) {
    if (!static_cast<hook<output_tag>&>(c).linked()) output.push_back(c);
  }
  [[nodiscard]] bool has_output() const { return replies.front() != nullptr || !output.empty(); }
  [[nodiscard]] bool poll_transmit(addressing& between, segment& packet, instant now) {
    if (replies.front() != nullptr) [[unlikely]]
      return transmit_reply(between, packet);
    auto* const first = output.front();
    if (first == nullptr) return false;
    if (may_predict() && first->send_una == first->send_next) {
      if (!first->busy->send.kept_alone().empty()) return transmit_alone(*first, between, packet, now);
      if (first->fin_queued) return transmit_end(*first, between, packet, now);
    } else if (may_predict() && first->want_syn) {
      return transmit_syn(*first, between, packet, now);
    }
    return transmit(between, packet, now);
  }
  /// predicted_output.cpp: the whole pass of a connection that has one small message to say, or its end, and nothing out;
  /// transmit() when there is more to it.
  [[nodiscard]] bool transmit_alone(tcb& c, addressing& between, segment& packet, instant now);
  [[nodiscard]] bool transmit_end(tcb& c, addressing& between, segment& packet, instant now);
  enum class alone : std::uint8_t { message, end };
  template <alone What>
  [[nodiscard]] bool transmit_small(tcb& c, addressing& between, segment& packet, instant now);
  [[nodiscard]] static bool is_alone_calm(tcb& c);
  /// following_output.cpp: more of them for the connection whose segment transmit() has just made; says how many.
  [[nodiscard]] std::size_t transmit_following(addressing& between, segment const& first, std::span<segment> into,
                                               instant now) {
    return std::exchange(between.has_following, false) ? transmit_run(*following, first, into, now) : 0;
  }
  [[nodiscard]] std::size_t transmit_run(tcb& c, segment const& first, std::span<segment> into, instant now);
  [[nodiscard]] std::uint32_t following_bytes(tcb const& c, segment const& first) const;
  [[nodiscard]] bool transmit(addressing& between, segment& packet, instant now);
  [[nodiscard]] bool transmit_reply(addressing& between, segment& packet);
  /// A place for a segment of no connection's, from us to the peer, whose header of that size is to be written; null when
  /// there is none. finish() puts the checksum in it.
  [[nodiscard]] reply* add_reply(flow_key const& flow, std::size_t header_bytes, std::uint64_t way = 0);
  static void finish(reply& one, std::uint64_t words);
  /// The same for any header, but for its ports; false when there is no place.
  bool send_reply(flow_key const& flow, wire::tcp_header& header, std::uint64_t way = 0);
  [[nodiscard]] bool build(tcb& c, addressing& between, segment& packet, instant now);
  /// Sequence numbers covered by what was made; 0: nothing.
  [[nodiscard]] std::uint32_t build_data(tcb& c, wire::sequence from, std::uint32_t count, sent const* again,
                                         addressing& between, segment& packet, instant now);
  [[nodiscard]] static bool ends_a_write(tcb& c, wire::sequence from, wire::sequence end);
  [[nodiscard]] static std::uint32_t super_segment_bytes(tcb const& c);
  /// What a SYN says: `room` is what a packet of the path has room for.
  [[nodiscard]] static std::uint16_t advertised_segment_bytes(settings const& chosen, std::uint32_t room) {
    auto const most = std::min(room, 65'535u);
    return static_cast<std::uint16_t>(chosen.maximum_segment_bytes == 0
                                          ? most
                                          : std::min<std::uint32_t>(most, chosen.maximum_segment_bytes));
  }
  [[nodiscard]] std::uint16_t advertised_segment_bytes(tcb const& c) const;
  [[nodiscard]] bool build_retransmission(tcb& c, sent& which, addressing& between, segment& packet,
                                          instant now);
  [[nodiscard]] bool build_new(tcb& c, std::uint32_t largest, addressing& between, segment& packet,
                               instant now);
  void build_syn(tcb& c, wire::tcp_header& header, segment& packet, instant now);
  void finish(tcb& c, wire::tcp_header& header, addressing& between, segment& packet, instant now);
  /// With tcb::receive_space() and receive_step().
  [[nodiscard]] std::uint16_t window_to_advertise(tcb& c, std::uint32_t space, std::uint32_t step);
  /// The same where buffers are not scarce; `next` is tcb::receive_next().
  [[nodiscard]] std::uint16_t window_of(tcb& c, wire::sequence next, std::uint32_t space, std::uint32_t step);
  static void pace(tcb& c, std::uint32_t bytes, instant now);
  static void validate_window(tcb& c);
  void leave_output(tcb& c, instant now);
  [[nodiscard]] static bool has_nothing_to_await(tcb const& c);
  // mtu_probing.cpp
  [[nodiscard]] bool build_mtu_probe(tcb& c, std::uint32_t pending, addressing& between, segment& packet,
                                     instant now);
  void mtu_probe_arrived(tcb& c, instant now);
  void mtu_search_step(tcb& c, instant now);
  /// Whether what is lost now is the probe alone: then it was too large, and says nothing of congestion.
  [[nodiscard]] bool mtu_probe_failed(tcb& c, instant now);
  void window_may_open(tcb& c);
  void refresh_path(tcb& c);
  /// routing::find(), which is asked again only when what it said may not hold any more. Null when there is no route.
  [[nodiscard]] routing::path const* path_to(ip_address const& peer) {
    auto const version = below.version();
    bool const is_known = version != 0 && known_path.version == version && known_path.peer == peer;
    return is_known ? &known_path.found : find_path(peer, version);
  }
  [[nodiscard]] routing::path const* find_path(ip_address const& peer, std::uint64_t version);

  // handshake.cpp
  void input_listening(port& where, arrival& a, segment& packet, instant now);
  void input_half_open(half_open& h, arrival& a, segment& packet, instant now);
  void send_syn_ack(half_open& h, instant now);
  void retransmit_half_opens(instant now);
  void forget(half_open& h);
  /// True: it made place for a new connection, and the segment goes on to the listener.
  bool input_time_wait(time_wait& w, arrival const& a, instant now);
  void send_cookie(port& where, arrival const& a, instant now);
  void input_cookie(port& where, arrival& a, segment& packet, instant now);
  /// `entry` is replaced in the table, and is free afterwards; null when it began with a cookie.
  tcb* promote(port& where, half_open* entry, flow_key const& key, agreed const& terms, wire::sequence initial,
               wire::sequence peer_initial, instant now);
  [[nodiscard]] port* find_port(ip_address const& address, std::uint16_t number) const;
  /// The path to the peer is known by then, no flow has the key, and `hash` is that of the table.
  [[nodiscard]] result<connection*> connect(flow_key const& key, std::uint64_t hash, settings const& with, instant now);
  /// A connection that is not in the table yet.
  [[nodiscard]] tcb* open(flow_key const& key, shared_settings const& with, instant now);
  [[nodiscard]] shared_settings const& share(settings const& with);
  void leave(shared_settings const& what);
  [[nodiscard]] std::uint8_t receive_scale() const;
  /// What a SYN-ACK says.
  [[nodiscard]] std::uint32_t first_window(port const& where) const {
    auto const chosen = where.chosen.receive_buffer_bytes;
    auto const wanted = chosen == receive_buffer_bytes_default ? first_receive_buffer(limits) : chosen;
    return std::min({wanted, limits.receive_buffer_bytes, 65'535u});
  }
  /// What a SYN says of the largest segment, not below the limit.
  [[nodiscard]] std::uint16_t peer_segment_bytes(wire::tcp_header const& h);

  // fast_open.cpp
  /// False: it is to be a handshake as any.
  [[nodiscard]] bool accept_fast(port& where, arrival& a, segment& packet, instant now);
  /// How the SYN-ACK of an ordinary handshake brings the cookie that the SYN asked for, or had a wrong one of.
  [[nodiscard]] static wire::fast_open_option cookie_wanted(port const& where, arrival const& a);
  /// The SYN-ACK, or SYN, and as much behind it as `ack` says, arrived.
  void syn_acknowledged(tcb& c, wire::sequence ack, instant now);
  void fast_open_ended(tcb& c);
  [[nodiscard]] bool may_fast_open(ip_address const& peer, settings const& with) const {
    if (with.fast_open == fast_open::without_cookie) return true;
    return with.fast_open == fast_open::with_cookie && cookies.has(peer);
  }
  [[nodiscard]] std::uint32_t fast_open_room(ip_address const& peer, std::uint32_t segment_bytes) const;
  /// What a SYN says of it, and the data it takes along.
  void put_fast_open(tcb& c, wire::tcp_header& header, segment& packet);
  void learn_cookie(tcb const& c, wire::tcp_header const& h);

  // ending.cpp
  void notify(event_source& source, std::uint8_t bits) {
    // A connection nobody has accepted, or that its user left, has nobody to tell.
    if (source.what == event_source::kind::connection) {
      auto const& owner = static_cast<tcb const&>(source);
      if (owner.parent != nullptr || owner.released) return;
    }
    source.ready |= bits;
    if (!static_cast<hook<event_tag>&>(source).linked()) events.push_back(source);
  }
  /// The same for a connection whose user has it.
  void tell(tcb& c, std::uint8_t bits) {
    c.ready |= bits;
    if (!static_cast<hook<event_tag>&>(c).linked()) events.push_back(c);
  }
  void fail(tcb& c, net_error why);
  void close(tcb& c);
  void enter_time_wait(tcb& c, instant now);
  void destroy(tcb& c);
  void send_reset(tcb& c, instant now);
  void after_user_left(tcb& c, instant now);

  // soft_errors.cpp
  bool on_icmp(addressing const& quoted, std::uint16_t source_port, std::uint16_t destination_port,
               std::uint32_t sequence, engine::soft_error what, std::uint32_t mtu_bytes, instant now);
  void set_mtu(tcb& c, std::uint32_t mtu_bytes, instant now);

  [[nodiscard]] std::uint32_t timestamp(std::uint32_t offset, instant now) const {
    return static_cast<std::uint32_t>(now.time_since_epoch() / 1ms) + offset;
  }

  network_limits limits;
  routing& below;
  chunk_source chunks;   ///< of what is sent
  chunk_source arrived;  ///< of what was received
  std::uint32_t receive_buffer_first;  ///< first_receive_buffer()
  std::uint32_t receive_buffer_most;   ///< of a connection: no single one takes more than a quarter of all
  slab<sent> records{64};
  slab<tcb> blocks{16};
  slab<busy_part> busies{16};
  slab<shared_settings> given{16};
  shared_settings const* given_last = nullptr;  ///< most that follow are told the same
  flow_table flows;
  deadlines wakes;
  list<tcb, output_tag> output;
  list<tcb, output_tag> closed;  ///< out of the table, and its user has it still
  list<event_source, event_tag> events;
  std::vector<std::unique_ptr<port>> ports;
  half_open_table half_opens;
  time_wait_table time_waits;
  reply_queue replies;
  identifiers numbers;
  siphash_key fast_open_key;
  fast_open_cookies cookies;
  engine_counters counters;
  static constexpr unsigned segments_per_turn = 32;
  /// Less than RFC 4861's DELAY_FIRST_PROBE_TIME, so that a stale neighbour is not asked while there is progress.
  static constexpr duration confirm_interval = 4s;
  /// Data waits unacknowledged for so many timeouts: IP is told (R1 of RFC 9293 3.8.3).
  static constexpr std::uint8_t timeouts_to_suspect = 3;
  unsigned turn = 0;     ///< segments that the connection in front sent in a row
  tcb* following = nullptr;  ///< of whom addressing::has_following speaks
  std::size_t live = 0;  ///< connections in the flow table
  std::vector<tcb*> without_buffers;
  instant buffers_at = never;  ///< when they look again
  // Challenge ACKs of this second (RFC 5961, 7), and how many there may be.
  instant challenge_second = instant::min();
  instant cookies_until = instant::min();  ///< an acknowledgment may belong to one sent lately
  std::uint32_t challenges_left = 0;
  random_stream jitter;
  /// Of segments that came together, the connection whose data came last, and what its next one is to repeat, as it lies
  /// in a header.
  struct {
    tcb* to = nullptr;
    std::uint32_t ports, acknowledgment, flags_and_window;
  } run{};
  /// Whom IP was told of last, by whichever connection with it, and until when it need not hear of it again.
  struct {
    ip_address peer;
    instant until = instant::min();
  } confirmed;
  bool in_run = false;
  struct {
    ip_address peer;
    std::uint64_t version = 0;  ///< 0: none is known
    routing::path found;
  } known_path;
  bool predicts = true;  ///< false: everything goes the ordinary way, for the test that compares the two
  [[nodiscard]] bool may_predict() const { return features::prediction && predicts; }
  /// input_syn_sent, since the first connect(): nothing else leads to it.
  void (machine::*input_opening)(tcb& c, arrival& a, segment& packet, instant now) = nullptr;
};

inline std::uint32_t tcb::calm_receive_space() const {
  if (host->arrived.is_crowded()) [[unlikely]]
    return receive_space();
  auto const held = static_cast<std::uint32_t>(busy->receive.ready().size());
  return busy->calm_buffer - std::min(busy->calm_buffer, held);
}

inline void tcb::engage(instant now) {
  if (busy == nullptr) [[unlikely]]
    host->engage(*this, now);
}

}  // namespace morgana::net::tcp
