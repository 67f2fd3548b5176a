// Connecting to a name as RFC 8305 has it ("Happy Eyeballs", version 2): both families are asked for at once
// and tried side by side, IPv6 first, so that a family that does not work costs a quarter of a second instead
// of minutes.
//
//   auto stream = co_await net::connect_by_name(network, dns, "www.example.org", 443, here.now() + 10s);
//
// The decisions are a machine without I/O (happy_eyeballs), the rest are coroutines over any net::stack and
// resolver.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "morgana/core/event.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/net/limits.hpp"
#include "morgana/net/resolver.hpp"
#include "morgana/net/stack.hpp"

namespace morgana::net {

class happy_eyeballs {
 public:
  explicit happy_eyeballs(resolver_limits const& limits) : limits_(limits) {}

  /// The addresses of one family, none when there are none or could not be had.
  void resolved(address_family family, address_list const& found, instant now);
  /// An address to connect to now; call until nothing comes.
  [[nodiscard]] std::optional<ip_address> poll_attempt(instant now);
  /// An attempt ended without a connection.
  void failed(instant now);
  /// When poll_attempt may have something that it does not have now.
  [[nodiscard]] instant next_deadline() const;
  /// Everything was tried, in vain.
  [[nodiscard]] bool is_exhausted() const;
  [[nodiscard]] std::uint32_t attempts() const { return attempts_; }

 private:
  struct family_state {
    address_list found;
    std::size_t next = 0;
    bool is_answered = false;
    [[nodiscard]] bool has_more() const { return next < found.size(); }
  };
  [[nodiscard]] bool may_begin(instant now) const;

  resolver_limits limits_;
  family_state v6_, v4_;
  instant v4_answered_at_ = never;
  instant next_attempt_{};
  std::uint32_t running_ = 0;
  std::uint32_t attempts_ = 0;
  bool v4_is_next_ = false;
};

namespace detail {

/// What the children of one connect_by_name share.
template <stack Stack, resolver Resolver>
struct connecting {
  Stack& network;
  Resolver& names;
  std::string_view name;
  std::uint16_t port;
  instant deadline;
  happy_eyeballs order;
  event changed{};
  std::optional<typename Stack::stream> winner{};
  std::optional<error> problem{};
};

template <stack Stack, resolver Resolver>
task<> resolve_for(connecting<Stack, Resolver>& shared, address_family family) {
  auto& here = co_await this_context();
  auto found = co_await shared.names.resolve(shared.name, family, shared.deadline);
  // What went wrong with asking says more than that one family has no address.
  if (!found && (!shared.problem || shared.problem->is(net_error::name_not_found)))
    shared.problem = found.error();
  shared.order.resolved(family, found ? *found : address_list(), here.now());
  shared.changed.set();
}

template <stack Stack, resolver Resolver>
task<> attempt(connecting<Stack, Resolver>& shared, ip_address address) {
  auto& here = co_await this_context();
  auto stream = co_await shared.network.connect(endpoint{address, shared.port}, shared.deadline);
  if (stream && !shared.winner) {
    shared.winner.emplace(std::move(*stream));
  } else if (!stream) {
    shared.problem = std::move(stream.error());
    shared.order.failed(here.now());
  }
  shared.changed.set();
}

}  // namespace detail

/// `name` may be a literal address; it must live until the task ends. Errors: as of resolve() when there is
/// no address, else of the last attempt that ended; net_error::timed_out at the deadline.
template <stack Stack, resolver Resolver>
task<result<typename Stack::stream>> connect_by_name(Stack& network, Resolver& names, std::string_view name,
                                                     std::uint16_t port, instant deadline,
                                                     resolver_limits const& limits = {}) {
  auto& here = co_await this_context();
  detail::connecting<Stack, Resolver> shared{network, names, name, port, deadline, happy_eyeballs(limits)};
  // Last, so that the children go first: whoever lost is cancelled here.
  scope children(here);
  children.spawn(detail::resolve_for(shared, address_family::v6));
  children.spawn(detail::resolve_for(shared, address_family::v4));
  for (;;) {
    if (shared.winner) co_return std::move(*shared.winner);
    while (auto const address = shared.order.poll_attempt(here.now())) {
      children.spawn(detail::attempt(shared, *address));
    }
    if (shared.order.is_exhausted()) {
      co_return failure(shared.problem ? std::move(*shared.problem) : error(net_error::name_not_found));
    }
    if (here.now() >= deadline) co_return failure(net_error::timed_out);
    (void)co_await shared.changed.wait(std::min(deadline, shared.order.next_deadline()));
    shared.changed.clear();
  }
}

}  // namespace morgana::net
