// Bytes: what is received, sent and waiting.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "sockets.hpp"

namespace morgana::packetdrill {

using namespace net;

std::int64_t sockets::receive(int fd, std::span<iovec const> into, int flags) {
  lock held(mutex_);
  auto* one = find(fd);
  if (one == nullptr) return -EBADF;
  std::size_t wanted = 0;
  for (auto const& part : into) wanted += part.iov_len;
  if (wanted != 0 && std::ranges::any_of(into, [](auto const& part) {
        return part.iov_base == nullptr && part.iov_len != 0;
      })) {
    return -EFAULT;
  }
  if (one->connection == nullptr) return one->connect_with_write ? -EAGAIN : -ENOTCONN;
  std::int64_t answer = 0;
  auto const take = [&] {
    one = find(fd);
    if (one == nullptr) {
      answer = -EBADF;
      return true;
    }
    auto* const c = one->connection;
    std::size_t done = 0;
    for (auto const& part : into) {
      auto const room = std::span(static_cast<std::byte*>(part.iov_base), part.iov_len);
      if (room.empty()) continue;
      auto const got = c->read(room, host().now());
      if (!got) {
        if (done == 0) answer = -error_of(*one);
        if (done == 0) return true;
        break;
      }
      if (!*got) break;
      done += **got;
      if (**got < room.size()) {
        if (**got == 0) {
          answer = static_cast<std::int64_t>(done);
          return true;
        }
        break;
      }
    }
    answer = static_cast<std::int64_t>(done);
    return done != 0 || wanted == 0 || one->read_shut;
  };
  bool const may_wait = !one->non_blocking && (flags & MSG_DONTWAIT) == 0;
  bool const is_done = may_wait ? block(held, take) : take();
  settle(held);
  return is_done ? answer : -EAGAIN;
}

/// Linux counts the memory of whole super-segments and looks before each, not after.
std::uint32_t sockets::send_limit(descriptor const& one) const {
  if (one.send_buffer_bytes != 0) return one.send_buffer_bytes;
  return static_cast<std::uint32_t>(settings_.sysctl("tcp_wmem", 4'194'304, 2));
}

std::int64_t sockets::send(int fd, std::span<iovec const> from, int flags, sockaddr const* to) {
  lock held(mutex_);
  auto* one = find(fd);
  if (one == nullptr) return -EBADF;
  std::vector<std::byte> all;
  for (auto const& part : from) {
    if (part.iov_base == nullptr && part.iov_len != 0) return -EFAULT;
    auto const* const bytes = static_cast<std::byte const*>(part.iov_base);
    all.insert(all.end(), bytes, bytes + part.iov_len);
  }
  if ((flags & MSG_FASTOPEN) != 0) {
    if (to != nullptr && to->sa_family == AF_UNSPEC) return -EOPNOTSUPP;
    if (one->connection != nullptr && is_connecting(*one->connection)) return -EALREADY;
    bool is_right = false;
    auto const where = endpoint_of(*one, to, is_right);
    if (one->connection == nullptr) return is_right ? send_fast(held, fd, all, flags, where) : -EINVAL;
  }
  if (one->connection == nullptr && one->connect_with_write) {
    return send_fast(held, fd, all, flags, *one->connect_with_write);
  }
  if (one->connection == nullptr) return -EPIPE;
  return send_all(held, fd, all, flags);
}

std::int64_t sockets::send_all(lock& held, int fd, std::span<std::byte const> all, int flags) {
  auto* one = find(fd);
  std::size_t done = 0;
  std::int64_t error = 0;
  bool was_full = false;
  auto const put = [&] {
    one = find(fd);
    if (one == nullptr) {
      error = -EBADF;
      return true;
    }
    auto* const c = one->connection;
    auto const limit = send_limit(*one);
    do {
      auto const info = c->info();
      if (!c->failure() && is_connecting(*c)) return false;
      // A writer that had to wait goes on when a third is free.
      if (was_full && !c->failure() && info.send_queue_bytes > limit / 3 * 2) return false;
      if (!c->failure() && info.send_queue_bytes >= limit) {
        was_full = true;
        return false;
      }
      was_full = false;
      auto const chunk =
          std::min<std::size_t>(all.size() - done, std::max(limit / 2 / 10'000 * 10'000, 10'000u));
      bool const follows = (flags & MSG_MORE) != 0 || done + chunk < all.size();
      auto const wrote = c->write(all.subspan(done, chunk), host().now(),
                                  follows ? tcp::more::follows : tcp::more::none);
      if (!wrote) {
        error = -error_of(*one);
        if (error == 0) error = -EPIPE;
        return true;
      }
      done += *wrote;
    } while (done < all.size());
    return true;
  };
  bool const may_wait = !one->non_blocking && (flags & MSG_DONTWAIT) == 0;
  bool is_done = put();
  settle(held);
  if (!is_done && may_wait) {
    is_done = block(held, [&] {
      bool const ended = put();
      host().pump();
      return ended;
    });
  }
  settle(held);
  if (done != 0) return static_cast<std::int64_t>(done);
  return error != 0 ? error : is_done ? 0 : -EAGAIN;
}

std::int64_t sockets::bytes_waiting(int fd, bool to_read) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr) return -EBADF;
  if (one->connection == nullptr) return -EINVAL;
  auto const info = one->connection->info();
  return to_read ? info.receive_queue_bytes : info.send_queue_bytes;
}

std::int64_t sockets::queue_hint(int fd) {
  lock held(mutex_);
  auto* const one = find(fd);
  if (one == nullptr || one->connection == nullptr) return 0;
  auto const info = one->connection->info();
  return info.receive_queue_bytes == 0 && info.peer_ended ? 1 : info.receive_queue_bytes;
}

}  // namespace morgana::packetdrill
