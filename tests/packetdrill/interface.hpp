// The interface between packetdrill and a TCP/IP stack in a shared object, declared here once more from its
// description (google/packetdrill, gtests/net/packetdrill/packetdrill.h): a plain C struct of functions that
// packetdrill_interface_init() fills in. packetdrill itself is GPL; nothing of it is compiled or linked here.
//
// Most functions are the system calls of their names. `netdev_send` gives the stack an IP datagram,
// `netdev_receive` takes the next one that it sends; time is whatever `usleep` and `gettimeofday` say.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

extern "C" {

struct packetdrill_interface {
  void* userdata;
  void (*free)(void*);
  int (*socket)(void*, int domain, int type, int protocol);
  int (*bind)(void*, int fd, sockaddr const* address, socklen_t size);
  int (*listen)(void*, int fd, int backlog);
  int (*accept)(void*, int fd, sockaddr* address, socklen_t* size);
  int (*connect)(void*, int fd, sockaddr const* address, socklen_t size);
  ssize_t (*read)(void*, int fd, void* into, std::size_t size);
  ssize_t (*readv)(void*, int fd, iovec const* parts, int count);
  ssize_t (*recv)(void*, int fd, void* into, std::size_t size, int flags);
  ssize_t (*recvfrom)(void*, int fd, void* into, std::size_t size, int flags, sockaddr* from,
                      socklen_t* from_size);
  ssize_t (*recvmsg)(void*, int fd, msghdr* message, int flags);
  ssize_t (*write)(void*, int fd, void const* from, std::size_t size);
  ssize_t (*writev)(void*, int fd, iovec const* parts, int count);
  ssize_t (*send)(void*, int fd, void const* from, std::size_t size, int flags);
  ssize_t (*sendto)(void*, int fd, void const* from, std::size_t size, int flags, sockaddr const* to,
                    socklen_t to_size);
  ssize_t (*sendmsg)(void*, int fd, msghdr const* message, int flags);
  int (*fcntl)(void*, int fd, int command, ...);
  int (*ioctl)(void*, int fd, unsigned long request, ...);
  int (*close)(void*, int fd);
  int (*shutdown)(void*, int fd, int how);
  int (*getsockopt)(void*, int fd, int level, int name, void* value, socklen_t* size);
  int (*setsockopt)(void*, int fd, int level, int name, void const* value, socklen_t size);
  int (*poll)(void*, pollfd* descriptors, nfds_t count, int timeout_ms);
  int (*netdev_send)(void*, void const* datagram, std::size_t size);
  int (*netdev_receive)(void*, void* into, std::size_t* size, long long* time_us);
  int (*usleep)(void*, useconds_t length_us);
  int (*gettimeofday)(void*, timeval* time, struct timezone* zone);
  int (*epoll_create)(void*, int size);
  int (*epoll_ctl)(void*, int epoll_fd, int operation, int fd, epoll_event* event);
  int (*epoll_wait)(void*, int epoll_fd, epoll_event* events, int events_max, int timeout_ms);
  int (*pipe)(void*, int fds[2]);
  int (*splice)(void*, int from, loff_t* from_offset, int to, loff_t* to_offset, std::size_t size,
                unsigned flags);
};

/// `flags` is what --so_flags= says: see machine.hpp.
[[gnu::visibility("default")]] void packetdrill_interface_init(char const* flags,
                                                               packetdrill_interface* into);

}  // extern "C"
