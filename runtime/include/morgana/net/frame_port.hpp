// What the network devices of the targets have in common: who waits for frames and for room, what a frame must be
// to be sent, and the counts. A device derives its state from frame_port, says how frames are taken, and gives the
// two waits to its users.
//
//   frame_receive receive(std::span<segment> into, instant deadline) { return {*state_, into, deadline}; }
//   frame_room room(instant deadline) { return {*state_, deadline}; }
//
// Readers are served first come, first served; each takes as many frames as it has place for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "morgana/core/result.hpp"
#include "morgana/core/wait_queue.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net {

/// Frames, super-packets as one.
struct frame_counters {
  std::uint64_t received_frames = 0;
  std::uint64_t sent_frames = 0;
  std::uint64_t dropped_received = 0;  ///< no buffer, too long, or too short to be a frame
  std::uint64_t dropped_sent = 0;      ///< too long, or an offload this device does not have
};

class frame_port {
 public:
  static constexpr std::size_t ethernet_bytes = 14;
  static constexpr std::size_t vlan_bytes = 4;

  explicit frame_port(device_capabilities const& capabilities) : as(capabilities) {}
  frame_port(frame_port const&) = delete;
  frame_port& operator=(frame_port const&) = delete;

  /// Moves what is there into place and says how much; 0 when there is nothing yet, or, with `ended`, when nothing will
  /// come any more.
  [[nodiscard]] virtual std::size_t take(std::span<segment> into) = 0;

  /// Frames may have come, or the device is gone: serves those who wait.
  void frames_came();
  /// There may be room again.
  void room_came() {
    writable = true;
    writers.complete_all();
  }
  /// False for a frame this device cannot put on its link; counted.
  [[nodiscard]] bool can_send(segment const& frame) {
    auto const size = frame.size();
    bool const is_usual = frame.gso_kind == segmentation::none && size >= ethernet_bytes && size <= as.mtu_bytes &&
                          (frame.checksum != checksum_state::partial || as.transmit_checksum);
    return is_usual || can_send_unusual(frame);
  }

  device_capabilities as;
  frame_counters counters;
  wait_queue readers;
  wait_queue writers;
  bool writable = true;
  std::optional<error> ended;  ///< why: core_error::closed, or the target's own

 protected:
  ~frame_port() = default;

 private:
  [[nodiscard]] bool can_send_unusual(segment const& frame);
};

class frame_receive final : public waiter {
 public:
  frame_receive(frame_port& on, std::span<segment> into, instant deadline)
      : on_(&on), into_(into), deadline_(deadline) {}
  bool await_ready() { return into_.empty() || (on_->readers.is_empty() && attempt()); }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, on_->readers, deadline_);
  }
  result<std::size_t> await_resume() {
    if (timed_out()) return failure(core_error::timed_out);
    return std::move(taken_);
  }

 private:
  friend class frame_port;
  bool attempt() {
    auto const count = on_->take(into_);
    if (count == 0) return on_->ended.has_value() && fail();
    taken_ = count;
    return true;
  }
  [[gnu::noinline]] bool fail() {
    taken_ = failure(*on_->ended);
    return true;
  }
  frame_port* on_;
  std::span<segment> into_;
  instant deadline_;
  result<std::size_t> taken_ = 0;
};

class frame_room final : public waiter {
 public:
  frame_room(frame_port& on, instant deadline) : on_(&on), deadline_(deadline) {}
  bool await_ready() const { return on_->writable; }
  template <std::derived_from<promise_base> Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) {
    wait(waiting, on_->writers, deadline_);
  }
  result<void> await_resume() const {
    if (timed_out()) return failure(core_error::timed_out);
    return {};
  }

 private:
  frame_port* on_;
  instant deadline_;
};

}  // namespace morgana::net
