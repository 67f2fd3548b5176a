// What one host does in a simulation: it listens, connects when the plan says so, sends datagrams, and lets
// its talkers talk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "morgana/sim/core_host.hpp"
#include "talker.hpp"

namespace morgana::simulation {

/// Where datagrams of one plan arrived.
struct datagram_flow {
  datagrams_plan const* planned = nullptr;
  std::uint32_t sent = 0, arrived = 0;
};

/// What all hosts of a run share: their conversations, and the first violation.
class registry : public talker::directory {
 public:
  registry(sim::world& all, plan const& chosen);
  conversation* find(std::uint32_t number) override;
  void violated(std::string_view host, std::string const& what);

  sim::world& world;
  plan const& planned;
  std::vector<conversation> conversations;
  std::vector<datagram_flow> datagrams;
  std::string violation;
};

class script : public sim::user {
 public:
  static constexpr std::uint16_t port = 7'000;
  static constexpr std::uint16_t datagram_port = 7'001;
  static constexpr std::uint16_t simultaneous_port = 8'000;  ///< and on, one per conversation

  script(registry& all, std::uint32_t host, sim::core_host& on);
  void start(instant now);
  void on_event(net::core::event const& what, instant now) override;
  [[nodiscard]] instant next_time() const override;
  void on_time(instant now) override;

  void connect(conversation& which, std::size_t side, instant now);
  void send_datagram(datagram_flow& flow, std::uint32_t number, instant now);
  /// Checks every live connection.
  void check(instant now);
  void stop_listening(instant now);
  [[nodiscard]] bool is_idle() const;
  /// The host lost power: nothing of it is touched again.
  void crash();
  /// Aborts what is left: the other end of it is gone.
  void give_up_rest(instant now);

 private:
  void advance(talker& who, std::uint8_t ready, instant now);
  void receive_datagrams(instant now);
  void violated(std::string const& what, talker const* who);

  registry& all_;
  std::uint32_t number_;
  sim::core_host& host_;
  net::tcp::listener* listener_ = nullptr;
  net::udp_port* datagrams_ = nullptr;
  std::vector<std::unique_ptr<talker>> talkers_;
};

[[nodiscard]] net::ip_address address_of(plan const& all, std::uint32_t host, bool is_v6);

}  // namespace morgana::simulation
