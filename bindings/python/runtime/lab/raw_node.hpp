// Ports whose frames Python makes and reads, one by one: a scripted peer, a middlebox of its own.
//
// Beside that it plays, when told to, hosts as far as neighbours notice: it answers ARP (RFC 826) and
// neighbour solicitations (RFC 4861) for addresses it was given, so that a script need not, and does not show
// them. Like routers and middleboxes of the simulator it uses none of the stack's code.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/net/address.hpp"
#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/node.hpp"
#include "stack_host.hpp"
#include "values.hpp"

namespace morgana::python {

class raw_node final : public sim::node {
 public:
  /// Frames that nobody fetched; the oldest goes.
  static constexpr std::size_t frames_max = 65'536;

  raw_node(std::size_t ports, net::mac_address const& mac, std::vector<net::ip_address> addresses,
           finished_list& finished)
      : ports_(ports), mac_(mac), addresses_(std::move(addresses)), finished_(&finished), out_(ports) {}

  void send(std::size_t port, sim::frame sent) { out_.put(port, std::move(sent)); }
  /// The oldest frame that nobody fetched; at once, or when it comes. First come, first served.
  void fetch(std::uint64_t operation);
  [[nodiscard]] std::vector<arrival> take();
  void forget(std::uint64_t operation) { std::erase(waiting_, operation); }
  [[nodiscard]] std::deque<std::uint64_t> const& waiting() const { return waiting_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  /// The world's clock, which a node does not know.
  instant const* world_now = nullptr;
  bool* told = nullptr;  ///< set when a frame comes

  [[nodiscard]] std::size_t ports() const override { return ports_; }
  void receive(std::size_t port, sim::frame& arrived, instant now) override;
  [[nodiscard]] bool poll_transmit(std::size_t port, sim::frame& into, instant) override {
    return out_.take(port, into);
  }

 private:
  [[nodiscard]] bool answers_neighbor(std::size_t port, sim::frame const& seen);
  [[nodiscard]] bool is_own(std::span<std::byte const> address, bool is_v6) const;

  std::size_t ports_;
  net::mac_address mac_;
  std::vector<net::ip_address> addresses_;
  finished_list* finished_;
  sim::outbox out_;
  std::deque<arrival> arrived_;
  std::deque<std::uint64_t> waiting_;
  std::uint64_t dropped_ = 0;
};

/// A box in a cable whose frames a function passes on.
class filter_node final : public sim::node {
 public:
  using function = std::function<bool(std::string_view, std::uint32_t, std::vector<std::string>&)>;
  filter_node(function pass, bool& failed) : pass_(std::move(pass)), failed_(&failed) {}

  [[nodiscard]] std::size_t ports() const override { return 2; }
  void receive(std::size_t port, sim::frame& arrived, instant now) override;
  [[nodiscard]] bool poll_transmit(std::size_t port, sim::frame& into, instant) override {
    return out_.take(port, into);
  }

 private:
  function pass_;
  bool* failed_;
  sim::outbox out_{2};
};

/// The same bytes as a frame.
[[nodiscard]] sim::frame frame_of(std::string_view bytes);

}  // namespace morgana::python
