// Captures what nodes send, as a pcap file with nanoseconds that any analyser reads. The same seed gives the
// same bytes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "morgana/sim/world.hpp"

namespace morgana::sim {

class capture : public observer {
 public:
  /// An existing file is replaced. `is_open()` is false when it cannot be written.
  explicit capture(std::string const& path);
  [[nodiscard]] bool is_open() const { return file_ != nullptr; }
  /// Every frame the node sends, before its link does anything to it.
  void take_from(node_id which);
  /// Every frame the node is given, after its link: as a capture on that host would show.
  void take_at(node_id which);

  void on_sent(port_id from, frame const& sent, instant now) override;
  void on_delivered(port_id to, frame const& arrived, instant now) override;

 private:
  struct close_file {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  void put(frame const& one, instant now);
  void put32(std::uint32_t value);
  std::unique_ptr<std::FILE, close_file> file_;
  std::vector<bool> from_, at_;
};

}  // namespace morgana::sim
