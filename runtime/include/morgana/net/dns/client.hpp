// The resolver of applications: asks name servers over any net::stack and remembers what they said.
//
//   dns_client<Stack> names(network, {.servers = ...}, key);
//   auto found = co_await names.resolve("www.example.org", here.now() + 5s);
//
// A and AAAA are asked for side by side. A question that is being asked already is not asked twice (RFC 5452
// 5): who comes later waits for the answer. Every try has a socket of its own, and so a random port.
//
// Costs: one allocation of the answer's buffer per question; nothing runs while nobody asks. Limits:
// resolver_limits.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "morgana/core/deadline.hpp"
#include "morgana/core/event.hpp"
#include "morgana/core/semaphore.hpp"
#include "morgana/net/dns/cache.hpp"
#include "morgana/net/dns/lookup.hpp"
#include "morgana/net/dns/servers.hpp"
#include "morgana/net/resolver.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/net/wire/bytes.hpp"

namespace morgana::net {

/// A network that was told of name servers: by DHCP, by routers, by its host.
template <class S>
concept knows_name_servers = requires(S& network) {
  { network.name_servers() } -> std::same_as<address_list>;
};

/// Name servers by their addresses, with commas between, each with its port if that is not 53; or auto.
struct name_server_setting {
  std::array<endpoint, dns::server_list::servers_max> servers{};
  std::uint8_t count = 0;  ///< 0: auto
  constexpr name_server_setting() = default;
  consteval name_server_setting(char const* text)
      : name_server_setting(parse(text).value()) {}  // NOLINT: implicit
  friend auto operator<=>(name_server_setting const&, name_server_setting const&) = default;
  [[nodiscard]] std::span<endpoint const> all() const { return std::span(servers).first(count); }
  [[nodiscard]] static constexpr std::optional<name_server_setting> parse(std::string_view text) {
    name_server_setting made;
    if (text == "auto") return made;
    for (;;) {
      auto const comma = text.find(',');
      auto const part = text.substr(0, comma);
      auto const alone = ip_address::parse(part);
      auto const with_port = alone ? std::optional(endpoint{*alone, 53}) : endpoint::parse(part);
      if (!with_port || with_port->port == 0 || made.count == made.servers.size()) return std::nullopt;
      made.servers[made.count++] = *with_port;
      if (comma == std::string_view::npos) return made;
      text.remove_prefix(comma + 1);
    }
  }
};
void write_text(text_writer& out, name_server_setting const& value);

struct dns_client_options {
  /// Name servers, with commas between; auto: those that the network knows (DHCP, router advertisements, the
  /// host's).
  name_server_setting servers = "auto";
  /// Largest number of answers remembered.
  std::uint32_t cache = resolver_limits{}.cached_answers;
};

namespace dns {
/// A key that this boot alone has.
[[nodiscard]] siphash_key boot_key();
}  // namespace dns

template <stack Stack>
class dns_client {
 public:
  dns_client(Stack& network, dns_client_options const& options, siphash_key const& key,
             resolver_limits const& limits = {})
      : network_(&network),
        options_(options),
        limits_(with_cache_of(limits, options.cache)),
        random_(key),
        cache_(limits_, {random_.next(), random_.next()}),
        slots_(limits_.lookups) {}
  dns_client(dns_client const&) = delete;
  dns_client& operator=(dns_client const&) = delete;

  /// The catalogue's. Never fails: servers may be told of later.
  [[nodiscard]] static task<result<std::unique_ptr<dns_client>>> connect(context&, Stack& network,
                                                                         dns_client_options const& options) {
    co_return std::make_unique<dns_client>(network, options, dns::boot_key());
  }
  task<void> disconnect() { co_return; }

  /// Errors: resolver.hpp.
  [[nodiscard]] task<result<address_list>> resolve(std::string_view name, instant deadline) {
    return resolve(name, address_family::any, deadline);
  }
  [[nodiscard]] task<result<address_list>> resolve(std::string_view name, address_family family,
                                                   instant deadline) {
    if (auto known = dns::answer_without_asking(name, family)) co_return std::move(*known);
    auto const asked = *dns::name::parse(name);
    if (family == address_family::v4)
      co_return addresses_of(co_await ask(asked, dns::record_type::a, deadline));
    if (family == address_family::v6)
      co_return addresses_of(co_await ask(asked, dns::record_type::aaaa, deadline));
    auto [v6, v4] =
        co_await all(ask(asked, dns::record_type::aaaa, deadline), ask(asked, dns::record_type::a, deadline));
    address_list both;
    if (v6) {
      for (auto const& one : v6->addresses) (void)both.add(one);
    }
    if (v4) {
      for (auto const& one : v4->addresses) (void)both.add(one);
    }
    if (!both.empty()) co_return both;
    if (!v4) co_return failure(std::move(v4.error()));
    if (!v6) co_return failure(std::move(v6.error()));
    co_return failure(net_error::name_not_found);
  }

  [[nodiscard]] dns::counters counters() const {
    auto all = counters_;
    all.cache_evicted = cache_.evicted();
    return all;
  }

 private:
  /// A question that is being asked; those who ask the same wait for its end and share what went wrong.
  struct shared_end {
    event over;
    std::optional<error> problem;
  };
  struct asking {
    asking(asking*& list, dns::name const& name, dns::record_type of_type)
        : first(list), asked(name), type(of_type), next(list) {
      list = this;
    }
    asking(asking const&) = delete;
    asking& operator=(asking const&) = delete;
    ~asking() {
      auto** at = &first;
      while (*at != this) at = &(*at)->next;
      *at = next;
      end->over.set();
    }
    asking*& first;
    dns::name const& asked;
    dns::record_type type;
    asking* next;
    std::shared_ptr<shared_end> end = std::make_shared<shared_end>();
  };

