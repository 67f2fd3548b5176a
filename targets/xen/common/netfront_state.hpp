// The device behind netfront once it is connected: two rings, their pages, and who waits. netfront.cpp connects it, now and
// after a suspend; netfront_frames.cpp moves frames. Private to both.
#pragma once

#include <coroutine>
#include <optional>
#include <string_view>
#include <vector>

#include "driver_host.hpp"
#include "frontend.hpp"
#include "morgana/xen/netfront.hpp"
#include "net_receive.hpp"
#include "net_transmit.hpp"

namespace morgana::xen {

/// The device once it is connected: two rings, their pages, and who waits.
struct netfront_state final : net::frame_port, event_listener, page_waiter {
  netfront_state(driver_host& on, log_source to, std::string_view text, std::uint32_t number)
      : frame_port({}), event_listener(on), host(&on), log(to), name(text), device(on, to, text, "vif", number) {}
  ~netfront_state() {
    // The pages are theirs until the backend has closed; without disconnect() it has not.
    monitoring = {};
  }

  [[nodiscard]] task<result<void>> connect(instant deadline);
  /// After a suspend, with the pages there are.
  [[nodiscard]] task<result<void>> connect_again(instant deadline);
  [[nodiscard]] task<result<void>> show_rings(instant deadline);
  [[nodiscard]] result<void> open_ports();
  void renew(domain with);
  [[nodiscard]] task<result<void>> read_features(instant deadline);
  [[nodiscard]] result<void> make_rings();
  [[nodiscard]] std::vector<store_entry> entries() const;
  [[nodiscard]] task<void> monitor();

  /// Nothing comes or goes any more: everyone who waits is told why.
  void lose(driver_error why) {
    if (lost) return;
    lost = why;
    ended.emplace(why);
    room_came();
    frames_came();
  }
  void lose_by_lie(std::string_view lie) {
    if (!lost) log.error("`{}`: the backend of {} broke the protocol: {}", name, device.path(), lie);
    lose(driver_error::backend_lied);
  }

  [[nodiscard]] std::size_t take(std::span<net::segment> into) override;
  [[nodiscard]] std::size_t take_none(std::span<net::segment> into);
  [[nodiscard]] std::size_t take_some(std::span<net::segment> into);
  void events_came() override;
  [[nodiscard]] bool quiesce() override { return !is_busy; }
  void resumed(resumption how) override;
  /// Shows the backend what was put.
  void show();
  /// After put() had no room. False: there may be some already.
  [[nodiscard]] bool wait_for_room();
  void pages_came() override { lend_pages(); }
  void lend_pages() {
    if (receiver && !lost && !is_away && receiver->is_short() && receiver->refill()) receive_port.notify();
  }

  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
  };

  driver_host* host;
  log_source log;
  std::string_view name;
  frontend device;
  bool splits_events = false;
  bool has_sg = false;
  bool has_carrier = true;
  bool is_busy = true;   ///< a handshake is under way
  bool is_away = false;  ///< resumed, and not connected again yet: what is sent is lost
  std::optional<driver_error> lost;
  shared_pages transmit_ring, receive_ring;
  std::optional<page_pool> transmit_pages, receive_pages;
  std::optional<net_transmitter> transmitter;
  std::optional<net_receiver> receiver;
  bound_port transmit_port;  ///< and the other's, when events are not split
  bound_port receive_events;
  struct port_ref {
    bound_port const* port = nullptr;
    void notify() const { port->notify(); }
  } receive_port;
  nobody monitor_ended;
  task<void> monitoring;
};

}  // namespace morgana::xen
