// packetdrill's entry point, and what must be loaded before its own C library calls (LD_PRELOAD of the same
// object): it asks for TCP_INFO by getsockopt() itself, and prepares for real time, of which there is none
// here.
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "interface.hpp"
#include "sockets.hpp"

namespace {

using morgana::packetdrill::sockets;

sockets* running = nullptr;  ///< for getsockopt(), which is given no userdata

sockets& of(void* userdata) {
  return *static_cast<sockets*>(userdata);
}

/// As system calls answer: -1 and errno.
template <class Number>
Number told(Number answer) {
  if (answer >= 0) return answer;
  errno = static_cast<int>(-answer);
  return -1;
}

ssize_t receive_message(sockets& all, int fd, msghdr* message, int flags) {
  auto const got =
      told(static_cast<ssize_t>(all.receive(fd, std::span(message->msg_iov, message->msg_iovlen), flags)));
  message->msg_flags = 0;
  auto const room = message->msg_control != nullptr ? message->msg_controllen : 0;
  message->msg_controllen = 0;
  if (got < 0 || !all.wants_queue_length(fd) || room < CMSG_SPACE(sizeof(int))) return got;
  message->msg_controllen = room;
  auto* const head = CMSG_FIRSTHDR(message);
  head->cmsg_level = IPPROTO_TCP;
  head->cmsg_type = TCP_CM_INQ;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  int const waiting = static_cast<int>(all.queue_hint(fd));
  std::memcpy(CMSG_DATA(head), &waiting, sizeof waiting);
  message->msg_controllen = CMSG_SPACE(sizeof(int));
  return got;
}

int control(void* all, int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  int* const into = va_arg(rest, int*);
  va_end(rest);
  if (request != SIOCINQ && request != SIOCOUTQ) return told(-EINVAL);
  auto const count = of(all).bytes_waiting(fd, request == SIOCINQ);
  if (count >= 0) *into = static_cast<int>(count);
  return told(count < 0 ? static_cast<int>(count) : 0);
}

int file_control(void* all, int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  int const flags = va_arg(rest, int);
  va_end(rest);
  if (command == F_GETFL) return told(of(all).get_flags(fd));
  if (command == F_SETFL) return told(of(all).set_flags(fd, flags));
  return told(-EINVAL);
}

int receive_datagram(void* all, void* into, std::size_t* size, long long* time_us) {
  std::int64_t at = 0;
  if (!of(all).network_receive(std::span(static_cast<std::byte*>(into), *size), *size, at)) {
    // packetdrill would wait for ever.
    std::fputs("the stack sent nothing for a minute of virtual time\n", stderr);
    std::_Exit(3);
  }
  *time_us = at;
  return 0;
}

int now(void* all, timeval* time, struct timezone*) {
  auto const us = of(all).time_us();
  time->tv_sec = us / 1'000'000;
  time->tv_usec = us % 1'000'000;
  return 0;
}

int not_supported() {
  return told(-EOPNOTSUPP);
}

}  // namespace

