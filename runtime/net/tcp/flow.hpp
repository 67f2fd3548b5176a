// Which segment belongs to what: a table from the four numbers that name a connection to its record. Open
// addressing with linear probing; the hash is keyed, so that nobody outside can make flows collide.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "morgana/net/address.hpp"
#include "morgana/net/keyed.hpp"

namespace morgana::net::tcp {

struct flow_key {
  ip_address local, peer;
  std::uint16_t local_port = 0, peer_port = 0;

  friend bool operator==(flow_key const& a, flow_key const& b) {
    // In two parts, each of which the compiler compares in place.
    constexpr std::size_t part = 32;
    static_assert(sizeof(flow_key) == 38);
    return std::memcmp(&a, &b, part) == 0 &&
           std::memcmp(reinterpret_cast<std::byte const*>(&a) + part,
                       reinterpret_cast<std::byte const*>(&b) + part, sizeof a - part) == 0;
  }
};
static_assert(std::has_unique_object_representations_v<flow_key>);

/// SipHash of the numbers themselves (12 bytes of IPv4, 36 of IPv6), with `extra` behind them.
[[nodiscard]] std::uint64_t hash_flow(siphash_key const& key, flow_key const& flow, std::uint64_t extra = 0);

enum class flow_kind : std::uint8_t { connection, half_open, time_wait };

/// What the table holds: the base of connections, of half-open entries and of those in TIME-WAIT.
struct flow {
  flow(flow_key const& which, flow_kind what) : key(which), kind(what) {}
  flow_key key;
  flow_kind kind;
  bool in_table = false;
  std::uint32_t hash = 0;
};

class flow_table {
 public:
  /// `key` is that of the hash, `place` that of the places which follow from it: what others see of the hashes of
  /// their own flows does not tell them which of these lie together.
  flow_table(siphash_key const& key, siphash_key const& place)
      : key_(key), place_(place), hash_(hash_flow(key, hashed_)), slots_(64) {}

  /// SipHash of the key, secret until somebody is told a part: one for all that a new flow needs. Who is not found is
  /// usually looked for again, or inserted.
  [[nodiscard]] std::uint64_t hash(flow_key const& key) { return key == hashed_ ? hash_ : hash_afresh(key); }

  [[nodiscard]] flow* find(flow_key const& key) {
    auto& recent = recent_[recent_index(key)];
    if (recent != nullptr && recent->key == key) return recent;
    auto* const found = find(key, hash(key));
    if (found != nullptr) recent = found;
    return found;
  }
  /// The same when it was looked for lately, else null: without the hash, for what comes in runs.
  [[nodiscard]] flow* find_recent(ip_address const& local, ip_address const& peer, std::uint16_t local_port,
                                  std::uint16_t peer_port) const {
    auto* const recent = recent_[recent_index(local_port, peer_port)];
    bool const is_it = recent != nullptr && recent->key.local_port == local_port &&
                       recent->key.peer_port == peer_port && recent->key.peer == peer &&
                       recent->key.local == local;
    return is_it ? recent : nullptr;
  }
  /// The same for a key that nobody asked for lately, and is not likely to ask for again.
  [[nodiscard]] std::uint64_t hash_new(flow_key const& key) const { return hash_flow(key_, key); }
  /// find() and insert() where the key's hash is known.
  [[nodiscard]] flow* find(flow_key const& key, std::uint64_t hash) const;
  void insert(flow& one, std::uint64_t hash);
  /// No flow of that key is in the table.
  void insert(flow& one) { insert(one, hash(one.key)); }
  void erase(flow& one);
  /// `other` has the same key and takes the place of `one`.
  void replace(flow& one, flow& other);
  [[nodiscard]] std::size_t size() const { return size_; }
  /// All of them. None is inserted or erased meanwhile.
  template <class Call>
  void for_each(Call const& call) const {
    for (auto const& one : slots_) {
      if (one.entry != nullptr) call(*one.entry);
    }
  }

 private:
  static constexpr std::size_t recent_flows = 64;
  struct slot {
    flow* entry = nullptr;
  };
  /// Not keyed: who guesses it only makes the table be asked.
  static std::size_t recent_index(std::uint16_t local_port, std::uint16_t peer_port) {
    return static_cast<std::size_t>(peer_port ^ (peer_port >> 6) ^ local_port) % recent_flows;
  }
  static std::size_t recent_index(flow_key const& key) { return recent_index(key.local_port, key.peer_port); }
  std::uint64_t hash_afresh(flow_key const& key);
  [[nodiscard]] std::uint32_t place_of(std::uint64_t hash) const {
    auto const mixed = (hash ^ place_.low) * (place_.high | 1);
    return static_cast<std::uint32_t>(mixed ^ mixed >> 32);
  }
  [[nodiscard]] std::size_t slot_of(flow const& one) const {
    auto const mask = slots_.size() - 1;
    auto at = one.hash & mask;
    while (slots_[at].entry != &one) at = (at + 1) & mask;
    return at;
  }
  void place(flow& one);
  siphash_key key_, place_;
  flow_key hashed_;          ///< the last key that was hashed
  std::uint64_t hash_ = 0;   ///< and its hash
  std::vector<slot> slots_;  ///< a power of two, at most two thirds used
  std::size_t size_ = 0;
  std::array<flow*, recent_flows> recent_{};
};

}  // namespace morgana::net::tcp
