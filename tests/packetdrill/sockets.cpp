#include "sockets.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace morgana::packetdrill {

using namespace net;

namespace {

constexpr duration step = 10us;     ///< what asking for the time costs
constexpr duration patience = 60s;  ///< virtual time in which something must come out
constexpr auto real_patience = std::chrono::seconds(2);

int errno_of(net_error why) {
  switch (why) {
    case net_error::refused:
      return ECONNREFUSED;
    case net_error::reset:
      return ECONNRESET;
    case net_error::timed_out:
      return ETIMEDOUT;
    case net_error::unreachable:
      return EHOSTUNREACH;
    case net_error::address_in_use:
      return EADDRINUSE;
    case net_error::address_not_available:
      return EADDRNOTAVAIL;
    case net_error::not_connected:
      return EPIPE;
    case net_error::limit_reached:
      return ENOBUFS;
    default:
      return EINVAL;
  }
}

}  // namespace

sockets::sockets(char const* flags) : settings_(flags) {}

sockets::~sockets() {
  for (auto& [fd, one] : open_) ::close(fd);
}

/// Made when it is first needed: by then the script has configured its machine.
virtual_host& sockets::host() {
  if (!host_) {
    settings_.refresh();
    host_ = std::make_unique<virtual_host>(settings_);
  }
  return *host_;
}

descriptor* sockets::find(int fd) {
  auto const at = open_.find(fd);
  return at == open_.end() ? nullptr : at->second.get();
}

bool sockets::is_ours(int fd) {
  lock held(mutex_);
  return find(fd) != nullptr;
}

bool sockets::wants_queue_length(int fd) {
  lock held(mutex_);
  auto const* one = find(fd);
  return one != nullptr && one->wants_queue_length;
}

int sockets::adopt(std::unique_ptr<descriptor> one) {
  int const fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -errno;
  open_[fd] = std::move(one);
  return fd;
}

// ---- time, and calls that wait

void sockets::wake(lock& held) {
  if (!is_waiting_) return;
  ++generation_;
  waiter_wakes_.notify_all();
  main_wakes_.wait_for(held, real_patience, [&] {
    return (is_waiting_ && looked_at_ == generation_) || (!is_waiting_ && !time_is_due_);
  });
}

/// Everything that follows from what was just done, at this time.
void sockets::settle(lock& held) {
  settings_.refresh();
  host().pump();
  wake(held);
}

void sockets::advance(lock& held, instant when) {
  auto& h = host();
  while (h.now() < when) {
    bool const waits = is_waiting_ && waiter_deadline_ > h.now() && waiter_deadline_ < when;
    if (h.advance(waits ? waiter_deadline_ : when) || waits) wake(held);
  }
}

bool sockets::block(lock& held, std::function<bool()> const& done, instant deadline) {
  if (done()) return true;
  if (std::this_thread::get_id() == main_) {
    // The script expected an answer at once: time has to be made to pass here.
    auto const end = std::min(deadline, after(host().now(), patience));
    while (!done()) {
      if (host().now() >= end) return false;
      host().advance(end);
    }
    return true;
  }
  waiter_ = std::this_thread::get_id();
  waiter_deadline_ = deadline;
  is_waiting_ = true;
  bool is_done = false;
  for (;;) {
    is_done = done();
    if (is_done || host().now() >= deadline) break;
    looked_at_ = generation_;
    main_wakes_.notify_all();
    waiter_wakes_.wait(held, [&] { return looked_at_ != generation_; });
  }
  is_waiting_ = false;
  time_is_due_ = true;
  return is_done;
}

std::int64_t sockets::time_us() {
  lock held(mutex_);
  if (time_is_due_ && std::this_thread::get_id() == waiter_) {
    time_is_due_ = false;
    main_wakes_.notify_all();
  } else {
    advance(held, host().now() + step);
  }
  return std::chrono::duration_cast<std::chrono::microseconds>(host().now().time_since_epoch()).count();
}

void sockets::sleep(duration length) {
  lock held(mutex_);
  settle(held);
  advance(held, host().now() + length);
}

int sockets::network_send(std::span<std::byte const> datagram) {
  lock held(mutex_);
  settings_.refresh();
  host().receive(datagram);
  wake(held);
  return 0;
}

