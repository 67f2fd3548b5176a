// A guest as a node of a simulated world: any application's image, unchanged, behind ordinary links.
//
//   auto image = sim::image::open("website.sim.so");
//   auto host = sim::guest_node::load(*image, {.guest = {.name = "web"}, .networks = {{.name = "network"}}},
//                                     world.random("web"));
//   auto const web = world.add("web", *std::move(host));
//
// Each network is a port, in the order of the settings; its name is that of the parameter of start() that it
// serves. What the guest prints is kept (console()), up to `console_bytes_max`; what arrives waits in a ring
// of `ring_frames_max` frames a port, then it is dropped and counted; what it sends and nobody takes likewise
// makes it wait. What it records is kept in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/sim/guest.hpp"
#include "morgana/sim/node.hpp"
#include "morgana/sim/random.hpp"

namespace morgana::sim {

struct guest_network_settings {
  std::string name = "network";
  std::array<std::uint8_t, 6> address = {};  ///< zeroes: drawn from the node's random numbers
  std::uint32_t mtu_bytes = 1500;
  bool has_offloads = false;  ///< leaves checksums and segmentation to the port
};

struct guest_disk_settings {
  std::string name;
  std::vector<std::byte> bytes;  ///< whole sectors; the node's own copy
  std::uint32_t sector_bytes = 512;
  bool read_only = false;
};

struct guest_node_settings {
  guest_settings guest = {};  ///< its boot secret is drawn from the node's random numbers
  std::vector<guest_network_settings> networks = {};
  std::vector<guest_disk_settings> disks = {};
};

class guest_node final : public node, private guest_services {
 public:
  static constexpr std::size_t console_bytes_max = 1u << 20;
  static constexpr std::size_t ring_frames_max = 256;
  static constexpr std::size_t recordings_max = 16;
  static constexpr std::size_t recording_bytes_max = 64u << 20;

  /// Errors, in words: those of guest::load.
  [[nodiscard]] static std::expected<std::unique_ptr<guest_node>, std::string> load(
      std::shared_ptr<image const> what, guest_node_settings settings, random_source const& random);

  /// Whether it ended, and how; its memory. The node of a guest that ended swallows what arrives.
  [[nodiscard]] guest const& host() const { return *guest_; }
  /// An orderly stop, at the guest's next turn: world::touch() the node, or wait for its next event.
  void request_stop();
  [[nodiscard]] std::string const& console() const { return console_; }
  [[nodiscard]] std::uint64_t dropped_frames() const { return dropped_frames_; }
  [[nodiscard]] std::vector<std::byte> const& disk(std::size_t number) const { return disks_[number].bytes; }

  /// What the guest recorded under that name (recorder.hpp); empty when it began nothing of that name.
  [[nodiscard]] std::string_view recording(std::string_view name) const;

  [[nodiscard]] std::size_t ports() const override { return networks_.size(); }
  void receive(std::size_t port, frame& arrived, instant now) override;
  [[nodiscard]] bool poll_transmit(std::size_t port, frame& into, instant now) override;
  [[nodiscard]] instant next_deadline() const override;
  void on_deadline(instant now) override;

 private:
  struct network {
    guest_network_settings as;
    std::deque<frame> arrived, sent;
  };
  guest_node(guest_node_settings settings, random_source const& random);

  void console_write(std::span<std::byte const> bytes) override;
  [[nodiscard]] std::uint64_t console_dropped_bytes() override { return dropped_bytes_; }
  [[nodiscard]] wall_time wall_now(instant since_boot) override;
  void random(std::span<std::byte> into) override;
  [[nodiscard]] int find_network(std::string_view name, morgana_sim_network& about) override;
  [[nodiscard]] int transmit(int number, std::span<morgana_sim_part const> parts,
                             morgana_sim_frame_state const& state) override;
  [[nodiscard]] std::ptrdiff_t receive(int number, std::span<std::byte> into,
                                       morgana_sim_frame_state& state) override;
  [[nodiscard]] int find_disk(std::string_view name, morgana_sim_disk& about) override;
  [[nodiscard]] int disk_read(int number, std::uint64_t sector, std::span<std::byte> into) override;
  [[nodiscard]] int disk_write(int number, std::uint64_t sector, std::span<std::byte const> from) override;

  [[nodiscard]] int begin_recording(std::string_view name) override;
  [[nodiscard]] int append_recording(int number, std::span<morgana_sim_part const> parts) override;

  struct recorded {
    std::string name, bytes;
  };

  random_source random_;
  std::vector<network> networks_;
  std::vector<guest_disk_settings> disks_;
  std::vector<recorded> recordings_;
  std::string console_;
  std::uint64_t dropped_bytes_ = 0, dropped_frames_ = 0;
  bool run_soon_ = false;         ///< it has a reason to run that is no event
  std::unique_ptr<guest> guest_;  // uses all of the above: destroyed first
};

}  // namespace morgana::sim
