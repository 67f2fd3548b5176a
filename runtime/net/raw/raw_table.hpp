// Bound IP protocols: whole packets kept for who watches or speaks a protocol of his own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "../core/packet_queue.hpp"
#include "morgana/core/result.hpp"
#include "morgana/net/core.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::host {

class raw_socket;

/// Sends on behalf of raw sockets.
class raw_sender {
 public:
  [[nodiscard]] virtual result<void> send_raw(std::uint8_t protocol, std::span<std::byte const> payload,
                                              ip_address const& to, instant at) = 0;
  [[nodiscard]] virtual result<void> send_packet(std::span<std::byte const> packet, instant at) = 0;

  virtual ~raw_sender() = default;
};

class raw_table {
 public:
  explicit raw_table(network_limits const& limits);
  ~raw_table();
  raw_table(raw_table const&) = delete;
  raw_table& operator=(raw_table const&) = delete;

  /// `sender` sends for all of them and outlives the table. Error: limit_reached.
  [[nodiscard]] result<raw_port*> open(address_family family, std::uint8_t protocol, raw_sender& sender);
  [[nodiscard]] bool empty() const { return used_ == 0; }

  struct delivery {
    bool taken = false;             ///< somebody has the protocol
    std::uint32_t dropped = 0;      ///< sockets that had no room
  };
  /// Keeps `packet`, which begins at its IP header, for each who has the protocol; it shares the packet's buffers.
  delivery deliver(segment const& packet, ip_address const& from, std::uint8_t protocol);

  /// The next socket at which something arrived.
  [[nodiscard]] raw_port* poll_ready();
  /// Whether it is worth asking.
  [[nodiscard]] bool may_be_ready() const { return used_ != 0; }

 private:
  friend class raw_socket;
  void release(raw_socket& one);

  network_limits const& limits_;
  raw_sender* sender_ = nullptr;                         ///< since the first open()
  packet_pool pool_;
  std::vector<std::unique_ptr<raw_socket>> sockets_;     ///< a few: looked through for each packet
  std::size_t used_ = 0;
};

class raw_socket final : public raw_port {
 public:
  explicit raw_socket(raw_table& table) : table_(table) {}
  ~raw_socket() = default;
  [[nodiscard]] std::uint8_t protocol() const override { return protocol_; }
  [[nodiscard]] result<void> send(std::span<std::byte const> payload, ip_address const& to, instant now) override;
  [[nodiscard]] result<void> send_packet(std::span<std::byte const> packet, instant now) override;
  [[nodiscard]] std::optional<net::received_packet> receive(std::span<std::byte> into) override;
  void release() override { table_.release(*this); }

 private:
  friend class raw_table;
  raw_table& table_;
  bool is_open_ = false;
  bool is_ready_ = false;
  address_family family_ = address_family::v4;
  std::uint8_t protocol_ = 0;
  packet_queue waiting_;
  std::size_t waiting_bytes_ = 0;
};

}  // namespace morgana::net::host
