// What the direct stack is without its device: a host's core (core.hpp), its buffers, and who waits for what.
// direct_stack<Device> (direct_stack.hpp) adds the device; services (DHCP, DNS) need no more than this class.
//
// One turn of it moves everything that is to be sent to the device and wakes everyone who has an answer.
// Whoever calls into the core asks for a turn with touch(); it comes after all that is ready now, and after what
// that makes ready in its turn, so that what many coroutines write in one go leaves together, and the acknowledgment
// of a request with its answer, although the task that answers was only begun by the one that accepted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "morgana/core/context.hpp"
#include "morgana/core/task.hpp"
#include "morgana/core/wait_queue.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/core.hpp"
#include "morgana/net/direct/lease.hpp"
#include "morgana/net/direct/options.hpp"
#include "morgana/net/direct/raw.hpp"
#include "morgana/net/direct/sockets.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net {

class direct_host : private ready_node, private timer_node {
 public:
  /// Frames given to the core, or taken from it, in one call.
  static constexpr std::size_t batch_frames = 64;
  /// Frames sent in one turn before others get theirs.
  static constexpr std::size_t turn_frames_max = 512;
  /// Room for 64 KiB in one segment's slices (segment.hpp).
  static constexpr std::size_t buffer_bytes = 4096;
  /// How long disconnect() waits for what is still to be acknowledged.
  static constexpr duration drain_time = 2s;
  /// How long connect() waits for an address by DHCP or from a router, where there is none yet, before the
  /// application starts without.
  static constexpr duration lease_time = 5s;

  using stream = direct_stream;
  using listener = direct_listener;
  using datagram_socket = direct_datagrams;

  direct_host(direct_host const&) = delete;
  direct_host& operator=(direct_host const&) = delete;

  // ---- net::stack --------------------------------------------------------------------------------------
  /// Errors: address_in_use, limit_reached.
  [[nodiscard]] result<direct_listener> listen(listen_options const& where);
  class connect_wait;
  /// Errors: refused, unreachable, timed_out, limit_reached, address_not_available (no free port).
  [[nodiscard]] connect_wait connect(endpoint const& peer, instant deadline);
  [[nodiscard]] connect_wait connect(endpoint const& peer, tcp::settings const& with, instant deadline);
  /// By TCP Fast Open (RFC 7413): `first`, which lives until this resumes, goes with the SYN where the peer gave us a cookie
  /// once, as far as a SYN has room; the rest of it when the handshake is done, and all of it then where there is no cookie.
  /// The peer may be given it twice when the SYN is (2.1). Errors: also limit_reached when the send buffer has no room.
  [[nodiscard]] connect_wait connect(endpoint const& peer, tcp::settings const& with, instant deadline,
                                     std::span<std::byte const> first);
  /// Errors: address_in_use, address_not_available, limit_reached.
  [[nodiscard]] result<direct_datagrams> bind(endpoint const& local);

  // ---- beyond it ---------------------------------------------------------------------------------------
  class ping_wait;
  /// The time until the echo reply. Errors: timed_out, unreachable, limit_reached.
  [[nodiscard]] ping_wait ping(ip_address const& to, instant deadline, std::size_t payload_bytes = 56);

  [[nodiscard]] std::vector<net::core::address_entry> addresses() const { return core_.addresses(); }
  /// Grows with each change of the addresses.
  [[nodiscard]] std::uint64_t address_generation() const { return address_generation_; }
  class address_wait;
  /// The generation, as soon as it is not `since` any more. Errors: timed_out.
  [[nodiscard]] address_wait addresses_changed(std::uint64_t since, instant deadline);
  /// Waits for an address that others than the link's hosts can reach. Errors: timed_out, unreachable (no
  /// device).
  [[nodiscard]] task<result<void>> wait_configured(instant deadline);
  [[nodiscard]] bool is_configured() const;

