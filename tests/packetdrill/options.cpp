// Socket options: Linux's names and units over our settings and information.
#include <linux/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sockets.hpp"

namespace morgana::packetdrill {

using namespace net;

namespace {

std::uint32_t us(duration length) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(length).count());
}

std::uint32_t ms(duration length) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(length).count());
}

std::uint8_t state_number(tcp::state which) {
  // The numbers of include/net/tcp_states.h.
  switch (which) {
    case tcp::state::established:
      return 1;
    case tcp::state::syn_sent:
      return 2;
    case tcp::state::syn_received:
      return 3;
    case tcp::state::fin_wait_1:
      return 4;
    case tcp::state::fin_wait_2:
      return 5;
    case tcp::state::time_wait:
      return 6;
    case tcp::state::closed:
      return 7;
    case tcp::state::close_wait:
      return 8;
    case tcp::state::last_ack:
      return 9;
    case tcp::state::listen:
      return 10;
    case tcp::state::closing:
      return 11;
  }
  return 7;
}

tcp_info describe(tcp::connection const& one, bool connected_fast, instant now) {
  constexpr std::uint32_t infinite_threshold = 0x7fff'ffff;
  auto const info = one.info();
  auto const whole = std::max(info.maximum_segment_size, 1u);
  tcp_info all{};
  all.tcpi_state = state_number(info.state);
  all.tcpi_ca_state = static_cast<std::uint8_t>(info.phase);
  all.tcpi_retransmits = info.retransmissions_in_a_row;
  all.tcpi_probes = info.window_probes;
  all.tcpi_backoff = info.retransmissions_in_a_row;
  all.tcpi_options = static_cast<std::uint8_t>(
      (info.has_timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (info.has_sack ? TCPI_OPT_SACK : 0) |
      (info.receive_window_scale != 0 ? TCPI_OPT_WSCALE : 0) | (info.has_ecn ? TCPI_OPT_ECN : 0) |
      (info.fast_open_bytes != 0 ? TCPI_OPT_SYN_DATA : 0));
  all.tcpi_snd_wscale = info.send_window_scale & 15u;
  all.tcpi_rcv_wscale = info.receive_window_scale & 15u;
  all.tcpi_rto = us(info.retransmission_timeout);
  all.tcpi_snd_mss = info.maximum_segment_size;
  all.tcpi_rcv_mss = info.received_segment_bytes;
  all.tcpi_unacked = info.segments_unacknowledged;
  all.tcpi_sacked = info.segments_sacked;
  all.tcpi_lost = info.segments_lost;
  all.tcpi_retrans = info.segments_retransmitted_in_flight;
  all.tcpi_last_data_recv = ms(now - info.last_data_received_at);
  all.tcpi_rtt = us(info.smoothed_round_trip);
  all.tcpi_rttvar = us(info.round_trip_variation);
  all.tcpi_min_rtt = us(info.minimum_round_trip);
  bool const unlimited = info.slow_start_threshold_bytes >= 0x4000'0000u;
  all.tcpi_snd_ssthresh = unlimited ? infinite_threshold : info.slow_start_threshold_bytes / whole;
  all.tcpi_snd_cwnd = info.congestion_window_bytes / whole;
  all.tcpi_advmss = info.advertised_segment_bytes;
  all.tcpi_reordering = info.reordering_segments;
  all.tcpi_reord_seen = info.reorderings;
  all.tcpi_total_retrans = static_cast<std::uint32_t>(info.segments_retransmitted);
  all.tcpi_bytes_acked = info.bytes_acknowledged;
  all.tcpi_bytes_received = info.bytes_received;
  all.tcpi_bytes_sent = info.bytes_sent;
  all.tcpi_segs_out = static_cast<std::uint32_t>(info.segments_sent);
  all.tcpi_segs_in = static_cast<std::uint32_t>(info.segments_received);
  // Linux counts packets: the SYN is one, with its data.
  auto const behind = info.bytes_acknowledged - (connected_fast ? info.fast_open_bytes : 0u);
  // A server's SYN-ACK that is acknowledged was measured.
  bool const opened = info.state != tcp::state::syn_sent && info.state != tcp::state::syn_received &&
                      (connected_fast || info.smoothed_round_trip != 0s);
  all.tcpi_delivered = (opened ? 1u : 0u) + static_cast<std::uint32_t>((behind + whole - 1) / whole);
  all.tcpi_notsent_bytes = info.unsent_bytes;
  return all;
}

}  // namespace

/// What a listener or connection has at hand, or what it will start with.
void sockets::apply(descriptor& one) {
  one.chosen.send_buffer_bytes = 64u << 20;
  if (one.listener != nullptr) {
    one.listener->options() = one.chosen;
    accept_fast(one);
  }
  if (one.connection != nullptr) one.connection->options() = one.chosen;
}

