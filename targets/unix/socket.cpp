#include "morgana/hosted/socket.hpp"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "morgana/core/platform.hpp"

namespace morgana::hosted {

int host_socket::open(int descriptor) {
  descriptor_ = descriptor;
  return reactor::of_process().watch(descriptor, *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

void host_socket::close() noexcept {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  descriptor_ = -1;
  readable = writable = ended = false;
  immediate_ = 0;
  fail_all(readers_);
  fail_all(writers_);
}

void host_socket::ready(std::uint32_t events) {
  // HUP and ERR are found out by the next call in either direction.
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) ended = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable = true;
  if (readable) try_all(readers_);
  if (writable) try_all(writers_);
}

void host_socket::try_all(wait_queue& waiting) {
  while (auto* const first = static_cast<socket_wait*>(waiting.first())) {
    if (!first->attempt()) return;
    first->complete();
  }
}

void host_socket::fail_all(wait_queue& waiting) noexcept {
  while (auto* const first = static_cast<socket_wait*>(waiting.first())) {
    first->fail(socket_wait::not_connected);
    first->complete();
  }
}

net::endpoint host_socket::local() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (descriptor_ < 0 || ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return from_kernel(address);
}

bool socket_wait::await_ready() {
  if (socket_ == nullptr || !socket_->is_open()) return fail(not_connected);
  if (!queue_->is_empty()) return false;  // first come, first served
  if (socket_->immediate_ >= host_socket::immediate_max) {
    must_yield_ = true;
    return false;
  }
  if (attempt()) {
    ++socket_->immediate_;
    return true;
  }
  socket_->immediate_ = 0;
  return false;
}

void socket_wait::go_on() {
  must_yield_ = false;
  socket_->immediate_ = 0;
  if (attempt()) complete();
}

error socket_wait::failed() const {
  // What happened is what counts, even if the deadline came before the coroutine ran.
  if (number_ == not_connected) return error(net::net_error::not_connected);
  if (number_ == limit_reached) return error(net::net_error::limit_reached, limit_);
  if (number_ != 0) return socket_error(number_);
  return error(net::net_error::timed_out);
}

error socket_error(int number) {
  using net::net_error;
  switch (number) {
    case ECONNREFUSED: return error(net_error::refused);
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE: return error(net_error::reset);
    case ETIMEDOUT: return error(net_error::timed_out);
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN: return error(net_error::unreachable);
    case EADDRINUSE: return error(net_error::address_in_use);
    case EADDRNOTAVAIL: return error(net_error::address_not_available);
    case ENOTCONN:
    case EBADF: return error(net_error::not_connected);
    case EMSGSIZE: return error(net_error::message_too_long);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC: return error(net_error::limit_reached);
    case EINVAL:
    case EAFNOSUPPORT: return error(net_error::invalid_address);
    case EACCES:
    case EPERM: return error(net_error::not_permitted);
    default: return error(net_error::other, number);
  }
}

unsigned to_kernel(net::endpoint const& from, bool as_v6, sockaddr_storage& into) {
  std::memset(&into, 0, sizeof into);
  if (from.address.is_v4() && !as_v6) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(into);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(from.port);
    std::memcpy(&v4.sin_addr, from.address.v4().bytes.data(), 4);
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(into);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(from.port);
  if (from.address.is_v6()) {
    std::memcpy(&v6.sin6_addr, from.address.v6().bytes.data(), 16);
  } else {
    // RFC 4291, 2.5.5.2: ::ffff:a.b.c.d
    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&v6.sin6_addr.s6_addr[12], from.address.v4().bytes.data(), 4);
  }
  return sizeof v6;
}

net::endpoint from_kernel(sockaddr_storage const& from) {
  if (from.ss_family == AF_INET) {
    auto const& v4 = reinterpret_cast<sockaddr_in const&>(from);
    net::ipv4_address address;
    std::memcpy(address.bytes.data(), &v4.sin_addr, 4);
    return {.address = address, .port = ntohs(v4.sin_port)};
  }
  if (from.ss_family != AF_INET6) return {};
  auto const& v6 = reinterpret_cast<sockaddr_in6 const&>(from);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    net::ipv4_address address;
    std::memcpy(address.bytes.data(), &v6.sin6_addr.s6_addr[12], 4);
    return {.address = address, .port = ntohs(v6.sin6_port)};
  }
  net::ipv6_address address;
  std::memcpy(address.bytes.data(), &v6.sin6_addr, 16);
  return {.address = address, .port = ntohs(v6.sin6_port)};
}

}  // namespace morgana::hosted
