// A port that accepts, and the connections its user has not taken yet.
#pragma once

#include "list.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/net/tcp/connection.hpp"
#include "tcb.hpp"

namespace morgana::net::tcp {

class port final : public listener, public event_source {
 public:
  port(machine& host, listen_options const& where, settings const& with)
      : event_source(event_source::kind::listener), host(&host), where(where), chosen(with) {}

  [[nodiscard]] endpoint local() const override { return {where.address, where.port}; }
  [[nodiscard]] connection* accept() override;
  [[nodiscard]] settings& options() override;
  [[nodiscard]] shared_settings const& shared();
  [[nodiscard]] fast_open_acceptance& fast_open() override { return fast; }
  void release(instant now) override;

  [[nodiscard]] bool is_full() const { return waiting >= where.backlog; }

  machine* host;
  listen_options where;
  settings chosen;
  std::uint32_t waiting = 0;  ///< established and not accepted
  fast_open_acceptance fast;
  std::uint32_t fast_pending = 0;  ///< fast-opened, handshake not done; accepted or not
  /// In the order of their handshakes. A tcb is never in the output and the accept queue by the same hook.
  std::vector<tcb*> queue;

 private:
  shared_settings const* shared_ = nullptr;  ///< as `chosen`, since it was last asked for
};

/// What a SYN and its listener agree on (handshake.cpp).
[[nodiscard]] agreed read_terms(wire::tcp_header const& syn, port const& where, std::uint16_t segment_bytes,
                                std::uint8_t scale);

}  // namespace morgana::net::tcp