bool sockets::network_receive(std::span<std::byte> into, std::size_t& size, std::int64_t& time_us) {
  lock held(mutex_);
  settle(held);
  auto& h = host();
  auto const end = after(h.now(), patience);
  while (h.sent.empty()) {
    auto const next = std::min(h.next_deadline(), is_waiting_ ? waiter_deadline_ : never);
    if (next > end) return false;
    advance(held, std::max(next, h.now() + 1us));
  }
  auto const first = std::move(h.sent.front());
  h.sent.pop_front();
  size = std::min(into.size(), first.bytes.size());
  std::copy_n(first.bytes.begin(), size, into.begin());
  time_us = std::chrono::duration_cast<std::chrono::microseconds>(first.at.time_since_epoch()).count();
  return true;
}

// ---- addresses

endpoint sockets::endpoint_of(descriptor const&, sockaddr const* address, bool& is_right) const {
  is_right = address != nullptr;
  if (!is_right) return {};
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    ipv4_address v4;
    std::memcpy(v4.bytes.data(), &in.sin_addr, 4);
    return {v4, ntohs(in.sin_port)};
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof in);
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
      ipv4_address v4;
      std::memcpy(v4.bytes.data(), in.sin6_addr.s6_addr + 12, 4);
      return {v4, ntohs(in.sin6_port)};
    }
    ipv6_address v6;
    std::memcpy(v6.bytes.data(), &in.sin6_addr, 16);
    return {v6, ntohs(in.sin6_port)};
  }
  is_right = false;
  return {};
}

