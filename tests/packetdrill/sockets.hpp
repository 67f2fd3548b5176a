// Linux's socket calls, as far as packetdrill's scripts use them, over one virtual_host. Descriptors are real
// ones (of /dev/null), because packetdrill closes what it was given.
//
// packetdrill makes blocking calls on a second thread. Whatever makes such a call end lets time stand still
// until that thread has asked for the time, so that a run does not depend on how threads are scheduled.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "morgana/net/core.hpp"
#include "system.hpp"
#include "virtual_host.hpp"

namespace morgana::packetdrill {

/// One descriptor.
struct descriptor {
  int family = AF_INET;
  bool non_blocking = false;
  bool read_shut = false;
  std::optional<net::endpoint> local;  ///< bound to
  net::tcp::listener* listener = nullptr;
  net::tcp::connection* connection = nullptr;
  std::deque<net::tcp::connection*> accepted;  ///< of a listener: those nobody asked for yet
  net::tcp::settings chosen;                   ///< until there is something that has settings
  std::uint32_t send_buffer_bytes = 0;         ///< as Linux counts it; 0: not chosen
  std::uint32_t receive_buffer_bytes = 0;
  std::uint32_t maximum_segment_bytes = 0;  ///< TCP_MAXSEG
  std::uint32_t not_sent_low_water = 0;
  bool connects_fast = false;  ///< TCP_FASTOPEN_CONNECT
  std::optional<net::endpoint> connect_with_write;  ///< it was told to connect, and waits for what goes along
  std::optional<std::uint32_t> fast_pending_max;    ///< TCP_FASTOPEN
  std::optional<net::siphash_key> fast_key;         ///< TCP_FASTOPEN_KEY
  std::uint32_t backlog = 0;
  bool connect_waits = false;  ///< connect() was told "in progress"
  bool error_told = false;
  bool corked = false;
  bool is_tcp = true;
  bool wants_queue_length = false;  ///< TCP_INQ
  std::map<int, int> remembered;    ///< options that only have to be given back
};

inline bool is_connecting(net::tcp::connection const& one) {
  return one.state() == net::tcp::state::syn_sent || one.state() == net::tcp::state::syn_received;
}

class sockets {
 public:
  explicit sockets(char const* flags);
  ~sockets();

  // ---- system calls: the result, or -errno ---------------------------------------------------------------
  int socket(int domain, int type, int protocol);
  int bind(int fd, sockaddr const* address, socklen_t size);
  int listen(int fd, int backlog);
  int accept(int fd, sockaddr* address, socklen_t* size);
  int connect(int fd, sockaddr const* address, socklen_t size);
  std::int64_t receive(int fd, std::span<iovec const> into, int flags);
  /// With MSG_FASTOPEN it connects to `to` first.
  std::int64_t send(int fd, std::span<iovec const> from, int flags, sockaddr const* to = nullptr);
  int get_flags(int fd);
  int set_flags(int fd, int flags);
  std::int64_t bytes_waiting(int fd, bool to_read);
  /// What TCP_CM_INQ says: bytes to read, and 1 when only the end is left.
  std::int64_t queue_hint(int fd);
  int close(int fd);
  int shutdown(int fd, int how);
  int get_option(int fd, int level, int name, void* value, socklen_t* size);
  int set_option(int fd, int level, int name, void const* value, socklen_t size);
  int poll(pollfd* descriptors, std::size_t count, int timeout_ms);
  [[nodiscard]] bool is_ours(int fd);
  [[nodiscard]] bool wants_queue_length(int fd);

  // ---- packets and time -----------------------------------------------------------------------------------
  int network_send(std::span<std::byte const> datagram);
  /// The next datagram's size, and its time; false when none came for a minute.
  bool network_receive(std::span<std::byte> into, std::size_t& size, std::int64_t& time_us);
  void sleep(duration length);
  std::int64_t time_us();

 private:
  using lock = std::unique_lock<std::mutex>;
  [[nodiscard]] virtual_host& host();
  [[nodiscard]] descriptor* find(int fd);
  int adopt(std::unique_ptr<descriptor> one);
  /// Until `done` says so, or `deadline`; false at the deadline.
  bool block(lock& held, std::function<bool()> const& done, instant deadline = never);
  void advance(lock& held, instant when);
  /// Lets a blocked call look whether it can end.
  void wake(lock& held);
  void settle(lock& held);
  [[nodiscard]] short ready(descriptor& one);
  [[nodiscard]] net::endpoint endpoint_of(descriptor const& one, sockaddr const* address,
                                          bool& is_right) const;
  void store_address(descriptor const& one, net::endpoint const& from, sockaddr* address,
                     socklen_t* size) const;
  void apply(descriptor& one);
  void accept_fast(descriptor& listening);
  /// What settings::fast_open of a connection is to be; no: Fast Open is off.
  [[nodiscard]] net::tcp::fast_open fast_open_use();
  int open(descriptor& one, net::endpoint const& to);
  std::int64_t send_fast(lock& held, int fd, std::vector<std::byte> const& all, int flags, net::endpoint const& to);
  std::int64_t send_all(lock& held, int fd, std::span<std::byte const> all, int flags);
  void pull(descriptor& listening);
  [[nodiscard]] std::uint32_t send_limit(descriptor const& one) const;
  int error_of(descriptor& one);

  friend struct socket_options;

  std::mutex mutex_;
  system_settings settings_;
  std::unique_ptr<virtual_host> host_;
  std::map<int, std::unique_ptr<descriptor>> open_;
  std::thread::id const main_ = std::this_thread::get_id();

  // The one call that is blocked, if any.
  std::condition_variable waiter_wakes_, main_wakes_;
  bool is_waiting_ = false;   ///< in block(), on the other thread
  bool time_is_due_ = false;  ///< it ended, and its thread has not asked for the time yet
  std::thread::id waiter_;
  instant waiter_deadline_ = never;
  std::uint64_t generation_ = 0, looked_at_ = 0;
};

}  // namespace morgana::packetdrill
