#include "identifiers.hpp"

#include <array>

namespace morgana::net::tcp {
namespace {

// A cookie: 5 bits of time in minutes, 3 bits that choose the MSS, 24 bits of keyed hash over both and the
// flow.
constexpr std::array<std::uint16_t, 8> cookie_segment_bytes{88, 536, 1220, 1300, 1400, 1440, 1460, 8940};
constexpr std::uint32_t minutes_valid = 2;

std::uint32_t minute(instant now) {
  return static_cast<std::uint32_t>(now.time_since_epoch() / 60s);
}

std::uint32_t cookie_hash(siphash_key const& key, flow_key const& flow, wire::sequence peer_initial,
                          std::uint32_t when, std::uint32_t choice) {
  // Never zero, so that it is always part of what is hashed.
  auto const extra = std::uint64_t{peer_initial.value} << 32 | (when & 0x0fff'ffffu) << 4 | choice << 1 | 1u;
  return static_cast<std::uint32_t>(hash_flow(key, flow, extra)) & 0x00ff'ffffu;
}

}  // namespace

wire::sequence identifiers::cookie(flow_key const& key, wire::sequence peer_initial,
                                   std::uint16_t segment_bytes, instant now) const {
  std::uint32_t choice = 0;
  while (choice + 1 < cookie_segment_bytes.size() && cookie_segment_bytes[choice + 1] <= segment_bytes)
    ++choice;
  auto const when = minute(now);
  return {(when & 31u) << 27 | choice << 24 |
          cookie_hash(secrets_.syn_cookies, key, peer_initial, when, choice)};
}

std::optional<std::uint16_t> identifiers::check_cookie(flow_key const& key, wire::sequence peer_initial,
                                                       wire::sequence cookie, instant now) const {
  auto const age = (minute(now) - (cookie.value >> 27)) & 31u;
  if (age > minutes_valid || age > minute(now)) return std::nullopt;
  auto const choice = (cookie.value >> 24) & 7u;
  auto const hash = cookie_hash(secrets_.syn_cookies, key, peer_initial, minute(now) - age, choice);
  if (hash != (cookie.value & 0x00ff'ffffu)) return std::nullopt;
  return cookie_segment_bytes[choice];
}

}  // namespace morgana::net::tcp
