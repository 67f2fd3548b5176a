// A world as its description has it (TOML), and the run of it: copies of images on switches, with links that
// lose and delay, and things that happen at their times. What `morgana run -t sim --world FILE` does; private
// to targets/sim/run. docs/targets/sim.md has the format.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "morgana/core/time.hpp"
#include "morgana/sim/link.hpp"

namespace morgana::sim {

struct world_network {
  std::string device;   ///< the parameter it serves: "network_device"
  std::string segment;  ///< the switch it is joined to
};

struct world_host {
  std::string name;
  std::string image;  ///< empty: the application that is run
  std::vector<std::string> arguments;
  std::uint64_t memory_bytes = 64u << 20;
  std::vector<world_network> networks;
  link_settings link;  ///< of all its networks, both ways
  bool starts = true;  ///< at once; else when an event boots it
};

enum class world_action : std::uint8_t { cut, heal, crash, boot, stop };

struct world_event {
  duration at{};
  world_action what{};
  std::string host;
};

struct world_description {
  std::string path;
  duration lasts = 60s;
  std::string pcap;  ///< empty: none
  std::vector<world_host> hosts;
  std::vector<world_event> events;
};

inline constexpr std::size_t world_hosts_max = 1'000;
inline constexpr std::size_t world_events_max = 10'000;

/// Errors in words, with file and line.
[[nodiscard]] std::expected<world_description, std::string> read_world(std::string const& path);

/// Gives the exit status: that of the first host that ended with another one than 0, or crashed by itself.
[[nodiscard]] int run_world(world_description const& all, std::string const& image, std::uint64_t seed);

}  // namespace morgana::sim