  /// Whole packets of one IP protocol. Errors: limit_reached, unreachable (no device).
  [[nodiscard]] result<direct_raw> open_raw(address_family family, std::uint8_t protocol);
  /// What DHCP and routers told of.
  [[nodiscard]] address_list name_servers() const;
  /// Who keeps the leases; null where there is nothing to be had by DHCP.
  [[nodiscard]] lease_keeper const* leases() const { return leases_.get(); }

  /// The host's core, for services and counters. After a call that may send or change something: touch().
  [[nodiscard]] class core& core() { return core_; }
  [[nodiscard]] core_counters const& counters() const { return core_.counters(); }
  void touch() {
    if (!lost_) in_->executor().make_ready(*this);
  }
  /// The pool of data that is sent.
  [[nodiscard]] buffer_pool& buffers() { return buffers_; }
  [[nodiscard]] morgana::context& context() const { return *in_; }
  [[nodiscard]] instant now() const { return in_->now(); }
  [[nodiscard]] direct_stack_options const& options() const { return options_; }
  /// The device is gone: whatever waits or is asked for ends in net_error::unreachable.
  [[nodiscard]] bool is_lost() const { return lost_; }

 protected:
  direct_host(morgana::context& in, direct_stack_options const& options,
              core_configuration const& configuration);
  ~direct_host();

  /// The fixed addresses, and what else there is to do before the first frame.
  [[nodiscard]] result<void> begin(core_configuration const& configuration);
  /// What the device received.
  void receive(std::span<segment> frames);
  /// The device has room again for what was left.
  void room_again() {
    blocked_ = false;
    touch();
  }
  void device_lost(error const& why);
  /// Begins with DHCP, and waits a while for the first address where the options give none.
  [[nodiscard]] task<void> obtain_leases();
  /// Gives them back.
  [[nodiscard]] task<void> release_leases();
  /// Until the turn is over that a call before it asked for. One may wait.
  class turn_wait final : public operation {
   public:
    explicit turn_wait(direct_host& of) : of_(&of) {}
    turn_wait(turn_wait const&) = delete;
    turn_wait& operator=(turn_wait const&) = delete;
    ~turn_wait() {
      if (of_->behind_turn_ == this) of_->behind_turn_ = nullptr;
    }
    bool await_ready() const { return !of_->ready_node::is_ready(); }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      suspend(waiting);
      of_->behind_turn_ = this;
    }
    void await_resume() const {}

   private:
    direct_host* of_;
  };
  /// Until nothing is unacknowledged any more, at most drain_time.
  [[nodiscard]] task<void> drain();

  /// Gives frames to the device, in order; says how many it took. When not all, room_again() is called later.
  virtual result<std::size_t> transmit(std::span<segment> frames) = 0;

 private:
  friend class direct_stream;
  friend class direct_listener;
  friend struct direct_listening;
  friend class direct_datagrams;
  friend struct direct_port;
  friend class direct_raw;
  friend struct direct_raw_port;

  class drain_wait final : public waiter {
   public:
    drain_wait(direct_host& on, instant deadline) : on_(&on), deadline_(deadline) {}
    bool await_ready() const { return on_->lost_ || on_->core_.tcp().unfinished() == 0; }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->drainers_, deadline_);
    }
    void await_resume() const {}

   private:
    direct_host* on_;
    instant deadline_;
  };

  void run() override;
  void take_turn();
  void expired() override;
  void output();
  void dispatch();
  void tell_others(core::event const& told);
  void note_addresses();
  void arm();
  [[nodiscard]] direct_connection& take_record(tcp::connection& handle);
  void give_record(direct_connection& unused) noexcept;

  morgana::context* in_;
  log_source log_;
  direct_stack_options options_;
  mac_address interface_;
  buffer_pool buffers_;
  keyed_secrets secrets_;
  class core core_;
  std::array<segment, batch_frames> frames_;  ///< on their way to the device
  std::size_t first_frame_ = 0, end_frame_ = 0;
  bool blocked_ = false;         ///< the device has no room
  bool has_stood_back_ = false;  ///< the turn was put behind what was ready
  bool lost_ = false;
  turn_wait* behind_turn_ = nullptr;
  std::vector<std::unique_ptr<direct_connection>> records_;
  direct_connection* free_records_ = nullptr;
  std::vector<direct_listening*> listeners_;
  std::vector<direct_port*> ports_;
  std::vector<direct_raw_port*> raws_;
  wait_queue senders_;  ///< of datagrams
  wait_queue address_waiters_;
  wait_queue drainers_;
  std::uint64_t address_generation_ = 1;
  std::vector<net::core::address_entry> told_addresses_;
  ping_wait* pings_ = nullptr;
  std::uint16_t ping_identifier_;
  std::uint16_t ping_sequence_ = 0;
  /// Of an image without DHCP there is none, and nothing that could delete one.
  struct lease_deleter {
    void operator()(lease_keeper* one) const {
      if (features::dhcp) delete one;
    }
  };
  std::unique_ptr<lease_keeper, lease_deleter> leases_;  ///< last: it has sockets of ours
};

