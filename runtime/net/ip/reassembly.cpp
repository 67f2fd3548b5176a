#include "reassembly.hpp"

#include <algorithm>
#include <new>

namespace morgana::net::host {
namespace {

/// One datagram that is larger than a pool's buffers. Rare, and bounded by reassembly_bytes.
class heap_buffer final : public buffer {
 public:
  static slice make(std::size_t bytes) {
    auto* const memory = new (std::nothrow) std::byte[bytes];
    if (memory == nullptr) return {};
    auto* const made = new (std::nothrow) heap_buffer({memory, bytes});
    if (made == nullptr) {
      delete[] memory;
      return {};
    }
    return {*made, 0, bytes};
  }

 private:
  explicit heap_buffer(std::span<std::byte> memory) : buffer(memory) {}
  void unused() override {
    delete[] memory().data();
    delete this;
  }
};

constexpr std::uint32_t payload_bytes_max = 65'535;

}  // namespace

reassembly::reassembly(network_limits const& limits, buffer_pool& buffers)
    : limits_(limits),
      buffers_(buffers),
      pool_(limits.reassembly_bytes / static_cast<std::uint32_t>(fragment_overhead_bytes) + 1) {}

reassembly::~reassembly() {
  for (auto& one : entries_) empty(one);
}

void reassembly::empty(entry& one) {
  for (auto* const part : one.parts) pool_.give(part);
  one.parts.clear();
  bytes_ -= one.charged;
  one.charged = 0;
}

/// Nothing of this datagram is accepted any more, until its time is over.
void reassembly::poison(entry& one) {
  empty(one);
  one.is_poisoned = true;
}

void reassembly::refresh_deadline() {
  next_due_ = entries_.empty() ? never : entries_.front().until;
}

reassembly::outcome reassembly::add(fragment_key const& key, std::uint32_t offset, bool more,
                                    std::size_t header_bytes, segment& packet, instant now) {
  auto const payload = static_cast<std::uint32_t>(packet.size() - header_bytes);
  auto const end = offset + payload;
  auto found = std::ranges::find(entries_, key, &entry::key);
  if (found == entries_.end()) {
    if (entries_.size() >= std::max(limits_.reassembly_datagrams, 1u)) {
      ++counters_.evicted;
      empty(entries_.front());
      entries_.erase(entries_.begin());
    }
    entries_.emplace_back();
    found = entries_.end() - 1;
    found->key = key;
    found->until = after(now, limits_.reassembly_timeout);
    refresh_deadline();
  }
  if (found->is_poisoned) return outcome::dropped;
  // Datagrams that cannot be (the ping of death).
  if (end + header_bytes > payload_bytes_max || (payload == 0 && (more || offset == 0))) {
    ++counters_.too_long;
    poison(*found);
    return outcome::dropped;
  }
  auto const place = std::ranges::find_if(found->parts, [&](queued_packet* part) { return part->offset >= offset; });
  if (place != found->parts.end() && (*place)->offset == offset && (*place)->bytes == payload &&
      more == !(found->total && *found->total == end)) {
    return outcome::waiting;  // a duplicate
  }
  bool const overlaps = (place != found->parts.end() && (*place)->offset < end) ||
                        (place != found->parts.begin() && (*(place - 1))->offset + (*(place - 1))->bytes > offset) ||
                        (found->total && (end > *found->total || (!more && end != *found->total))) ||
                        (!more && !found->parts.empty() && found->parts.back()->offset + found->parts.back()->bytes > end);
  if (overlaps) {
    ++counters_.overlapped;
    poison(*found);
    return outcome::dropped;
  }
  if (found->parts.size() >= limits_.reassembly_fragments) {
    ++counters_.too_many_fragments;
    poison(*found);
    return outcome::dropped;
  }
  auto const cost = payload + fragment_overhead_bytes;
  auto const own = static_cast<std::size_t>(found - entries_.begin());
  auto mine = own;
  while (bytes_ + cost > limits_.reassembly_bytes && mine > 0) {
    ++counters_.evicted;
    empty(entries_.front());
    entries_.erase(entries_.begin());
    --mine;
    refresh_deadline();
  }
  auto& one = entries_[mine];
  // Younger ones go only when this one is the oldest and there is still no room: then it goes itself.
  auto* const node = bytes_ + cost > limits_.reassembly_bytes ? nullptr : pool_.take();
  if (node == nullptr) {
    ++counters_.evicted;
    poison(one);
    return outcome::dropped;
  }
  if (offset == 0) {
    one.header_bytes = header_bytes;
    one.start_bytes = std::min(packet.size(), one.start.size());
    if (header_bytes > one.start.size() || !packet.copy_out(0, std::span(one.start).first(one.start_bytes))) {
      pool_.give(node);
      poison(one);
      return outcome::dropped;
    }
  }
  node->packet = std::move(packet);
  packet.clear();
  node->packet.drop_front(header_bytes);
  node->offset = offset;
  node->bytes = payload;
  one.parts.insert(std::ranges::find_if(one.parts, [&](queued_packet* part) { return part->offset > offset; }), node);
  one.charged += cost;
  bytes_ += cost;
  one.received += payload;
  if (!more) one.total = end;
  if (!one.total || one.received != *one.total) return outcome::waiting;
  bool const done = assemble(one, packet);
  if (done) ++counters_.complete;
  if (!done) ++counters_.evicted;
  empty(one);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(mine));
  refresh_deadline();
  return done ? outcome::complete : outcome::dropped;
}

bool reassembly::assemble(entry& one, segment& into) {
  auto const size = one.header_bytes + *one.total;
  auto whole = buffers_.take_slice(size);
  if (whole.size() == 0) whole = heap_buffer::make(size);
  if (whole.size() == 0) return false;
  auto const bytes = whole.writable();
  std::copy_n(one.start.begin(), one.header_bytes, bytes.begin());
  for (auto const* part : one.parts) {
    if (!part->packet.copy_out(0, bytes.subspan(one.header_bytes + part->offset, part->bytes))) return false;
  }
  into.clear();
  return into.append(std::move(whole));
}

std::optional<reassembly::expired> reassembly::poll_expired(instant now) {
  while (!entries_.empty() && entries_.front().until <= now) {
    auto& one = entries_.front();
    std::optional<expired> report;
    if (!one.is_poisoned) {
      ++counters_.timed_out;
      if (one.header_bytes != 0) report = expired{one.key, one.start, one.start_bytes};
    }
    empty(one);
    entries_.erase(entries_.begin());
    refresh_deadline();
    if (report) return report;
  }
  return std::nullopt;
}

}  // namespace morgana::net::host
