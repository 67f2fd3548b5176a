// The stack: listeners, outgoing connections, datagrams and the limit on connections.
#include "morgana/hosted/socket_stack.hpp"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "morgana/core/log.hpp"
#include "socket_stack_state.hpp"

namespace morgana::hosted {
namespace {

/// Descriptors that are not connections: console, reactor, listeners, files.
constexpr rlim_t other_descriptors = 128;

void set_option(int descriptor, int level, int name, int value) {
  ::setsockopt(descriptor, level, name, &value, sizeof value);
}

/// A bound socket, or the errno as a negative number. `::` serves both families, and IPv4 alone where the
/// host has no IPv6.
int open_bound(net::endpoint const& where, int type, bool& is_v6) {
  is_v6 = where.address.is_v6();
  auto target = where;
  auto descriptor = ::socket(is_v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0 && errno == EAFNOSUPPORT && is_v6 && where.address.is_unspecified()) {
    is_v6 = false;
    target.address = net::ip_address(net::ipv4_address{});
    descriptor = ::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  }
  if (descriptor < 0) return -errno;
  if (is_v6) set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  // TCP only: it lets a restarted server listen at once. For UDP it would let two guests share a port.
  if (type == SOCK_STREAM) set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  sockaddr_storage address;
  auto const size = to_kernel(target, is_v6, address);
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0) {
    auto const number = errno;
    ::close(descriptor);
    return -number;
  }
  return descriptor;
}

}  // namespace

// ---- records ------------------------------------------------------------------------------------------

socket_stack_state::~socket_stack_state() {
  while (free_records != nullptr) delete std::exchange(free_records, free_records->next_free);
}

connection& socket_stack_state::take() {
  ++open_connections;
  if (free_records == nullptr) return *new connection(*this);
  return *std::exchange(free_records, free_records->next_free);
}

void socket_stack_state::give_back(connection& unused) noexcept {
  --open_connections;
  unused.next_free = free_records;
  free_records = &unused;
  // Each is tried once; one that must stop again puts itself back.
  for (auto* first = std::exchange(blocked, nullptr); first != nullptr;) {
    auto& who = *first;
    first = who.next_blocked;
    who.is_blocked = false;
    who.try_readers();
  }
}

void socket_stack_state::block(listening& who) {
  if (who.is_blocked) return;
  who.is_blocked = true;
  who.next_blocked = blocked;
  blocked = &who;
}

void socket_stack_state::unblock(listening& who) {
  if (!who.is_blocked) return;
  auto** at = &blocked;
  while (*at != &who) at = &(*at)->next_blocked;
  *at = who.next_blocked;
  who.is_blocked = false;
}

listening::~listening() { stack->unblock(*this); }

void listening::retry_at(instant when) { stack->in->executor().arm(*this, when); }

// ---- accepting ----------------------------------------------------------------------------------------

bool socket_listener::accept_wait::attempt() {
  auto& socket = static_cast<listening&>(*socket_);
  auto& stack = *socket.stack;
  while (socket.readable) {
    if (stack.is_full()) {
      stack.block(socket);
      return false;
    }
    sockaddr_storage address;
    socklen_t size = sizeof address;
    auto const descriptor = ::accept4(socket.descriptor(), reinterpret_cast<sockaddr*>(&address), &size,
                                      SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      auto& record = stack.take();
      accepted_ = socket_stream(record);
      record.peer = from_kernel(address);
      // New connections have room to write; whether there is something to read the kernel says at once.
      record.writable = true;
      if (record.open(descriptor) == 0) return true;
      accepted_ = {};
      continue;
    }
    switch (errno) {
      case EAGAIN: socket.readable = false; break;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        // There is somebody to accept, so no new edge need come: a closing connection or time must help.
        stack.block(socket);
        socket.retry_at(after(stack.in->now(), socket_stack::descriptor_retry));
        return false;
      case EBADF:
      case EINVAL:
      case ENOTSOCK: return fail(errno);
      // The rest are errors of the connection that was to be accepted (accept(2)): it is gone, the next one.
      default: break;
    }
  }
  return false;
}

result<socket_stream> socket_listener::accept_wait::await_resume() {
  if (has_failed()) return failure(failed());
  return std::move(accepted_);
}

net::endpoint socket_listener::local() const { return listening_->local(); }

// ---- connecting ---------------------------------------------------------------------------------------

bool socket_stack::connect_wait::await_ready() {
  if (!begin()) return true;
  return attempt();
}