class direct_host::connect_wait final : public direct_wait {
 public:
  connect_wait(direct_host& in, endpoint const& peer, tcp::settings const& with, instant deadline,
               std::span<std::byte const> first = {})
      : direct_wait(nullptr, deadline), host_(&in), peer_(peer), with_(with), first_(first) {}
  bool await_ready();
  result<direct_stream> await_resume();
  bool attempt() override;

 private:
  direct_host* host_;
  endpoint peer_;
  tcp::settings with_;
  std::span<std::byte const> first_;
  direct_connection* record_ = nullptr;
  direct_stream stream_;
};

class direct_host::ping_wait final : public direct_wait {
 public:
  ping_wait(direct_host& in, ip_address const& to, std::size_t payload_bytes, instant deadline)
      : direct_wait(&own_, deadline), host_(&in), to_(to), payload_bytes_(payload_bytes) {}
  ~ping_wait();
  bool await_ready();
  result<duration> await_resume();
  bool attempt() override { return answered_.has_value(); }

 private:
  friend class direct_host;
  wait_queue own_;
  direct_host* host_;
  ip_address to_;
  std::size_t payload_bytes_;
  std::uint16_t sequence_ = 0;
  instant sent_{};
  std::optional<instant> answered_;
  ping_wait* next_ = nullptr;
  bool is_listed_ = false;
};

class direct_host::address_wait final : public direct_wait {
 public:
  address_wait(direct_host& in, std::uint64_t since, instant deadline)
      : direct_wait(&in.address_waiters_, deadline), host_(&in), since_(since) {}
  bool attempt() override;
  result<std::uint64_t> await_resume();

 private:
  direct_host* host_;
  std::uint64_t since_;
};

inline direct_host::connect_wait direct_host::connect(endpoint const& peer, tcp::settings const& with, instant deadline,
                                                      std::span<std::byte const> first) {
  auto fast = with;
  if (fast.fast_open == tcp::fast_open::no) fast.fast_open = tcp::fast_open::with_cookie;
  return {*this, peer, fast, deadline, first};
}
inline direct_host::connect_wait direct_host::connect(endpoint const& peer, instant deadline) {
  return {*this, peer, tcp::settings{}, deadline};
}
inline direct_host::connect_wait direct_host::connect(endpoint const& peer, tcp::settings const& with,
                                                      instant deadline) {
  return {*this, peer, with, deadline};
}
inline direct_host::ping_wait direct_host::ping(ip_address const& to, instant deadline,
                                                std::size_t payload_bytes) {
  return {*this, to, payload_bytes, deadline};
}
inline direct_host::address_wait direct_host::addresses_changed(std::uint64_t since, instant deadline) {
  return {*this, since, deadline};
}

}  // namespace morgana::net
