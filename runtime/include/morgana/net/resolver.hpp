// What an application asks of a resolver: the addresses of a name.
//
//   task<result<void>> start(net::stack auto& network, net::resolver auto& dns);
//
//   auto found = co_await dns.resolve("www.example.org", here.now() + 5s);
//   auto stream = co_await net::connect_by_name(network, dns, "www.example.org", 80, here.now() + 10s);
//
// connect_by_name (happy_eyeballs.hpp) is what most applications want: it tries both families as RFC 8305
// says. Literal addresses resolve to themselves, `localhost` to the loopback addresses, without asking
// anybody.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/error.hpp"

namespace morgana::net {

/// The addresses of a name: a few, in the order they were given, IPv6 before IPv4.
class address_list {
 public:
  /// More are left out: nobody tries as many.
  static constexpr std::size_t addresses_max = 16;

  /// False when it is full; an address that is there already is not added again.
  bool add(ip_address const& one) {
    for (auto const& known : all()) {
      if (known == one) return true;
    }
    if (size_ == addresses_max) return false;
    addresses_[size_++] = one;
    return true;
  }
  [[nodiscard]] std::span<ip_address const> all() const { return std::span(addresses_).first(size_); }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] ip_address const& operator[](std::size_t at) const { return addresses_[at]; }
  [[nodiscard]] auto begin() const { return all().begin(); }
  [[nodiscard]] auto end() const { return all().end(); }

 private:
  std::array<ip_address, addresses_max> addresses_{};
  std::size_t size_ = 0;
};

/// `name` must live until the answer is there. Errors: net_error::name_not_found (there is no such name, or
/// it has no address of the family), invalid_address (not a name), timed_out, unreachable (no server can be
/// asked).
template <class R>
concept resolver = requires(R& names, std::string_view name, address_family family, instant deadline) {
  { names.resolve(name, deadline) } -> awaitable_of<result<address_list>>;
  { names.resolve(name, family, deadline) } -> awaitable_of<result<address_list>>;
};

}  // namespace morgana::net