void sockets::store_address(descriptor const& one, endpoint const& from, sockaddr* address,
                            socklen_t* size) const {
  if (address == nullptr || size == nullptr) return;
  if (one.family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(from.port);
    std::memcpy(&in.sin_addr, from.address.v4().bytes.data(), 4);
    std::memcpy(address, &in, std::min<std::size_t>(*size, sizeof in));
    *size = sizeof in;
    return;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(from.port);
  if (from.address.is_v6()) {
    std::memcpy(&in.sin6_addr, from.address.v6().bytes.data(), 16);
  } else {
    in.sin6_addr.s6_addr[10] = in.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(in.sin6_addr.s6_addr + 12, from.address.v4().bytes.data(), 4);
  }
  std::memcpy(address, &in, std::min<std::size_t>(*size, sizeof in));
  *size = sizeof in;
}

// ---- opening

int sockets::socket(int domain, int type, int protocol) {
  lock held(mutex_);
  if (domain != AF_INET && domain != AF_INET6) return -EAFNOSUPPORT;
  if ((type & 0xf) != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) return -EPROTONOSUPPORT;
  (void)host();
  auto made = std::make_unique<descriptor>();
  made->family = domain;
  made->non_blocking = (type & SOCK_NONBLOCK) != 0;
  auto& with = made->chosen;
  with.no_delay = false;
  with.ecn = settings_.sysctl("tcp_ecn", 2) == 1;
  with.receive_buffer_bytes = static_cast<std::uint32_t>(settings_.sysctl("tcp_rmem", 540'000, 1));
  with.restart_after_idle = settings_.sysctl("tcp_slow_start_after_idle", 1) != 0;
  with.super_segment_min = static_cast<std::uint8_t>(settings_.sysctl("tcp_min_tso_segs", 2));
  with.loss_probe = settings_.sysctl("tcp_early_retrans", 3) != 0;
  with.leave_slow_start_slowly = false;
  with.timestamps = settings_.sysctl("tcp_timestamps", 1) != 0;
  if (settings_.sysctl("tcp_mtu_probing", 0) == 2) {
    with.probe_mtu_from = static_cast<std::uint16_t>(settings_.sysctl("tcp_base_mss", 1024));
  }
  with.pacing = settings_.paces;
  with.send_buffer_bytes = 64u << 20;  // send() keeps to Linux's way of counting
  return adopt(std::move(made));
}

int sockets::bind(int fd, sockaddr const* address, socklen_t) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  bool is_right = false;
  auto const where = endpoint_of(*one, address, is_right);
  if (!is_right) return -EINVAL;
  if (!where.address.is_unspecified() && !host().has_address(where.address))
    host().add_address(where.address);
  one->local = where;
  return 0;
}

int sockets::listen(int fd, int backlog) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  if (one->listener != nullptr) return 0;
  auto const where = one->local.value_or(endpoint{});
  // Linux takes one more than it was told.
  auto const made = host().core().tcp().listen(
      {where.address, where.port, static_cast<std::uint32_t>(std::max(backlog, 0)) + 1});
  if (!made) return -errno_of(static_cast<net_error>(made.error().code()));
  one->listener = *made;
  one->listener->options() = one->chosen;
  one->backlog = static_cast<std::uint32_t>(std::max(backlog, 1));
  accept_fast(*one);
  return 0;
}

void sockets::pull(descriptor& listening) {
  while (auto* const next = listening.listener->accept()) listening.accepted.push_back(next);
}

int sockets::accept(int fd, sockaddr* address, socklen_t* size) {
  lock held(mutex_);
  auto* one = find(fd);
  if (one == nullptr) return -EBADF;
  if (one->listener == nullptr) return -EINVAL;
  tcp::connection* next = nullptr;
  auto const take = [&] {
    one = find(fd);
    if (one == nullptr || one->listener == nullptr) return true;
    if (!one->accepted.empty()) {
      next = one->accepted.front();
      one->accepted.pop_front();
      return true;
    }
    next = one->listener->accept();
    return next != nullptr;
  };
  if (one->non_blocking ? !take() : !block(held, take)) return -EAGAIN;
  if (next == nullptr) return -EBADF;
  auto made = std::make_unique<descriptor>(*one);
  made->accepted.clear();
  made->listener = nullptr;
  made->connection = next;
  made->non_blocking = false;
  made->local = next->local();
  store_address(*made, next->peer(), address, size);
  return adopt(std::move(made));
}

int sockets::connect(int fd, sockaddr const* address, socklen_t) {
  lock held(mutex_);
  auto* one = find(fd);
  if (one == nullptr) return -EBADF;
  if (one->connection != nullptr) {
    if (is_connecting(*one->connection)) return -EALREADY;
    if (!one->connect_waits) return -EISCONN;
    one->connect_waits = false;
    return one->connection->failure() ? -error_of(*one) : 0;
  }
  bool is_right = false;
  auto const to = endpoint_of(*one, address, is_right);
  if (!is_right) return -EAFNOSUPPORT;
  if (one->connect_with_write) return -EISCONN;
  if (one->connects_fast) {
    one->chosen.fast_open = fast_open_use();
    if (host().core().tcp().fast_open_room(to.address, one->chosen)) {
      one->connect_with_write = to;
      return 0;
    }
  }
  if (auto const error = open(*one, to); error != 0) return error;
  auto* const c = one->connection;
  settle(held);
  if (one->non_blocking) {
    one->connect_waits = true;
    return -EINPROGRESS;
  }
  block(held, [&] { return find(fd) == nullptr || !is_connecting(*c); });
  one = find(fd);
  if (one == nullptr) return -EBADF;
  return c->failure() ? -error_of(*one) : 0;
}

int sockets::open(descriptor& one, endpoint const& to) {
  auto& tcp = host().core().tcp();
  auto const made = one.local && one.local->port != 0 && !one.local->address.is_unspecified()
                        ? tcp.connect(*one.local, to, one.chosen, host().now())
                        : tcp.connect(to, one.chosen, host().now());
  if (!made) return -errno_of(static_cast<net_error>(made.error().code()));
  one.connection = *made;
  return 0;
}

// ---- TCP Fast Open, as Linux's settings and flags have it

tcp::fast_open sockets::fast_open_use() {
  constexpr std::int64_t client = 1, client_without_cookie = 4;
  settings_.refresh();
  if (std::exchange(settings_.forgets_peers, false)) host().core().tcp().forget_fast_open_cookies();
  auto const set = settings_.sysctl("tcp_fastopen", 1);
  if ((set & client) == 0) return tcp::fast_open::no;
  return (set & client_without_cookie) != 0 ? tcp::fast_open::without_cookie : tcp::fast_open::with_cookie;
}

void sockets::accept_fast(descriptor& listening) {
  constexpr std::int64_t server = 2, server_without_cookie = 0x200, every_listener = 0x400;
  auto const set = settings_.sysctl("tcp_fastopen", 1);
  auto& with = listening.listener->fast_open();
  with.pending_max = listening.fast_pending_max.value_or((set & every_listener) != 0 ? listening.backlog : 0);
  if ((set & server) == 0) with.pending_max = 0;
  with.needs_cookie = (set & server_without_cookie) == 0;
  with.key = listening.fast_key.value_or(settings_.fast_open_key());
}

/// Writes what goes with the SYN, and waits for the answer and writes the rest where it may wait.
std::int64_t sockets::send_fast(lock& held, int fd, std::vector<std::byte> const& all, int flags,
                                endpoint const& to) {
  auto* one = find(fd);
  auto& tcp = host().core().tcp();
  one->chosen.fast_open = fast_open_use();
  if (one->chosen.fast_open == tcp::fast_open::no) return -EOPNOTSUPP;
  auto const room = tcp.fast_open_room(to.address, one->chosen);
  if (auto const error = open(*one, to); error != 0) return error;
  one->connect_with_write.reset();
  auto* const c = one->connection;
  std::size_t first = std::min<std::size_t>(room.value_or(0), all.size());
  if (first != 0) first = c->write(std::span(all).first(first), host().now()).value_or(0);
  settle(held);
  if (one->non_blocking || (flags & MSG_DONTWAIT) != 0) {
    one->connect_waits = first == 0;
    return first != 0 ? static_cast<std::int64_t>(first) : -EINPROGRESS;
  }
  block(held, [&] { return find(fd) == nullptr || !is_connecting(*c); });
  one = find(fd);
  if (one == nullptr) return -EBADF;
  if (c->failure()) return -error_of(*one);
  if (first == all.size()) return static_cast<std::int64_t>(first);
  auto const rest = send_all(held, fd, std::span(all).subspan(first), flags);
  return rest < 0 ? rest : static_cast<std::int64_t>(first) + rest;
}

/// The error a socket holds is told once.
int sockets::error_of(descriptor& one) {
  if (one.connection == nullptr || !one.connection->failure() || one.error_told) return 0;
  one.error_told = true;
  return errno_of(*one.connection->failure());
}

// ---- closing

int sockets::close(int fd) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  auto const now = host().now();
  if (one->connection != nullptr) one->connection->release(now);
  for (auto* const waiting : one->accepted) {
    waiting->abort(now);
    waiting->release(now);
  }
  if (one->listener != nullptr) one->listener->release(now);
  open_.erase(fd);
  ::close(fd);
  settle(held);
  return 0;
}

