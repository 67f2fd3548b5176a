#include <cerrno>

#include "morgana/core/text.hpp"
#include "morgana/net/error.hpp"
#include "values.hpp"

namespace morgana::python {
namespace {

int number_of(net::net_error code) {
  switch (code) {
    case net::net_error::refused:
      return ECONNREFUSED;
    case net::net_error::reset:
      return ECONNRESET;
    case net::net_error::timed_out:
      return ETIMEDOUT;
    case net::net_error::unreachable:
      return ENETUNREACH;
    case net::net_error::address_in_use:
      return EADDRINUSE;
    case net::net_error::address_not_available:
      return EADDRNOTAVAIL;
    case net::net_error::not_connected:
      return ENOTCONN;
    case net::net_error::message_too_long:
      return EMSGSIZE;
    case net::net_error::limit_reached:
      return ENOBUFS;
    case net::net_error::not_permitted:
      return EPERM;
    case net::net_error::name_not_found:
    case net::net_error::invalid_address:
    case net::net_error::other:
      break;
  }
  return EIO;
}

}  // namespace

problem problem_of(error const& from) {
  fixed_text<512> text;
  text.append("{}", from);
  problem made{problem::kind::connection, EIO, std::string(text.view())};
  if (&from.domain() == &domain_of(net::net_error{})) {
    auto const code = static_cast<net::net_error>(from.code());
    made.number = number_of(code);
    if (code == net::net_error::name_not_found) made.what = problem::kind::name;
    if (code == net::net_error::invalid_address) made.what = problem::kind::bad_value;
  } else if (from.is(core_error::timed_out)) {
    made.number = ETIMEDOUT;
  } else if (from.is(core_error::invalid_argument)) {
    made.what = problem::kind::bad_value;
  }
  return made;
}

}  // namespace morgana::python
