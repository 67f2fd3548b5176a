// What a script configured on "its" machine. Scripts are written for Linux and configure it by commands:
// sysctl, ip, tc, ethtool. scripts/packetdrill gives them a /proc/sys/net of files and stand-ins for the
// commands that write down what they were told (host/record); this reads both.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "morgana/net/keyed.hpp"

namespace morgana::packetdrill {

class system_settings {
 public:
  /// Options of --so_flags=: "local4=ADDRESS,local6=ADDRESS,mtu=BYTES,mss=BYTES"; each may be left out.
  explicit system_settings(char const* flags);

  /// Reads what was told since the last time.
  void refresh();
  /// A value below /proc/sys/net/ipv4, or `otherwise` when there is none; `index` counts words.
  /// tcp_fastopen_key: four words in hexadecimal, as Linux takes them.
  [[nodiscard]] net::siphash_key fast_open_key() const;
  [[nodiscard]] std::int64_t sysctl(char const* name, std::int64_t otherwise, unsigned index = 0) const;

  std::string local_v4 = "192.168.0.1";
  std::string local_v6 = "fd3d:a0b:17d6::1";
  std::uint32_t mtu_bytes = 1500;
  std::uint32_t received_segment_bytes = 0;  ///< payload of each part of a large datagram that comes in
  bool link_takes_nothing = false;           ///< the queue of the link was given no room
  bool paces = false;                        ///< a queue that paces
  bool cuts_super_segments = true;
  bool forgets_peers = false;                ///< what is cached of peers was flushed

 private:
  void told(std::string const& command);
  std::string record_;  ///< the file; empty without scripts/packetdrill
  long read_ = 0;
};

}  // namespace morgana::packetdrill