int sockets::shutdown(int fd, int how) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  if (one->connection == nullptr) return -ENOTCONN;
  if (how == SHUT_RD || how == SHUT_RDWR) one->read_shut = true;
  if (how == SHUT_WR || how == SHUT_RDWR) one->connection->shutdown(host().now());
  settle(held);
  return 0;
}

// ---- readiness

short sockets::ready(descriptor& one) {
  int bits = 0;
  if (one.listener != nullptr) {
    pull(one);
    if (!one.accepted.empty()) bits |= POLLIN | POLLRDNORM;
    return static_cast<short>(bits);
  }
  if (one.connection == nullptr && one.connect_with_write) return POLLOUT | POLLWRNORM;
  if (one.connection == nullptr) return POLLOUT | POLLHUP;
  auto const& c = *one.connection;
  auto const info = c.info();
  bool const ended = c.state() == tcp::state::closed || c.state() == tcp::state::time_wait;
  if (info.receive_queue_bytes != 0 || info.peer_ended || ended || one.read_shut) bits |= POLLIN | POLLRDNORM;
  if (info.peer_ended || ended || one.read_shut) bits |= POLLRDHUP;
  auto const limit = send_limit(one);
  auto const low = one.not_sent_low_water != 0 ? one.not_sent_low_water : UINT32_MAX;
  if (ended || (!is_connecting(c) && info.send_queue_bytes <= limit / 3 * 2 && info.unsent_bytes < low)) {
    bits |= POLLOUT | POLLWRNORM;
  }
  if (ended) bits |= POLLHUP;
  if (c.failure() && !one.error_told && *c.failure() != net_error::not_connected) bits |= POLLERR;
  return static_cast<short>(bits);
}

int sockets::poll(pollfd* descriptors, std::size_t count, int timeout_ms) {
  lock held(mutex_);
  auto const deadline = timeout_ms < 0 ? never : host().now() + timeout_ms * duration(1ms);
  int found = 0;
  auto const look = [&] {
    found = 0;
    for (auto& entry : std::span(descriptors, count)) {
      entry.revents = 0;
      if (entry.fd < 0) continue;
      auto* const one = find(entry.fd);
      auto const is = one == nullptr ? short{POLLNVAL} : ready(*one);
      entry.revents = static_cast<short>(is & (entry.events | POLLERR | POLLHUP | POLLNVAL));
      if (entry.revents != 0) ++found;
    }
    return found != 0;
  };
  if (timeout_ms == 0) {
    look();
  } else {
    block(held, look, deadline);
  }
  return found;
}

int sockets::get_flags(int fd) {
  lock held(mutex_);
  auto const* const one = find(fd);
  if (one == nullptr) return -EBADF;
  return O_RDWR | (one->non_blocking ? O_NONBLOCK : 0);
}

int sockets::set_flags(int fd, int flags) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  one->non_blocking = (flags & O_NONBLOCK) != 0;
  return 0;
}

}  // namespace morgana::packetdrill
