// A bare host in a simulated world: one net::core with its own buffers and a scripted user, without
// coroutines and without an image. Cheap enough for thousands of runs a minute.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/core.hpp"
#include "morgana/sim/node.hpp"

namespace morgana::sim {

/// What a host does with its stack.
class user {
 public:
  virtual ~user() = default;
  virtual void on_event(net::core::event const& what, instant now) = 0;
  /// When on_time is to be called.
  [[nodiscard]] virtual instant next_time() const { return never; }
  virtual void on_time(instant now) { (void)now; }
};

class core_host : public node {
 public:
  /// Two pools of at most `buffer_bytes`: the stack's, and the device's for what it receives (what finds no
  /// buffer is dropped and counted). They are apart as with a real device: were they one, data that waits to
  /// be sent could leave no buffer for the acknowledgments that would free it. `seed` makes the host's
  /// secret.
  core_host(net::core_configuration const& configuration, std::uint64_t seed, std::size_t buffer_bytes,
            instant now);

  void set_user(user* who) { user_ = who; }
  [[nodiscard]] net::core& stack() { return stack_; }
  [[nodiscard]] net::buffer_pool& buffers() { return buffers_; }
  [[nodiscard]] std::size_t used_buffers() const { return buffers_.used_buffers() + ring_.used_buffers(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  void receive(std::size_t port, frame& arrived, instant now) override;
  bool poll_transmit(std::size_t port, frame& into, instant now) override;
  [[nodiscard]] instant next_deadline() const override;
  void on_deadline(instant now) override;

 private:
  /// Whether there was any.
  bool tell(instant now);

  net::buffer_pool buffers_;
  net::buffer_pool ring_;  ///< of the device
  net::core stack_;
  user* user_ = nullptr;
  std::array<net::segment, 8> out_;
  std::size_t out_first_ = 0, out_count_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace morgana::sim