int sockets::set_option(int fd, int level, int name, void const* value, socklen_t size) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  int number = 0;
  std::memcpy(&number, value, std::min<std::size_t>(size, sizeof number));
  auto const positive = static_cast<std::uint32_t>(std::max(number, 0));
  auto& with = one->chosen;
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_SNDBUF:
        one->send_buffer_bytes = std::max(positive * 2, 4'608u);  // Linux doubles both
        break;
      case SO_RCVBUF:
        one->receive_buffer_bytes = positive * 2;
        with.receive_buffer_bytes = positive;
        break;
      case SO_KEEPALIVE:
        with.keepalive = number != 0;
        break;
      default:
        one->remembered[name] = number;
    }
  } else if (level == IPPROTO_TCP) {
    switch (name) {
      case TCP_NODELAY:
        with.no_delay = number != 0;
        if (number != 0 && one->connection != nullptr) one->connection->flush(host().now());
        break;
      case TCP_CORK:
        with.hold_partial = number != 0;
        if (number == 0 && one->connection != nullptr) {
          apply(*one);
          one->connection->flush(host().now());
        }
        break;
      case TCP_MAXSEG:
        one->maximum_segment_bytes = positive;
        with.maximum_segment_bytes = static_cast<std::uint16_t>(positive);
        break;
      case TCP_KEEPIDLE:
        with.keepalive_idle = number * duration(1s);
        break;
      case TCP_KEEPINTVL:
        with.keepalive_interval = number * duration(1s);
        break;
      case TCP_KEEPCNT:
        with.keepalive_probes = static_cast<std::uint8_t>(number);
        break;
      case TCP_USER_TIMEOUT:
        with.user_timeout = number * duration(1ms);
        break;
      case TCP_NOTSENT_LOWAT:
        one->not_sent_low_water = positive;
        break;
      case TCP_INQ:
        one->wants_queue_length = number != 0;
        break;
      case TCP_CONGESTION:
        with.control = size >= 5 && std::memcmp(value, "cubic", 5) == 0 ? tcp::congestion_control::cubic
                                                                        : tcp::congestion_control::new_reno;
        break;
      case TCP_SYNCNT:
        with.syn_retries = static_cast<std::uint8_t>(number);
        break;
      case TCP_FASTOPEN:
        one->fast_pending_max = positive;
        break;
      case TCP_FASTOPEN_KEY:
        if (size != sizeof(net::siphash_key)) return -EINVAL;
        std::memcpy(&one->fast_key.emplace(), value, size);
        break;
      case TCP_FASTOPEN_CONNECT:
        if (fast_open_use() == tcp::fast_open::no) return -EOPNOTSUPP;
        one->connects_fast = number != 0;
        break;
      case TCP_FASTOPEN_NO_COOKIE:
      case TCP_MD5SIG:
        return -ENOPROTOOPT;
      default:
        one->remembered[0x1'0000 + name] = number;
    }
  } else {
    one->remembered[0x2'0000 * (level + 1) + name] = number;
  }
  apply(*one);
  settle(held);
  return 0;
}

int sockets::get_option(int fd, int level, int name, void* value, socklen_t* size) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  if (level == IPPROTO_TCP && (name == TCP_INFO || name == TCP_CC_INFO)) {
    std::memset(value, 0, *size);
    if (name == TCP_CC_INFO) {
      *size = 0;
    } else if (one->connection != nullptr) {
      settle(held);
      auto const all = describe(*one->connection, one->chosen.fast_open != tcp::fast_open::no, host().now());
      std::memcpy(value, &all, std::min<std::size_t>(*size, sizeof all));
    }
    return 0;
  }
  constexpr int memory_information = 55;  // SO_MEMINFO
  if (level == SOL_SOCKET && name == memory_information) {
    std::memset(value, 0, *size);
    return 0;
  }
  auto const& with = one->chosen;
  int answer = 0;
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_SNDBUF:
        answer = static_cast<int>(send_limit(*one));
        break;
      case SO_RCVBUF:
        answer = static_cast<int>(one->receive_buffer_bytes != 0 ? one->receive_buffer_bytes
                                                                 : with.receive_buffer_bytes);
        break;
      case SO_KEEPALIVE:
        answer = with.keepalive;
        break;
      case SO_ERROR:
        answer = error_of(*one);
        break;
      default:
        answer = one->remembered[name];
    }
  } else if (level == IPPROTO_TCP) {
    switch (name) {
      case TCP_NODELAY:
        answer = with.no_delay;
        break;
      case TCP_CORK:
        answer = with.hold_partial;
        break;
      case TCP_MAXSEG:
        answer = static_cast<int>(one->connection != nullptr ? one->connection->info().maximum_segment_size
                                  : one->maximum_segment_bytes != 0 ? one->maximum_segment_bytes
                                                                    : 536u);
        break;
      case TCP_USER_TIMEOUT:
        answer = static_cast<int>(ms(with.user_timeout));
        break;
      case TCP_NOTSENT_LOWAT:
        answer = static_cast<int>(one->not_sent_low_water);
        break;
      default:
        answer = one->remembered[0x1'0000 + name];
    }
  } else {
    answer = one->remembered[0x2'0000 * (level + 1) + name];
  }
  std::memcpy(value, &answer, std::min<std::size_t>(*size, sizeof answer));
  *size = static_cast<socklen_t>(std::min<std::size_t>(*size, sizeof answer));
  return 0;
}

}  // namespace morgana::packetdrill
