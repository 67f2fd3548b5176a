// Streams: reading, writing, closing.
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "socket_stack_state.hpp"

namespace morgana::hosted {

bool socket_stream::read_wait::attempt() {
  auto& socket = *socket_;
  if (into_.empty()) return true;
  while (socket.readable) {
    auto const count = ::recv(socket.descriptor(), into_.data(), into_.size(), 0);
    if (count >= 0) {
      count_ = static_cast<std::size_t>(count);
      if (count_ == 0) socket.ended = true;
      if (count_ < into_.size() && !socket.ended) socket.readable = false;
      return true;
    }
    if (errno == EAGAIN) {
      socket.readable = false;
    } else if (errno != EINTR) {
      return fail(errno);
    }
  }
  return false;
}

result<std::size_t> socket_stream::read_wait::await_resume() {
  if (has_failed()) return failure(failed());
  return count_;
}

bool socket_stream::write_wait::attempt() {
  auto& socket = *socket_;
  if (static_cast<connection&>(socket).is_shut) return fail(not_connected);
  constexpr std::size_t vector_max = 16;
  for (;;) {
    while (!parts_.empty() && offset_ == parts_.front().size()) {
      parts_ = parts_.subspan(1);
      offset_ = 0;
    }
    if (parts_.empty()) return true;
    if (!socket.writable) return false;
    iovec vector[vector_max];
    auto const parts = std::min(parts_.size(), vector_max);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < parts; ++i) {
      auto const bytes = parts_[i].subspan(i == 0 ? offset_ : 0);
      vector[i] = {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
      wanted += bytes.size();
    }
    ssize_t count;
    if (parts == 1) {
      count = ::send(socket.descriptor(), vector[0].iov_base, wanted, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = vector;
      message.msg_iovlen = parts;
      count = ::sendmsg(socket.descriptor(), &message, MSG_NOSIGNAL);
    }
    if (count < 0) {
      if (errno == EAGAIN) {
        socket.writable = false;
      } else if (errno != EINTR) {
        return fail(errno);
      }
      continue;
    }
    auto sent = static_cast<std::size_t>(count);
    if (sent < wanted) socket.writable = false;
    // Whole parts that are sent go at the top of the loop.
    while (sent > 0) {
      auto const step = std::min(sent, parts_.front().size() - offset_);
      offset_ += step;
      sent -= step;
      if (sent > 0) {
        parts_ = parts_.subspan(1);
        offset_ = 0;
      }
    }
  }
}

result<void> socket_stream::write_wait::await_resume() {
  if (has_failed()) return failure(failed());
  return {};
}

result<void> socket_stream::shutdown() {
  if (connection_ == nullptr || !connection_->is_open()) return failure(net::net_error::not_connected);
  connection_->is_shut = true;
  if (::shutdown(connection_->descriptor(), SHUT_WR) != 0) return failure(socket_error(errno));
  return {};
}

void socket_stream::abort() noexcept {
  if (connection_ == nullptr || !connection_->is_open()) return;
  linger const at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(connection_->descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  connection_->close();
}

net::endpoint socket_stream::local() const { return connection_ == nullptr ? net::endpoint() : connection_->local(); }
net::endpoint socket_stream::peer() const { return connection_ == nullptr ? net::endpoint() : connection_->peer; }

void connection::give_back() noexcept {
  close();
  is_shut = false;
  stack->give_back(*this);
}

}  // namespace morgana::hosted
