// Answers remembered (RFC 1034 4.3.4, negative ones by RFC 2308): by name and record type, for as long as
// their TTL says within clamps of ours. Bounded: at the limit the least recently used answer goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "morgana/core/time.hpp"
#include "morgana/net/dns/message.hpp"
#include "morgana/net/keyed.hpp"
#include "morgana/net/limits.hpp"
#include "morgana/net/resolver.hpp"

namespace morgana::net::dns {

/// What a question was answered with; no addresses: there are none (NODATA), or there is no such name.
struct answer {
  address_list addresses;
  bool name_exists = true;
  duration lifetime{};  ///< as the records say; 0: not to be kept
};

class cache {
 public:
  /// `key` keeps an outsider from choosing names that collide.
  cache(resolver_limits const& limits, siphash_key const& key) : limits_(limits), key_(key) {}

  /// The answer, if one is known; its lifetime is what is left.
  [[nodiscard]] std::optional<answer> find(name const& asked, record_type type, instant now);
  void keep(name const& asked, record_type type, answer const& given, instant now);
  void clear() { entries_.clear(); }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  struct entry {
    std::uint64_t hash;
    name asked;
    record_type type;
    answer given;
    instant until;
    std::uint64_t used;  ///< when, in uses of the cache
  };
  [[nodiscard]] std::uint64_t hash_of(name const& folded, record_type type) const;

  resolver_limits limits_;
  siphash_key key_;
  std::vector<entry> entries_;
  std::uint64_t uses_ = 0;
  std::uint64_t evicted_ = 0;
};

}  // namespace morgana::net::dns
