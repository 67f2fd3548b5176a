#include "flow.hpp"

namespace morgana::net::tcp {

std::uint64_t hash_flow(siphash_key const& key, flow_key const& flow, std::uint64_t extra) {
  if (extra == 0 && flow.local.is_v4()) [[likely]] {
    std::array<std::byte, 12> bytes;
    std::memcpy(bytes.data(), &flow.local, 4);
    std::memcpy(bytes.data() + 4, &flow.peer, 4);
    std::memcpy(bytes.data() + 8, &flow.local_port, 2);
    std::memcpy(bytes.data() + 10, &flow.peer_port, 2);
    return siphash(key, bytes);
  }
  std::byte bytes[16 + 16 + 4 + 8];
  std::size_t size = 0;
  auto const put = [&](void const* from, std::size_t count) {
    std::memcpy(bytes + size, from, count);
    size += count;
  };
  // The address's bytes come first in its representation (address.hpp).
  auto const address_bytes = flow.local.is_v4() ? std::size_t{4} : std::size_t{16};
  put(&flow.local, address_bytes);
  put(&flow.peer, address_bytes);
  put(&flow.local_port, 2);
  put(&flow.peer_port, 2);
  if (extra != 0) put(&extra, sizeof extra);
  return siphash(key, std::span(bytes).first(size));
}

[[gnu::noinline]] std::uint64_t flow_table::hash_afresh(flow_key const& key) {
  hashed_ = key;
  return hash_ = hash_flow(key_, key);
}

flow* flow_table::find(flow_key const& key, std::uint64_t hash) const {
  auto const place = place_of(hash);
  auto const mask = slots_.size() - 1;
  for (auto at = place & mask; slots_[at].entry != nullptr; at = (at + 1) & mask) {
    auto* const entry = slots_[at].entry;
    if (entry->hash == place && entry->key == key) return entry;
  }
  return nullptr;
}

void flow_table::place(flow& one) {
  auto const mask = slots_.size() - 1;
  auto at = one.hash & mask;
  while (slots_[at].entry != nullptr) at = (at + 1) & mask;
  slots_[at].entry = &one;
}

void flow_table::insert(flow& one, std::uint64_t hash) {
  if ((size_ + 1) * 3 > slots_.size() * 2) {
    std::vector<slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (auto const& entry : old) {
      if (entry.entry != nullptr) place(*entry.entry);
    }
  }
  one.hash = place_of(hash);
  place(one);
  one.in_table = true;
  ++size_;
  recent_[recent_index(one.key)] = &one;
}

void flow_table::replace(flow& one, flow& other) {
  slots_[slot_of(one)].entry = &other;
  other.hash = one.hash;
  other.in_table = true;
  one.in_table = false;
  recent_[recent_index(other.key)] = &other;
}

void flow_table::erase(flow& one) {
  if (!one.in_table) return;
  auto const mask = slots_.size() - 1;
  auto at = slot_of(one);
  // What was pushed on by this one moves back, so that no search ends early and no mark is left behind.
  for (auto hole = at;;) {
    at = (at + 1) & mask;
    auto* const entry = slots_[at].entry;
    if (entry == nullptr) {
      slots_[hole].entry = nullptr;
      break;
    }
    if (((at - entry->hash) & mask) >= ((at - hole) & mask)) {
      slots_[hole].entry = entry;
      hole = at;
    }
  }
  one.in_table = false;
  --size_;
  if (auto& recent = recent_[recent_index(one.key)]; recent == &one) recent = nullptr;
}

}  // namespace morgana::net::tcp
