// Bound UDP ports (RFC 768): who gets a datagram, what waits to be read, and which port is free (RFC 6056).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "../core/packet_queue.hpp"
#include "morgana/core/result.hpp"
#include "morgana/net/core.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::host {

class udp_socket;

/// Sends on behalf of sockets.
class udp_sender {
 public:
  [[nodiscard]] virtual result<void> send_datagram(endpoint const& from, std::span<std::byte const> bytes,
                                                   endpoint const& to, instant now) = 0;

  virtual ~udp_sender() = default;
};

class udp_table {
 public:
  udp_table(network_limits const& limits, keyed_secrets const& secrets);
  ~udp_table();
  udp_table(udp_table const&) = delete;
  udp_table& operator=(udp_table const&) = delete;

  /// `sender` sends for all of them and outlives the table. Errors: address_in_use, limit_reached, address_not_available
  /// (no port is free).
  [[nodiscard]] result<udp_port*> bind(endpoint const& local, udp_sender& sender);

  /// Who a datagram to `to` belongs to: the one bound to the address, else one bound to all addresses.
  [[nodiscard]] udp_socket* find(endpoint const& to);
  /// Keeps the payload, all of `packet`, for its reader; false, and nothing moved, when there is no room.
  bool deliver(udp_socket& to, segment& packet, endpoint const& from);
  /// An ICMP error arrived about a datagram that the socket sent.
  void report(udp_socket& to, net_error what, std::int64_t detail);

  /// The next socket at which something arrived.
  [[nodiscard]] udp_port* poll_ready();
  [[nodiscard]] bool has_ready() const { return ready_first_ != nullptr; }
  [[nodiscard]] std::size_t size() const { return used_; }

 private:
  friend class udp_socket;
  static constexpr std::size_t bucket_count = 64;
  void release(udp_socket& one);
  void wake(udp_socket& one);
  [[nodiscard]] bool is_taken(endpoint const& local) const;

  network_limits const& limits_;
  siphash_key key_;
  random_stream random_;
  udp_sender* sender_ = nullptr;           ///< since the first bind()
  packet_pool pool_;
  std::vector<std::unique_ptr<udp_socket>> sockets_;
  std::vector<udp_socket*> free_;
  std::array<udp_socket*, bucket_count> buckets_{};
  udp_socket* ready_first_ = nullptr;
  udp_socket* ready_last_ = nullptr;
  std::size_t used_ = 0;
};

class udp_socket final : public udp_port {
 public:
  explicit udp_socket(udp_table& table) : table_(table) {}
  ~udp_socket() = default;
  [[nodiscard]] endpoint local() const override { return local_; }
  [[nodiscard]] result<void> send(std::span<std::byte const> bytes, endpoint const& to, instant now) override;
  [[nodiscard]] result<std::optional<received_datagram>> receive(std::span<std::byte> into) override;
  void release() override { table_.release(*this); }

 private:
  friend class udp_table;
  udp_table& table_;
  endpoint local_;
  packet_queue waiting_;
  std::size_t waiting_bytes_ = 0;
  std::optional<error> failure_;
  udp_socket* next_ = nullptr;             ///< of the same bucket
  udp_socket* next_ready_ = nullptr;
  bool is_ready_ = false;
};

}  // namespace morgana::net::host