extern "C" {

void packetdrill_interface_init(char const* flags, packetdrill_interface* into) {
  running = new sockets(flags);
  *into = {
      .userdata = running,
      .free =
          [](void* all) {
            running = nullptr;
            delete &of(all);
          },
      .socket = [](void* all, int domain, int type,
                   int protocol) { return told(of(all).socket(domain, type, protocol)); },
      .bind = [](void* all, int fd, sockaddr const* to,
                 socklen_t size) { return told(of(all).bind(fd, to, size)); },
      .listen = [](void* all, int fd, int backlog) { return told(of(all).listen(fd, backlog)); },
      .accept = [](void* all, int fd, sockaddr* from,
                   socklen_t* size) { return told(of(all).accept(fd, from, size)); },
      .connect = [](void* all, int fd, sockaddr const* to,
                    socklen_t size) { return told(of(all).connect(fd, to, size)); },
      .read = [](void* all, int fd, void* bytes, std::size_t size) -> ssize_t {
        iovec const part{bytes, size};
        return told(of(all).receive(fd, std::span(&part, 1), 0));
      },
      .readv = [](void* all, int fd, iovec const* parts, int count) -> ssize_t {
        return told(of(all).receive(fd, std::span(parts, static_cast<std::size_t>(count)), 0));
      },
      .recv = [](void* all, int fd, void* bytes, std::size_t size, int how) -> ssize_t {
        iovec const part{bytes, size};
        return told(of(all).receive(fd, std::span(&part, 1), how));
      },
      .recvfrom = [](void* all, int fd, void* bytes, std::size_t size, int how, sockaddr*,
                     socklen_t*) -> ssize_t {
        iovec const part{bytes, size};
        return told(of(all).receive(fd, std::span(&part, 1), how));
      },
      .recvmsg = [](void* all, int fd, msghdr* message, int how) -> ssize_t {
        return receive_message(of(all), fd, message, how);
      },
      .write = [](void* all, int fd, void const* bytes, std::size_t size) -> ssize_t {
        iovec const part{const_cast<void*>(bytes), size};
        return told(of(all).send(fd, std::span(&part, 1), 0));
      },
      .writev = [](void* all, int fd, iovec const* parts, int count) -> ssize_t {
        return told(of(all).send(fd, std::span(parts, static_cast<std::size_t>(count)), 0));
      },
      .send = [](void* all, int fd, void const* bytes, std::size_t size, int how) -> ssize_t {
        iovec const part{const_cast<void*>(bytes), size};
        return told(of(all).send(fd, std::span(&part, 1), how));
      },
      .sendto = [](void* all, int fd, void const* bytes, std::size_t size, int how, sockaddr const* to,
                   socklen_t) -> ssize_t {
        iovec const part{const_cast<void*>(bytes), size};
        return told(of(all).send(fd, std::span(&part, 1), how, to));
      },
      .sendmsg = [](void* all, int fd, msghdr const* message, int how) -> ssize_t {
        return told(of(all).send(fd, std::span(message->msg_iov, message->msg_iovlen), how,
                                 static_cast<sockaddr const*>(message->msg_name)));
      },
      .fcntl = file_control,
      .ioctl = control,
      .close = [](void* all, int fd) { return told(of(all).close(fd)); },
      .shutdown = [](void* all, int fd, int how) { return told(of(all).shutdown(fd, how)); },
      .getsockopt = [](void* all, int fd, int level, int name, void* value,
                       socklen_t* size) { return told(of(all).get_option(fd, level, name, value, size)); },
      .setsockopt = [](void* all, int fd, int level, int name, void const* value,
                       socklen_t size) { return told(of(all).set_option(fd, level, name, value, size)); },
      .poll = [](void* all, pollfd* descriptors, nfds_t count,
                 int timeout_ms) { return told(of(all).poll(descriptors, count, timeout_ms)); },
      .netdev_send =
          [](void* all, void const* datagram, std::size_t size) {
            return of(all).network_send(std::span(static_cast<std::byte const*>(datagram), size));
          },
      .netdev_receive = receive_datagram,
      .usleep =
          [](void* all, useconds_t length) {
            of(all).sleep(length * morgana::duration(std::chrono::microseconds(1)));
            return 0;
          },
      .gettimeofday = now,
      .epoll_create = [](void*, int) { return not_supported(); },
      .epoll_ctl = [](void*, int, int, int, epoll_event*) { return not_supported(); },
      .epoll_wait = [](void*, int, epoll_event*, int, int) { return not_supported(); },
      .pipe = [](void*, int*) { return not_supported(); },
      .splice = [](void*, int, loff_t*, int, loff_t*, std::size_t, unsigned) { return not_supported(); },
  };
}

[[gnu::visibility("default")]] int getsockopt(int fd, int level, int name, void* value,
                                              socklen_t* size) noexcept {
  if (running != nullptr && running->is_ours(fd))
    return told(running->get_option(fd, level, name, value, size));
  return static_cast<int>(syscall(SYS_getsockopt, fd, level, name, value, size));
}

/// It pins all its pages and asks for a real-time priority, for a steady clock; ours is steady by itself.
[[gnu::visibility("default")]] int mlockall(int) noexcept {
  return 0;
}
[[gnu::visibility("default")]] int sched_setscheduler(__pid_t, int, sched_param const*) noexcept {
  return 0;
}

/// It waits for ten of these ticks to pass before it begins.
[[gnu::visibility("default")]] clock_t times(tms* into) noexcept {
  static clock_t ticks = 0;
  if (into != nullptr) *into = {};
  return ++ticks;
}

}  // extern "C"
