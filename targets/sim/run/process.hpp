// One simulated host as the guest of one process: what `morgana run -t sim` starts. Private to
// targets/sim/run.
//
// Its world is empty: time passes as fast as the host lets it, and what reaches it from outside is console
// input, a stop, and, when networks were attached, their frames; then time is the process's own.
#pragma once

#include <signal.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "morgana/sim/guest.hpp"
#include "morgana/sim/random.hpp"

namespace morgana::sim {

/// What the runner said by environment variables (plugins/sim/runner.cpp).
struct process_settings {
  std::string image;
  std::vector<std::string> arguments;
  std::string name = "guest";
  std::uint64_t memory_bytes = 64u << 20;
  std::uint64_t seed = 0;
  int crash_line = -1;  ///< where the runner waits for a crash (morgana/plugin/crash_line.hpp)
};

class process final : public guest_services {
 public:
  explicit process(process_settings settings);
  process(process const&) = delete;
  process& operator=(process const&) = delete;
  ~process() override;

  /// Runs the guest to its end; gives the exit status.
  [[nodiscard]] int run();

  void console_write(std::span<std::byte const> bytes) override;
  [[nodiscard]] std::uint64_t console_dropped_bytes() override { return dropped_; }
  [[nodiscard]] std::size_t console_read(std::span<std::byte> into) override;
  [[nodiscard]] bool console_input_ended() override { return input_ended_; }
  [[nodiscard]] wall_time wall_now(instant since_boot) override;
  void random(std::span<std::byte> into) override;
  [[nodiscard]] int find_network(std::string_view name, morgana_sim_network& about) override;
  [[nodiscard]] int transmit(int network, std::span<morgana_sim_part const> parts,
                             morgana_sim_frame_state const& state) override;
  [[nodiscard]] std::ptrdiff_t receive(int network, std::span<std::byte> into,
                                       morgana_sim_frame_state& state) override;
  [[nodiscard]] int find_disk(std::string_view name, morgana_sim_disk& about) override;
  [[nodiscard]] int disk_read(int disk, std::uint64_t sector, std::span<std::byte> into) override;
  [[nodiscard]] int disk_write(int disk, std::uint64_t sector, std::span<std::byte const> from) override;
  [[nodiscard]] int disk_flush(int disk) override;
  /// A file of that name in the folder it was started in.
  [[nodiscard]] int begin_recording(std::string_view name) override;
  [[nodiscard]] int append_recording(int recording, std::span<morgana_sim_part const> parts) override;
  void end_recording(int recording) override;

 private:
  struct network {
    std::string name;
    morgana_sim_network about{};
    int descriptor = -1;
    bool is_socket = false, has_vnet_header = false, is_gone = false;
    bool is_used = false;     ///< the guest asked for it
    bool has_unread = false;  ///< it was told of a frame, and has not looked yet
    bool is_full = false;     ///< it waits for room
  };
  struct disk {
    std::string name;
    morgana_sim_disk about{};
    int descriptor = -1;
  };
  /// Opens what MORGANA_NETWORK_<name> and MORGANA_DISK_<name> say. The error in words; empty: none.
  [[nodiscard]] std::string attach();
  [[nodiscard]] std::string attach_network(std::string name, std::string_view text);
  [[nodiscard]] std::string attach_disk(std::string name, std::string_view text);
  /// Blocks until input, a frame, a signal, or the deadline in real time (`never` for none).
  void wait(instant deadline);
  [[nodiscard]] instant real_now() const;
  void take_signals();
  void say_idle(instant now);
  /// Until the runner has made a core of this process.
  void await_core() const;

  process_settings settings_;
  random_source random_;
  guest* running_ = nullptr;
  std::vector<network> networks_;
  std::vector<disk> disks_;
  std::vector<int> recordings_;  ///< descriptors; -1: ended
  sigset_t signals_before_{};
  int signals_ = -1;
  std::int64_t started_ns_ = 0;
  std::uint64_t dropped_ = 0;
  bool input_ended_ = false;
  bool wants_input_ = false;  ///< it asked for input since it last waited, and there was none
  bool is_real_time_ = false;
  bool said_idle_ = false;
  int interrupts_ = 0;
};

/// An error and how to mend it, on standard output; gives the status with which the driver's side fails.
[[nodiscard]] int refuse(std::string const& what);

}  // namespace morgana::sim
