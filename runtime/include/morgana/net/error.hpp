// Errors of every network stack, the host's and our own: the small public set an application can act on.
#pragma once

#include <cstdint>

#include "morgana/core/result.hpp"

namespace morgana::net {

enum class net_error : std::uint8_t {
  refused,             ///< RST to a SYN, or ICMP port unreachable
  reset,               ///< the peer aborted the connection
  timed_out,           ///< deadline, user timeout, or no answer after all retransmissions
  unreachable,         ///< no route, or ICMP host or network unreachable
  address_in_use,
  address_not_available,
  not_connected,       ///< shut down or aborted on this side
  message_too_long,    ///< datagram larger than the path or the limit allows
  limit_reached,       ///< connections, listeners, buffers: detail is the limit
  name_not_found,
  invalid_address,
  not_permitted,
  other,               ///< detail is the platform's number
};
[[nodiscard]] error_domain const& domain_of(net_error);

}  // namespace morgana::net
