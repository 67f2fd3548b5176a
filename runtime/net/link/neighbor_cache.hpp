// Who has which link address: neighbour unreachability detection (RFC 4861 7.3) for both families. ARP is mapped
// onto it: a reply to us is a solicited advertisement that overrides, a request is a neighbour's solicitation.
//
// The cache decides; what is to be sent goes to its `neighbor_events`. Limits: entries, entries without an answer
// (RFC 6583), packets waiting per entry, solicitations per second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "../core/packet_queue.hpp"
#include "../icmp/token_bucket.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::host {

/// RFC 4861 7.3.2.
enum class neighbor_state : std::uint8_t { incomplete, reachable, stale, delay, probe };

/// What the cache asks of the rest of the host. Called from within the cache: do not call back into it.
class neighbor_events {
 public:
  /// Ask for `target`, of everybody or of the one that had it.
  virtual void solicit(ip_address const& target, std::optional<mac_address> const& unicast, instant now) = 0;
  /// A packet that waited can go. The callee owns the node.
  virtual void resolved(queued_packet* packet, mac_address const& to) = 0;
  /// Nobody answered. The callee owns the node.
  virtual void unresolved(queued_packet* packet, instant now) = 0;
  /// An address that was in use now leads elsewhere, or nowhere: what was remembered about it is void.
  virtual void neighbor_changed() = 0;
  /// Solicitations of this one went unanswered.
  virtual void neighbor_failed(ip_address const& address) = 0;

 protected:
  ~neighbor_events() = default;
};

struct neighbor_counters {
  std::uint64_t queue_dropped = 0, evicted = 0, failures = 0, refused = 0, solicitations_suppressed = 0;
};

class neighbor_cache {
 public:
  neighbor_cache(network_limits const& limits, keyed_secrets const& secrets, packet_pool& pool,
                 neighbor_events& events, instant now);
  ~neighbor_cache();
  neighbor_cache(neighbor_cache const&) = delete;
  neighbor_cache& operator=(neighbor_cache const&) = delete;

  struct answer {
    mac_address address;
    instant good_until;       ///< ask again from then on
  };
  /// Where a packet for `address` goes, if that is known. Asking counts as use (stale becomes delay).
  [[nodiscard]] std::optional<answer> find(ip_address const& address, instant now);
  /// Keeps a packet until `address` has answered, and asks for it. The cache owns the node in every case.
  void wait_for(ip_address const& address, queued_packet* packet, instant now);

  /// A message of the neighbour itself told its address, unasked. `create`: remember a stranger too.
  void heard(ip_address const& address, mac_address const& link, bool create, instant now);
  /// RFC 4861 7.2.5. Strangers are not remembered.
  void advertised(ip_address const& address, std::optional<mac_address> const& link, bool solicited, bool override,
                  instant now);
  void forget(ip_address const& address, instant now);
  /// Progress of those above: packets to it arrive (RFC 4861 7.3.1). Strangers are not remembered.
  void confirm(ip_address const& address, instant now);
  /// No progress of those above: it is asked now, unless it is being asked (RFC 1122 3.3.1.4, negative advice).
  void suspect(ip_address const& address, instant now);

  /// What a router advertised (RFC 4861 6.3.4); 0 keeps what was.
  void set_times(duration reachable, duration retransmit);

  [[nodiscard]] instant next_deadline() const { return next_due_; }
  void on_deadline(instant now);

  [[nodiscard]] std::optional<neighbor_state> state(ip_address const& address) const;
  [[nodiscard]] std::size_t size() const { return used_; }
  [[nodiscard]] neighbor_counters const& counters() const { return counters_; }

 private:
  static constexpr std::uint32_t none = ~0u;
  struct entry {
    ip_address address;
    mac_address link;
    neighbor_state state = neighbor_state::incomplete;
    std::uint8_t asked = 0;               ///< solicitations since the state began
    bool in_use = false;
    instant due = never;
    instant last_used{};
    packet_queue waiting;
    std::uint32_t next = none;            ///< of the same bucket, or of the free list
  };

  [[nodiscard]] std::uint32_t bucket_of(ip_address const& address) const;
  [[nodiscard]] entry* look(ip_address const& address);
  [[nodiscard]] entry* make(ip_address const& address, instant now);
  void remove(entry& one);
  bool evict(bool unanswered_only);
  void set_due(entry& one, instant due);
  void enter(entry& one, neighbor_state state, instant now);
  void flush(entry& one);
  void ask(entry& one, instant now);
  [[nodiscard]] duration reachable_time();

  network_limits const& limits_;
  packet_pool& pool_;
  neighbor_events& events_;
  siphash_key key_;
  random_stream random_;
  token_bucket solicitations_;
  duration reachable_ = 30s;
  duration retransmit_ = 1s;
  std::vector<entry> entries_;
  std::vector<std::uint32_t> buckets_;
  std::uint32_t free_ = none;
  std::uint32_t used_ = 0;
  std::uint32_t incomplete_ = 0;
  instant next_due_ = never;
  neighbor_counters counters_;
};

}  // namespace morgana::net::host
