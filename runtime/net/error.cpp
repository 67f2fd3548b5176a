#include "morgana/net/error.hpp"

namespace morgana::net {

namespace {

std::string_view net_error_message(std::uint32_t code) {
  switch (static_cast<net_error>(code)) {
    case net_error::refused:
      return "connection refused";
    case net_error::reset:
      return "connection reset by the peer";
    case net_error::timed_out:
      return "timed out";
    case net_error::unreachable:
      return "no way to that address";
    case net_error::address_in_use:
      return "address in use";
    case net_error::address_not_available:
      return "not an address of this host";
    case net_error::not_connected:
      return "not connected";
    case net_error::message_too_long:
      return "message too long";
    case net_error::limit_reached:
      return "limit reached";
    case net_error::name_not_found:
      return "no such name";
    case net_error::invalid_address:
      return "not an address";
    case net_error::not_permitted:
      return "not permitted";
    case net_error::other:
      return "network error";
  }
  return "unknown network error";
}

constinit error_domain const net_domain{"net", net_error_message};

}  // namespace

error_domain const& domain_of(net_error) {
  return net_domain;
}

}  // namespace morgana::net
