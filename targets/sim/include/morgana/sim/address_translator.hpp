// Translation of addresses and ports (RFC 3022) for IPv4, TCP and UDP, and for ICMP errors about them. Each
// conversation with another peer gets an outside port of its own and lets only that peer back in (RFC 4787:
// address and port dependent mapping and filtering), which is the strictest kind there is.
//
// A mapping that nobody used for its timeout is forgotten; rebind() forgets all, as a box that lost power.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "morgana/core/time.hpp"
#include "morgana/sim/packet.hpp"

namespace morgana::sim {

struct translator_settings {
  std::uint32_t address = 0;  ///< outside, as a number: 10.0.0.1 is 0x0a000001
  duration tcp_timeout = 300s;
  duration udp_timeout = 30s;
  std::uint16_t first_port = 20'000;
  std::uint16_t ports = 10'000;
};

class address_translator {
 public:
  explicit address_translator(translator_settings const& how) : how_(how) {}

  /// A packet on its way out; false: it cannot be translated, and is dropped.
  [[nodiscard]] bool outgoing(std::span<std::byte> frame, packet const& at, instant now);
  /// A packet for the outside address; false: nobody asked for it.
  [[nodiscard]] bool incoming(std::span<std::byte> frame, packet const& at, instant now);
  void rebind() {
    by_inside_.clear();
    by_outside_.clear();
    fragments_.clear();
  }
  [[nodiscard]] std::size_t mappings() const { return by_inside_.size(); }
  [[nodiscard]] std::uint32_t address() const { return how_.address; }

 private:
  struct conversation {
    std::uint8_t protocol = 0;
    std::uint32_t address = 0, peer = 0;  ///< inside's, or outside's own
    std::uint16_t port = 0, peer_port = 0;
    friend auto operator<=>(conversation const&, conversation const&) = default;
  };
  struct mapping {
    std::uint32_t address = 0;
    std::uint16_t port = 0;
    instant used{};
  };
  /// Which of the fragments of a packet that was translated: peer or inside address, identification,
  /// protocol.
  using fragment_key = std::array<std::uint32_t, 3>;
  static constexpr std::size_t fragments_max = 256;

  [[nodiscard]] bool is_over(conversation const& which, mapping const& known, instant now) const;
  [[nodiscard]] std::optional<std::uint16_t> outside_port(conversation const& inside, instant now);
  [[nodiscard]] bool incoming_error(std::span<std::byte> frame, packet const& at, instant now);

  translator_settings how_;
  std::uint16_t next_ = 0;
  std::map<conversation, mapping> by_inside_, by_outside_;  ///< each to the other side's address and port
  std::map<fragment_key, std::uint32_t> fragments_;         ///< to the address that takes its place
};

}  // namespace morgana::sim
