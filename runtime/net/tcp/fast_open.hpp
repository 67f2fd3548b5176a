// TCP Fast Open (RFC 7413): the cookies of both sides. A server's are a keyed hash, and it keeps none; a client keeps the
// newest of each peer, with the segment size that came with it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "morgana/net/address.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::net::tcp {

/// A server's cookie for a client: SipHash-2-4 of both addresses, little-endian, which is Linux's, too, so that both may
/// serve behind one address with one key.
[[nodiscard]] std::array<std::byte, 8> fast_open_cookie(siphash_key const& key, ip_address const& client,
                                                        ip_address const& server);

struct fast_open_peer {
  ip_address address;
  std::uint16_t segment_bytes = 536;  ///< of its last SYN-ACK (4.1.3)
  std::uint8_t cookie_bytes = 0;      ///< 0: it gave none
  wire::fast_open_option option = wire::fast_open_option::standard;  ///< how a cookie is shown, or asked for
  bool asked_both_ways = false;       ///< a peer that understood neither option is asked in the standard way for good
  std::uint64_t used = 0;
  std::array<std::byte, wire::tcp_options::fast_open_cookie_max> bytes{};

  [[nodiscard]] std::span<std::byte const> cookie() const { return std::span(bytes).first(cookie_bytes); }
  void keep(wire::tcp_options const& from) {
    option = from.fast_open;
    cookie_bytes = static_cast<std::uint8_t>(from.fast_open_cookie.size());
    std::ranges::copy(from.fast_open_cookie, bytes.begin());
  }
};

/// What a client knows of its peers; at the limit the one that was used longest ago goes.
class fast_open_cookies {
 public:
  explicit fast_open_cookies(std::size_t most) : most_(most) {}

  [[nodiscard]] fast_open_peer const* find(ip_address const& peer) const {
    auto const at = std::ranges::find(peers_, peer, &fast_open_peer::address);
    return at == peers_.end() ? nullptr : &*at;
  }
  [[nodiscard]] bool has(ip_address const& peer) const {
    auto const* const known = find(peer);
    return known != nullptr && known->cookie_bytes != 0;
  }
  /// The peer's entry, which may be a fresh one in the place of another; null: none are kept.
  [[nodiscard]] fast_open_peer* use(ip_address const& peer, std::uint64_t& evicted);
  void clear() { peers_.clear(); }

 private:
  std::size_t most_;
  std::uint64_t clock_ = 0;
  std::vector<fast_open_peer> peers_;
};

}  // namespace morgana::net::tcp
