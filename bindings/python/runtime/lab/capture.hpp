// What hosts send and are given, kept in memory: as a pcapng file (draft-ietf-opsawg-pcapng) with an
// interface for each host, and frame by frame. The same seed gives the same bytes.
//
// Times in the file count from 2030-01-01 00:00:00 UTC, when simulated hosts boot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "morgana/sim/world.hpp"

namespace morgana::python {

class capture final : public sim::observer {
 public:
  explicit capture(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// From now on frames of that node are kept.
  void take(sim::node_id which, std::string_view name);
  void stop() { stopped_ = true; }

  struct record {
    instant at;
    std::uint32_t interface;
    bool is_sent;  ///< by that host; else given to it
    std::size_t offset, size;
  };
  [[nodiscard]] std::vector<record> const& records() const { return records_; }
  [[nodiscard]] std::string_view frame(record const& of) const {
    return std::string_view(bytes_).substr(of.offset, of.size);
  }
  [[nodiscard]] std::vector<std::string> const& interfaces() const { return names_; }
  /// Frames that found no room.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::string pcapng() const;

  void on_sent(sim::port_id from, sim::frame const& sent, instant now) override {
    keep(from, sent, now, true);
  }
  void on_delivered(sim::port_id to, sim::frame const& arrived, instant now) override {
    keep(to, arrived, now, false);
  }

 private:
  void keep(sim::port_id where, sim::frame const& one, instant now, bool is_sent);

  std::size_t bytes_max_;
  bool stopped_ = false;
  std::vector<std::uint32_t> interface_of_;  ///< by node, +1; 0: not kept
  std::vector<std::string> names_;
  std::vector<record> records_;
  std::string bytes_;
  std::uint64_t dropped_ = 0;
};

}  // namespace morgana::python
