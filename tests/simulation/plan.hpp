// What one seed stands for, written out before anything runs: hosts, links, conversations, faults. Each item
// is drawn from a stream of its own, so that leaving one out (what the minimiser does) changes nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/net/core.hpp"
#include "morgana/sim/link.hpp"
#include "morgana/sim/world.hpp"

namespace morgana::simulation {

struct host_plan {
  std::uint32_t site = 0;  ///< the network it is on; there are several only when there are routers
  std::uint32_t mtu_bytes = 1500;
  bool has_offloads = false;  ///< super-packets and checksums left to the device
  std::size_t buffer_bytes = 16u << 20;
  std::uint32_t syn_received = 1'024;  ///< limits that are made small now and then
  std::uint32_t out_of_order_ranges = 64;
  net::tcp::settings accepted;  ///< of its listener
  sim::clock_settings clock;
};

/// One link per host, to the switch.
struct link_plan {
  sim::link_settings from_host, to_host;
};

/// A conversation over one TCP connection: side 0 connects, side 1 accepts.
struct conversation_plan {
  std::uint32_t number = 0;
  std::array<std::uint32_t, 2> hosts{};
  bool is_v6 = false;
  bool is_simultaneous = false;          ///< both connect
  duration begins{};                     ///< from the world's start
  std::array<std::uint64_t, 2> bytes{};  ///< that each side sends; side 0 at least eight, its number
  std::uint32_t message_bytes = 0;       ///< they take turns with so much; 0: each sends when it can
  std::array<std::uint32_t, 2> write_bytes{16'384, 16'384};  ///< per call
  std::array<std::uint32_t, 2> read_bytes{65'536, 65'536};
  std::array<duration, 2> read_pause{};  ///< between two reads: a slow reader
  duration idle{};                       ///< side 0 rests so long in its middle
  bool writes_owned = false;             ///< slices instead of bytes
  bool closes_late = false;              ///< side 1 ends its stream only after side 0 has ended
  bool waits_for_close = false;          ///< keeps the handle until the connection is closed
  int aborting_side = -1;
  std::uint64_t aborts_after = 0;  ///< bytes read by that side
  net::tcp::settings settings;     ///< of side 0
};

/// Datagrams from one host to another, each at its time.
struct datagrams_plan {
  std::uint32_t number = 0;
  std::array<std::uint32_t, 2> hosts{};
  bool is_v6 = false;
  duration begins{};
  duration gap{};
  std::uint32_t count = 0;
  std::uint32_t bytes = 0;  ///< above the MTU: fragments
};

enum class fault_kind : std::uint8_t {
  loss,
  bursts,
  duplication,
  reordering,
  corruption,
  jitter,
  slow,
  thin,
  tiny_queue,
  marks,
  codel,
  black_hole,
  cut,
  cut_one_way,
  flap,
  hold,
  jump,
};
inline constexpr std::size_t fault_kinds = 17;

struct fault_plan {
  std::uint32_t number = 0;
  fault_kind kind{};
  std::uint32_t host = 0;                 ///< whose link, or clock
  std::array<bool, 2> sides{true, true};  ///< from the host, to the host
  duration begins{}, lasts{};
  std::uint32_t amount = 0;  ///< millionths, bytes or kbit/s, by kind
  duration time{};           ///< delay, or up and down times
};

enum class box_kind : std::uint8_t {
  option_stripper,
  window_scale_bleacher,
  mss_clamper,
  ecn_bleacher,
  splitter,
  coalescer,
  resets,
  blind_resets,
  translator,
  syn_proxy,
};
inline constexpr std::size_t box_kinds = 10;

/// A middlebox in a host's cable.
struct box_plan {
  std::uint32_t number = 0;
  box_kind kind{};
  std::uint32_t host = 0;
  std::uint32_t amount = 0;  ///< bytes or millionths, by kind
  duration rebinds_at{};     ///< of a translator; 0: never
};

/// A network of hosts behind a router. Routers stand in a row, each joined to the next.
struct site_plan {
  std::uint32_t mtu_to_next = 1500;  ///< of the link to the next router: packets are cut, or answered, there
  sim::link_settings to_next;
  bool translates = false;  ///< IPv4 addresses, towards the other sites
  duration rebinds_at{};    ///< of the translation; 0: never
};

/// A host that loses power, with all it knew, and boots again.
struct crash_plan {
  std::uint32_t number = 0;
  std::uint32_t host = 0;
  duration begins{}, lasts{};
};

struct plan {
  std::uint64_t seed = 0;
  duration chaos{};  ///< then everything is healed
  std::vector<host_plan> hosts;
  std::vector<link_plan> links;
  std::vector<conversation_plan> conversations;
  std::vector<datagrams_plan> datagrams;
  std::vector<fault_plan> faults;
  std::vector<box_plan> boxes;
  std::vector<site_plan> sites;  ///< none: all hosts are on one switch
  std::vector<crash_plan> crashes;

  /// Whether packets between these pass a translator of addresses.
  [[nodiscard]] bool is_translated(std::array<std::uint32_t, 2> const& ends, bool is_v6) const;
  [[nodiscard]] bool crosses_routers(std::array<std::uint32_t, 2> const& ends) const {
    return hosts[ends[0]].site != hosts[ends[1]].site;
  }
  [[nodiscard]] bool has(box_kind kind) const;
  /// Whether such a box stands before this host.
  [[nodiscard]] bool has(box_kind kind, std::uint32_t host) const;
  [[nodiscard]] bool has(fault_kind kind) const;
  [[nodiscard]] bool has_cuts() const;  ///< times without any passage
};

/// Items that are left out: "f3" a fault, "c2" a conversation, "d0" datagrams, "b1" a middlebox,
/// "k0" a crash.
using omissions = std::vector<std::string>;

[[nodiscard]] plan make_plan(std::uint64_t seed, omissions const& without = {});
/// Every item by its name, as omissions name them.
[[nodiscard]] std::vector<std::string> items(plan const& all);
[[nodiscard]] std::string describe(plan const& all);
void apply(fault_plan const& fault, sim::link_settings& to);

}  // namespace morgana::simulation
