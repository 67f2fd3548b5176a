// The "direct" choice of net::stack: TCP, UDP and ICMP of our own (core.hpp) over any net::device, a tap
// interface, Xen's netfront, a simulated link. The same application runs on it and on the host's sockets.
//
// Costs: no allocation per packet or operation; a connection costs its state (core.hpp) and one record,
// reused. Frames go to the core up to 64 at a time, then everyone they concern runs, then all that is to be
// sent goes out: one pass per batch.
//
// Back-pressure: a device that is full keeps the rest with the stack, which asks TCP for no more; senders of
// datagrams wait. When the device is gone every wait ends in net_error::unreachable.
//
// Limits: limits.hpp, and the options `connections` and `buffers-mib`. Read docs/network.md for what is
// implemented.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <utility>

#include "morgana/core/deadline.hpp"
#include "morgana/core/event.hpp"
#include "morgana/net/direct/host.hpp"

namespace morgana::net {

template <device Device>
class direct_stack final : public direct_host {
 public:
  /// How often a device that is full and has no room() is asked again.
  static constexpr duration retry_interval = 1ms;

  /// Errors: core_error::invalid_argument (an option, which the log names).
  [[nodiscard]] static task<result<std::unique_ptr<direct_stack>>> connect(
      morgana::context& in, Device& device, direct_stack_options const& options) {
    auto const configuration = configuration_of(options, device.capabilities(), log_source(in.log(), "net"));
    if (!configuration) co_return failure(configuration.error());
    std::unique_ptr<direct_stack> made(new direct_stack(in, device, options, *configuration));
    if (auto begun = made->begin(*configuration); !begun) co_return failure(std::move(begun.error()));
    made->pumping_.start(in, made->pump_ended_);
    made->sending_.start(in, made->sender_ended_);
    co_await made->obtain_leases();
    co_return made;
  }
  using direct_host::connect;

  /// Ends in order what is open, within drain_time, and lets go of the device.
  task<void> disconnect() {
    co_await release_leases();
    co_await drain();
    pumping_ = {};
    sending_ = {};
  }

 private:
  direct_stack(morgana::context& in, Device& device, direct_stack_options const& options,
               core_configuration const& configuration)
      : direct_host(in, options, configuration), device_(&device), pumping_(pump()), sending_(send_rest()) {}

  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
  };

  task<void> pump() {
    for (;;) {
      auto const count = co_await device_->receive(received_, never);
      if (!count) co_return device_lost(count.error());
      receive(std::span(received_).first(*count));
      // Who was waiting for it runs, then its answers go out, then the next batch.
      co_await turn_wait(*this);
    }
  }

  result<std::size_t> transmit(std::span<segment> frames) override {
    auto taken = device_->transmit(frames);
    if (taken && *taken < frames.size()) full_.set();
    return taken;
  }

  task<void> send_rest() {
    for (;;) {
      (void)co_await full_.wait();
      full_.clear();
      if constexpr (device_with_room<Device>) {
        if (auto room = co_await device_->room(never); !room) co_return device_lost(room.error());
      } else {
        co_await sleep_for(retry_interval);
      }
      room_again();
    }
  }

  Device* device_;
  std::array<segment, batch_frames> received_;
  event full_;
  nobody pump_ended_, sender_ended_;
  task<void> pumping_, sending_;
};

}  // namespace morgana::net
