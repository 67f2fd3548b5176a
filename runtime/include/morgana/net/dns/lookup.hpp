// One question put to name servers, without I/O: what to send to whom, what to make of what comes back, when
// to stop waiting. A stub resolver by RFC 1034 5.3.1, hardened by RFC 5452: every try has a fresh identifier,
// a fresh port and a fresh spelling (0x20) of the name, and an answer must match all three and the server
// asked.
//
//   lookup one(name, record_type::a, servers, limits, random, now);
//   while (!one.result()) {
//     auto out = one.poll_transmit(now);                // maybe nothing
//     send it: over UDP from a port never used before, over TCP behind its length (RFC 7766)
//     one.input(what came, now), or one.on_deadline(now) at one.next_deadline(), or one.failed(now)
//   }
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/core/result.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/dns/cache.hpp"
#include "morgana/net/dns/message.hpp"
#include "morgana/net/dns/servers.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::dns {

struct counters {
  std::uint64_t queries_udp = 0, queries_tcp = 0, answers = 0, timeouts = 0, servers_failed = 0;
  std::uint64_t malformed = 0;   ///< messages that are none
  std::uint64_t mismatched = 0;  ///< not the server, identifier or question that was asked: forged or late
  std::uint64_t case_mismatched = 0;  ///< the question in another spelling: asked again over TCP
  std::uint64_t truncated = 0, without_edns = 0, too_long = 0;
  std::uint64_t cname_limit = 0, tries_limit = 0, lookups_limit = 0;
  std::uint64_t cache_hits = 0, cache_misses = 0, cache_evicted = 0;
};

enum class transport : std::uint8_t { udp, tcp };

class lookup {
 public:
  /// The references live as long as the lookup. `servers` may be empty: then the result is `unreachable` at
  /// once.
  lookup(name const& asked, record_type type, server_list& servers, resolver_limits const& limits,
         random_stream& random, counters& counted, instant now);

  struct transmission {
    endpoint server;
    dns::transport over;
    std::span<std::byte const>
        message;  ///< valid until the next call; without the length that TCP puts before it
  };
  /// What to send now; comes once for each try. A new one means that answers to the last are no longer waited
  /// for.
  [[nodiscard]] std::optional<transmission> poll_transmit(instant now);
  [[nodiscard]] bool wants_to_send() const { return wants_to_send_; }

  /// A message that came back over the transport of the last transmission.
  void input(std::span<std::byte const> message, endpoint const& from, instant now);
  /// The last transmission could not be delivered (refused, unreachable, connection lost).
  void failed(instant now);
  [[nodiscard]] instant next_deadline() const { return deadline_; }
  void on_deadline(instant now);

  /// Set when it is over. Errors: net_error::timed_out (no server answered), unreachable (no server, or each
  /// of them failed), limit_reached (the chain of aliases is too long; detail is the limit).
  [[nodiscard]] std::optional<morgana::result<answer>> const& result() const { return result_; }

 private:
  void ask(instant now);
  void next_try(instant now);
  void finish(morgana::result<answer> with);
  [[nodiscard]] bool is_reply_to_us(message_reader& reader);
  void take_answer(message_reader& reader, instant now);

  server_list& servers_;
  resolver_limits const& limits_;
  random_stream& random_;
  counters& counters_;
  name asked_;  ///< now: the last alias
  record_type type_;
  name spelled_;  ///< as sent
  std::array<std::byte, 512> message_;
  std::size_t message_bytes_ = 0;
  endpoint server_;
  transport over_ = transport::udp;
  std::uint16_t id_ = 0;
  std::uint32_t tries_ = 0;
  std::uint32_t tried_ = 0;  ///< servers of this round, a bit each
  std::uint32_t aliases_ = 0;
  bool with_edns_ = true;
  bool wants_to_send_ = false;
  bool saw_failure_ = false;               ///< a server said it cannot, or could not be reached
  std::uint32_t lifetime_s_ = UINT32_MAX;  ///< of the aliases followed so far
  instant deadline_ = never;
  std::optional<morgana::result<answer>> result_;
};

/// Names that are never asked for: `localhost` and below it (RFC 6761 6.3), `invalid` (6.4), `onion` (RFC
/// 7686), and literal addresses. Nothing: ask. The family filters.
[[nodiscard]] std::optional<result<address_list>> answer_without_asking(std::string_view text,
                                                                        address_family family);

}  // namespace morgana::net::dns
