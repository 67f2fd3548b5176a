// What the streams and listeners of one socket_stack share. Private to targets/unix.
#pragma once

#include <cstdint>

#include "morgana/hosted/socket_stack.hpp"

namespace morgana::hosted {

struct socket_stack_state {
  socket_stack_state(context& where, std::uint32_t most) : in(&where), connections_max(most) {}
  socket_stack_state(socket_stack_state const&) = delete;
  socket_stack_state& operator=(socket_stack_state const&) = delete;
  ~socket_stack_state();

  /// A record for a connection that is about to be opened; never at the limit (ask is_full() first).
  [[nodiscard]] connection& take();
  void give_back(connection& unused) noexcept;
  [[nodiscard]] bool is_full() const { return open_connections >= connections_max; }

  /// `who` has stopped accepting until a connection closes.
  void block(listening& who);
  void unblock(listening& who);

  context* in;
  std::uint32_t connections_max;
  std::uint32_t open_connections = 0;
  connection* free_records = nullptr;
  listening* blocked = nullptr;
};

}  // namespace morgana::hosted
