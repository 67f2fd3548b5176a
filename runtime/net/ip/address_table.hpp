// The addresses of one interface: each is asked for before it is trusted (RFC 5227 for IPv4, RFC 4862 5.4 for
// IPv6), defended while it is used, and outlived when its lifetimes end. And which of them a packet leaves
// from (RFC 6724 5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "morgana/core/result.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/core.hpp"

namespace morgana::net::host {

enum class address_origin : std::uint8_t { manual, link_local, advertised, temporary };

/// What the table asks of the rest of the host. Called from within the table.
class address_events {
 public:
  /// Send one ARP probe, or one solicitation of duplicate address detection.
  virtual void probe(ip_address const& address, instant now) = 0;
  /// Send one ARP announcement, or one unsolicited neighbour advertisement.
  virtual void announce(ip_address const& address, instant now) = 0;
  /// The set of addresses, or what one may be used for, changed.
  virtual void addresses_changed() = 0;
  /// An address was in use by another host: the origin decides what is next (RFC 7217 6 tries another one).
  virtual void duplicated(ip_address const& address, address_origin origin, instant now) = 0;

 protected:
  ~address_events() = default;
};

class address_table {
 public:
  using state = core::address_state;
  struct entry {
    cidr address;
    address_origin origin = address_origin::manual;
    core::address_state state = core::address_state::tentative;
    instant preferred_until = never;
    instant valid_until = never;
    std::uint8_t probes_left = 0;
    std::uint8_t announcements_left = 0;
    instant due = never;                  ///< of the next probe or announcement
    std::optional<instant> defended;      ///< the last time a conflict was answered
    std::uint8_t attempt = 0;             ///< RFC 7217: how many addresses of this prefix were duplicates
  };

  address_table(core_configuration const& configuration, keyed_secrets const& secrets, address_events& events);

  /// Errors: invalid_address (multicast, unspecified, loopback, prefix), address_in_use, limit_reached.
  [[nodiscard]] result<void> add(entry one, instant now);
  bool remove(ip_address const& address);

  /// Usable for sending and receiving: not duplicated, and not tentative unless addresses are optimistic.
  [[nodiscard]] bool is_ours(ip_address const& address) const;
  [[nodiscard]] entry* find(ip_address const& address);
  [[nodiscard]] entry const* find(ip_address const& address) const;
  [[nodiscard]] std::vector<entry> const& all() const { return entries_; }
  [[nodiscard]] std::vector<entry>& all() { return entries_; }
  /// 255.255.255.255, and the highest address of each of our prefixes.
  [[nodiscard]] bool is_broadcast(ip_address const& address) const;
  /// The length of the longest of our prefixes that `address` is in; -1: it is not on the link.
  [[nodiscard]] int on_link_bits(ip_address const& address) const;
  /// RFC 6724 5 rules 1 to 3, 7 and 8; nothing when no address of the family is usable.
  [[nodiscard]] std::optional<ip_address> source_for(ip_address const& destination,
                                                     std::optional<ip_address> const& next_hop) const;

  /// Somebody else claims `address`. Whether it is still ours afterwards (RFC 5227 2.4 b).
  bool conflict(ip_address const& address, instant now);

  /// Lifetimes of entries were written through all().
  void lifetimes_changed() { refresh(); }
  [[nodiscard]] instant next_deadline() const { return next_due_; }
  void on_deadline(instant now);
  [[nodiscard]] std::uint64_t conflicts() const { return conflicts_; }

 private:
  [[nodiscard]] bool usable(entry const& one) const;
  void set_due(entry& one, instant due);
  void settle(entry& one, instant now);
  void refresh();

  core_configuration const& configuration_;
  random_stream random_;
  address_events& events_;
  std::vector<entry> entries_;
  instant next_due_ = never;
  std::uint64_t conflicts_ = 0;
};

[[nodiscard]] bool is_link_local(ip_address const& address);

}  // namespace morgana::net::host
