// What stands between two hosts and changes their packets, as real networks do (Honda et al., "Is it still
// possible to extend TCP?", 2011). Each is a node with two ports, to be joined into a cable: port 0 towards
// the host it belongs to, port 1 towards the rest. None of them has an address; what they make carries those
// of the frames seen.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/node.hpp"
#include "morgana/sim/packet.hpp"
#include "morgana/sim/random.hpp"

namespace morgana::sim {

class middlebox : public node {
 public:
  [[nodiscard]] std::size_t ports() const final { return 2; }
  void receive(std::size_t port, frame& arrived, instant now) final { pass(port, std::move(arrived), now); }
  bool poll_transmit(std::size_t port, frame& into, instant) final { return out_.take(port, into); }

 protected:
  /// A frame that came in at port `from`.
  virtual void pass(std::size_t from, frame seen, instant now) = 0;
  void send(std::size_t port, frame sent) { out_.put(port, std::move(sent)); }

 private:
  outbox out_{2};
};

/// Overwrites TCP options of some kinds with no-operations: 3 is the window scale (a "bleacher" of it), 4 and
/// 5 SACK, 8 timestamps.
class option_stripper : public middlebox {
 public:
  explicit option_stripper(std::initializer_list<std::uint8_t> kinds) : kinds_(kinds) {}

 private:
  void pass(std::size_t from, frame seen, instant now) override;
  std::vector<std::uint8_t> kinds_;
};

/// Lowers the MSS option of SYNs.
class mss_clamper : public middlebox {
 public:
  explicit mss_clamper(std::uint16_t bytes) : bytes_(bytes) {}

 private:
  void pass(std::size_t from, frame seen, instant now) override;
  std::uint16_t bytes_;
};

/// Clears the ECN bits of every IP header.
class ecn_bleacher : public middlebox {
  void pass(std::size_t from, frame seen, instant now) override;
};

/// Cuts segments with more payload than this.
class segment_splitter : public middlebox {
 public:
  explicit segment_splitter(std::uint16_t bytes) : bytes_(bytes) {}

 private:
  void pass(std::size_t from, frame seen, instant now) override;
  std::uint16_t bytes_;
};

/// Puts neighbouring segments together, up to so many bytes of payload, holding the last one for a while.
class segment_coalescer : public middlebox {
 public:
  segment_coalescer(std::size_t bytes, duration hold) : bytes_(bytes), hold_(hold) {}
  [[nodiscard]] instant next_deadline() const override;
  void on_deadline(instant now) override;

 private:
  void pass(std::size_t from, frame seen, instant now) override;
  void flush(std::size_t from);
  std::size_t bytes_;
  duration hold_;
  std::array<std::optional<frame>, 2> held_;
  std::array<instant, 2> until_{never, never};
};

/// Answers some data segments with a reset in the sender's name, to the receiver: exactly the number it
/// expects, which ends the connection, or one further on, which must not (RFC 5961 3).
class reset_injector : public middlebox {
 public:
  enum class aim : std::uint8_t { exact, within_window };
  reset_injector(std::uint32_t millionths, aim how, random_source const& random)
      : millionths_(millionths), how_(how), random_(random) {}
  [[nodiscard]] std::uint64_t injected() const { return injected_; }

 private:
  void pass(std::size_t from, frame seen, instant now) override;
  std::uint32_t millionths_;
  aim how_;
  random_source random_;
  std::uint64_t injected_ = 0;
};

/// Translates the ports of what the host begins, TCP and UDP. rebind() forgets them all: what then comes from
/// inside gets other ports, and what comes for the old ones is dropped.
class port_translator : public middlebox {
 public:
  static constexpr std::uint16_t first_port = 20'000;
  static constexpr std::uint16_t ports_max = 10'000;
  void rebind() { inside_to_outside_.clear(), outside_to_inside_.clear(); }

 private:
  void pass(std::size_t from, frame seen, instant now) override;
  std::uint16_t next_ = 0;
  // Keys: family, protocol, port. Walked by nobody.
  std::map<std::uint32_t, std::uint16_t> inside_to_outside_, outside_to_inside_;
};

/// Shakes hands with whoever connects to the host behind it, and only then with the host, translating one
/// side's numbers ever after. It knows no option but the MSS; its SYN-ACK offers no window, so that nothing
/// comes too early.
class syn_proxy : public middlebox {
 public:
  static constexpr std::size_t flows_max = 1'024;
  explicit syn_proxy(random_source const& random) : random_(random) {}
  [[nodiscard]] instant next_deadline() const override;
  void on_deadline(instant now) override;

 private:
  enum class phase : std::uint8_t { answered, opening, open };
  struct flow {
    syn_proxy::phase phase = phase::answered;
    std::uint32_t client_initial = 0, proxy_initial = 0;
    std::uint32_t shift = 0;  ///< to add to the host's numbers
    std::uint16_t client_window = 0;
    std::uint16_t segment_bytes = 536;
    frame client_frame;  ///< its SYN: addresses for what is made
    instant again = never;
    std::uint8_t tries = 0;
  };
  using key = std::array<std::byte, 40>;
  void pass(std::size_t from, frame seen, instant now) override;
  void from_client(frame&& seen, tcp_packet const& t, instant now);
  void from_host(frame&& seen, tcp_packet const& t);
  void open_to_host(flow& f, instant now);
  /// An error about what the host sent, which quotes it as it was behind here.
  void translate_quotation(frame& seen);

  random_source random_;
  std::map<key, flow> flows_;
};

}  // namespace morgana::sim