/// False when the outcome is known: an error.
bool socket_stack::connect_wait::begin() {
  if (stack_->is_full()) {
    limit_ = stack_->connections_max;
    fail(limit_reached);
    return false;
  }
  auto const descriptor =
      ::socket(peer_.address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    fail(errno);
    return false;
  }
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  sockaddr_storage address;
  auto const size = to_kernel(peer_, false, address);
  if (::connect(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0 && errno != EINPROGRESS &&
      errno != EINTR) {
    fail(errno);
    ::close(descriptor);
    return false;
  }
  auto& record = stack_->take();
  stream_ = socket_stream(record);
  record.peer = peer_;
  bind(&record, direction::write);
  if (auto const number = record.open(descriptor); number != 0) {
    fail(number);
    return false;
  }
  return true;
}

bool socket_stack::connect_wait::attempt() {
  if (!socket_->writable) return false;
  int number = 0;
  socklen_t size = sizeof number;
  if (::getsockopt(socket_->descriptor(), SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
  return number == 0 || fail(number);
}

result<socket_stream> socket_stack::connect_wait::await_resume() {
  if (has_failed()) {
    stream_ = {};
    return failure(failed());
  }
  return std::move(stream_);
}

// ---- datagrams ----------------------------------------------------------------------------------------

bool socket_datagrams::receive_wait::attempt() {
  while (socket_->readable) {
    sockaddr_storage address;
    socklen_t size = sizeof address;
    // MSG_TRUNC: the datagram's real length.
    auto const count = ::recvfrom(socket_->descriptor(), into_.data(), into_.size(), MSG_TRUNC,
                                  reinterpret_cast<sockaddr*>(&address), &size);
    if (count >= 0) {
      auto const length = static_cast<std::size_t>(count);
      received_ = {.size = std::min(length, into_.size()),
                   .from = from_kernel(address),
                   .was_cut = length > into_.size()};
      return true;
    }
    if (errno == EAGAIN) {
      socket_->readable = false;
    } else if (errno != EINTR) {
      return fail(errno);
    }
  }
  return false;
}

result<net::received_datagram> socket_datagrams::receive_wait::await_resume() {
  if (has_failed()) return failure(failed());
  return received_;
}

bool socket_datagrams::send_wait::attempt() {
  while (socket_->writable) {
    sockaddr_storage address;
    auto const size = to_kernel(to_, is_v6_, address);
    if (::sendto(socket_->descriptor(), from_.data(), from_.size(), MSG_NOSIGNAL,
                 reinterpret_cast<sockaddr*>(&address), size) >= 0) {
      return true;
    }
    if (errno == EAGAIN) {
      socket_->writable = false;
    } else if (errno != EINTR) {
      return fail(errno);
    }
  }
  return false;
}

result<void> socket_datagrams::send_wait::await_resume() {
  if (has_failed()) return failure(failed());
  return {};
}

net::endpoint socket_datagrams::local() const { return socket_->local(); }

// ---- the stack ----------------------------------------------------------------------------------------

socket_stack::socket_stack(std::unique_ptr<socket_stack_state> state) : state_(std::move(state)) {}
socket_stack::socket_stack(socket_stack&&) noexcept = default;
socket_stack& socket_stack::operator=(socket_stack&&) noexcept = default;
socket_stack::~socket_stack() = default;

task<result<socket_stack>> socket_stack::connect(context& in, socket_stack_options const& options) {
  rlimit files{};
  auto most = options.connections;
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    auto const wanted = std::min<rlim_t>(most + other_descriptors, files.rlim_max);
    if (files.rlim_cur < wanted) {
      files.rlim_cur = wanted;
      ::setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < most + other_descriptors) {
      most = static_cast<std::uint32_t>(files.rlim_cur > 2 * other_descriptors ? files.rlim_cur - other_descriptors
                                                                              : files.rlim_cur / 2);
      log_source(in.log(), "net").warning("the host allows {} descriptors: at most {} connections, not {}",
                                          static_cast<std::uint64_t>(files.rlim_cur), most, options.connections);
    }
  }
  co_return socket_stack(std::make_unique<socket_stack_state>(in, most));
}

result<socket_stack::listener> socket_stack::listen(net::listen_options const& where) {
  bool is_v6 = false;
  auto const descriptor = open_bound({.address = where.address, .port = where.port}, SOCK_STREAM, is_v6);
  if (descriptor < 0) return failure(socket_error(-descriptor));
  auto record = std::make_unique<listening>(*state_);
  // Accepted connections inherit it.
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  auto const backlog = static_cast<int>(std::min<std::uint32_t>(where.backlog, INT32_MAX));
  auto number = ::listen(descriptor, backlog) == 0 ? 0 : errno;
  auto const watched = record->open(descriptor);
  if (number == 0) number = watched;
  if (number != 0) return failure(socket_error(number));
  return listener(std::move(record));
}

result<socket_stack::datagram_socket> socket_stack::bind(net::endpoint const& local) {
  bool is_v6 = false;
  auto const descriptor = open_bound(local, SOCK_DGRAM, is_v6);
  if (descriptor < 0) return failure(socket_error(-descriptor));
  auto record = std::make_unique<datagram_record>();
  record->writable = true;
  if (auto const number = record->open(descriptor); number != 0) return failure(socket_error(number));
  return datagram_socket(std::move(record), is_v6);
}

std::uint32_t socket_stack::open_connections() const { return state_->open_connections; }

}  // namespace morgana::hosted