  static resolver_limits with_cache_of(resolver_limits limits, std::uint32_t answers) {
    limits.cached_answers = answers;
    return limits;
  }

  static result<address_list> addresses_of(result<dns::answer> given) {
    if (!given) return failure(std::move(given.error()));
    if (given->addresses.empty()) return failure(net_error::name_not_found);
    return given->addresses;
  }

  void refresh_servers() {
    if (options_.servers.count != 0) return servers_.set(options_.servers.all());
    if constexpr (knows_name_servers<Stack>) {
      std::array<endpoint, dns::server_list::servers_max> all;
      std::size_t count = 0;
      for (auto const& one : network_->name_servers()) {
        if (count < all.size()) all[count++] = {one, 53};
      }
      servers_.set(std::span(all).first(count));
    }
  }

  task<result<dns::answer>> ask(dns::name const& asked, dns::record_type type, instant deadline) {
    auto& here = co_await this_context();
    for (;;) {
      if (auto known = cache_.find(asked, type, here.now())) {
        ++counters_.cache_hits;
        co_return *known;
      }
      auto* same = asking_;
      while (same != nullptr && !(same->type == type && same->asked == asked)) same = same->next;
      if (same == nullptr) break;
      auto const end = same->end;
      if (auto over = co_await end->over.wait(deadline); !over) co_return failure(net_error::timed_out);
      if (end->problem) co_return failure(*end->problem);
      // Answered, or given up by who asked: look again.
    }
    ++counters_.cache_misses;
    asking mine(asking_, asked, type);
    if (slots_.free() == 0) ++counters_.lookups_limit;
    auto slot = co_await slots_.acquire(deadline);
    if (!slot) co_return failure(net_error::timed_out);
    refresh_servers();
    dns::lookup question(asked, type, servers_, limits_, random_, counters_, here.now());
    std::vector<std::byte> buffer(limits_.udp_bytes);
    while (!question.result()) {
      if (here.now() >= deadline) co_return failure(net_error::timed_out);
      auto const out = question.poll_transmit(here.now());
      if (!out) {
        co_await sleep_until(std::min(deadline, question.next_deadline()));
        question.on_deadline(here.now());
      } else if (out->over == dns::transport::udp) {
        co_await over_udp(question, *out, buffer, deadline);
      } else {
        co_await over_tcp(question, *out, buffer, deadline);
      }
    }
    auto const& outcome = *question.result();
    if (outcome) {
      cache_.keep(asked, type, *outcome, here.now());
    } else {
      mine.end->problem = outcome.error();
    }
    co_return outcome;
  }

  /// Until the lookup wants something else.
  task<> over_udp(dns::lookup& question, dns::lookup::transmission out, std::vector<std::byte>& buffer,
                  instant deadline) {
    auto& here = co_await this_context();
    auto const until = std::min(deadline, question.next_deadline());
    ip_address const any =
        out.server.address.is_v6() ? ip_address(ipv6_address{}) : ip_address(ipv4_address{});
    auto socket = network_->bind(endpoint{any, 0});
    if (!socket) co_return question.failed(here.now());
    auto sent = co_await socket->send(out.message, out.server, until);
    if (!sent) co_return question.failed(here.now());
    while (!question.result() && !question.wants_to_send()) {
      auto const got = co_await socket->receive(buffer, until);
      if (got) {
        question.input(std::span(buffer).first(got->size), got->from, here.now());
      } else if (here.now() >= until) {
        co_return question.on_deadline(here.now());
      } else {
        co_return question.failed(here.now());
      }
    }
  }

  /// RFC 7766: one question, one answer, each behind its length.
  task<> over_tcp(dns::lookup& question, dns::lookup::transmission out, std::vector<std::byte>& buffer,
                  instant deadline) {
    auto& here = co_await this_context();
    auto const until = std::min(deadline, question.next_deadline());
    auto stream = co_await network_->connect(out.server, until);
    if (!stream) co_return gave_up(question, here.now(), until);
    std::array<std::byte, 2> length;
    wire::store16(length, 0, static_cast<std::uint16_t>(out.message.size()));
    std::array<std::span<std::byte const>, 2> const both{length, out.message};
    auto const sent = co_await stream->write(std::span<std::span<std::byte const> const>(both), until);
    if (!sent || !co_await read_all(*stream, length, until)) co_return gave_up(question, here.now(), until);
    std::size_t const size = wire::load16(length, 0);
    if (size > limits_.message_bytes) {
      ++counters_.too_long;
      co_return question.failed(here.now());
    }
    buffer.resize(std::max(buffer.size(), size));
    auto const message = std::span(buffer).first(size);
    if (!co_await read_all(*stream, message, until)) co_return gave_up(question, here.now(), until);
    question.input(message, out.server, here.now());
  }

  static void gave_up(dns::lookup& question, instant now, instant until) {
    now >= until ? question.on_deadline(now) : question.failed(now);
  }

  static task<bool> read_all(typename Stack::stream& stream, std::span<std::byte> into, instant deadline) {
    while (!into.empty()) {
      auto const got = co_await stream.read(into, deadline);
      if (!got || *got == 0) co_return false;
      into = into.subspan(*got);
    }
    co_return true;
  }

  Stack* network_;
  dns_client_options options_;
  resolver_limits limits_;
  random_stream random_;
  dns::server_list servers_;
  dns::cache cache_;
  semaphore slots_;
  asking* asking_ = nullptr;
  dns::counters counters_;
};

}  // namespace morgana::net
