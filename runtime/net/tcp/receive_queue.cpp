#include "receive_queue.hpp"

#include <algorithm>
#include <utility>

namespace morgana::net::tcp {

using wire::sequence;

void receive_queue::add(chunk_list& to, segment const& packet, std::size_t offset, std::size_t count) {
  auto const take = [&](std::span<std::byte const> bytes, slice const* whole) {
    auto const skipped = std::min(offset, bytes.size());
    offset -= skipped;
    auto const wanted = std::min(bytes.size() - skipped, count);
    if (wanted == 0) return;
    count -= wanted;
    auto const before = to.size();
    if (whole == nullptr || (is_small(wanted) && !to.may_hold(wanted))) {
      auto const copied = to.append(bytes.subspan(skipped, wanted));
      if (copied != wanted && whole != nullptr) to.append(whole->part(skipped + copied, wanted - copied));
    } else {
      to.append(whole->part(skipped, wanted));
    }
    // What lies behind a part that was not taken has no place.
    if (to.size() - before != wanted) count = 0;
  };
  take(packet.header(), nullptr);
  for (auto const& one : packet.slices()) {
    if (count == 0) break;
    take(one.bytes(), &one);
  }
}

[[gnu::noinline]] void receive_queue::append_copy(slice& part) {
  auto& pieces = ready_.pieces();
  part.drop_front(pieces.append(part.bytes()));
  part.size() == 0 ? part.reset() : pieces.append_from(part);
}

receive_queue::outcome receive_queue::insert(sequence at, segment& packet, std::uint32_t ranges_max) {
  auto const size = packet.size();
  auto const end = at + static_cast<std::uint32_t>(size);
  if (end <= next_) return outcome::duplicate;
  if (at > next_) {
    return add_out_of_order(at, end, packet, ranges_max) ? outcome::out_of_order : outcome::dropped;
  }
  auto const known = static_cast<std::size_t>(next_ - at);
  auto const before = ready_.size();
  if (ready_.keeps(size - known)) {
    (void)packet.copy_out(known, ready_.keep(size - known));
  } else {
    add(ready_.pieces(), packet, known, size - known);
  }
  next_ += static_cast<std::uint32_t>(ready_.size() - before);
  if (ready_.size() == before) return outcome::dropped;
  if (!has_gaps()) return outcome::in_order;
  take_ranges();
  return outcome::filled_gap;
}

void receive_queue::take_ranges() {
  auto& ranges = beyond_->ranges;
  std::size_t taken = 0;
  for (; taken < ranges.size() && ranges[taken].begin <= next_; ++taken) {
    auto& one = ranges[taken];
    beyond_->waiting -= one.bytes->size();
    if (one.end > next_) {
      one.bytes->drop_front(static_cast<std::size_t>(next_ - one.begin));
      ready_.pieces().append(*one.bytes);
      next_ = one.end;
    }
  }
  ranges.erase(ranges.begin(), ranges.begin() + static_cast<std::ptrdiff_t>(taken));
  if (ranges.empty()) std::vector<range>().swap(ranges);
}

bool receive_queue::add_out_of_order(sequence at, sequence end, segment const& packet,
                                     std::uint32_t ranges_max) {
  if (from_->is_full()) return false;
  auto& ranges = beyond().ranges;
  // The first range that ends at or behind the segment's begin: all that it touches follow.
  auto first = ranges.begin();
  while (first != ranges.end() && first->end < at) ++first;
  auto const whole = at;
  bool is_new = first == ranges.end() || end < first->begin;
  if (is_new && ranges.size() >= ranges_max) return false;
  if (is_new) {
    first = ranges.insert(first, range{at, at, 0, std::make_unique<chunk_list>(*from_)});
  } else if (at < first->begin) {
    // What lies before the first range becomes its beginning.
    auto const missing = static_cast<std::size_t>(first->begin - at);
    auto bytes = std::make_unique<chunk_list>(*from_);
    add(*bytes, packet, 0, missing);
    if (bytes->size() != missing) return false;
    beyond_->waiting += missing;
    bytes->append(*first->bytes);
    first->bytes = std::move(bytes);
    first->begin = at;
  } else if (end <= first->end) {
    report_duplicate(at, end);
  }
  auto const index = static_cast<std::size_t>(first - ranges.begin());
  while (ranges[index].end < end) {
    auto& one = ranges[index];
    auto const next = index + 1 < ranges.size() ? &ranges[index + 1] : nullptr;
    auto const until = next != nullptr && next->begin < end ? next->begin : end;
    auto const missing = static_cast<std::size_t>(until - one.end);
    auto const before = one.bytes->size();
    add(*one.bytes, packet, static_cast<std::size_t>(one.end - whole), missing);
    auto const added = one.bytes->size() - before;
    one.end += static_cast<std::uint32_t>(added);
    beyond_->waiting += added;
    if (added != missing) break;
    if (next != nullptr && next->begin == one.end) {
      one.bytes->append(*next->bytes);
      one.end = next->end;
      ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(index) + 1);
    }
  }
  // A range that touches the next one without overlap is one range.
  if (index + 1 < ranges.size() && ranges[index + 1].begin == ranges[index].end) {
    ranges[index].bytes->append(*ranges[index + 1].bytes);
    ranges[index].end = ranges[index + 1].end;
    ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(index) + 1);
  }
  if (ranges[index].begin == ranges[index].end) {
    ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(index));
    return false;
  }
  ranges[index].used = ++beyond_->clock;
  return true;
}

std::uint8_t receive_queue::sack_blocks(std::span<wire::sack_block> into) const {
  if (beyond_ == nullptr) return 0;
  auto const& ranges = beyond_->ranges;
  auto const& duplicate = beyond_->duplicate;
  std::size_t count = 0;
  if (duplicate && !into.empty()) into[count++] = *duplicate;
  auto const first = count;
  std::array<std::uint32_t, wire::tcp_options::sack_blocks_max> used{};
  for (auto const& one : ranges) {
    // Insertion into the few latest: usually there are hardly more ranges than places.
    auto place = count;
    while (place > first && used[place - 1] < one.used) --place;
    if (place >= into.size()) continue;
    auto const last = std::min(count, into.size() - 1);
    for (auto i = last; i > place; --i) {
      into[i] = into[i - 1];
      used[i] = used[i - 1];
    }
    into[place] = {one.begin, one.end};
    used[place] = one.used;
    count = std::min(count + 1, into.size());
  }
  return static_cast<std::uint8_t>(count);
}

void receive_queue::clear() {
  ready_.clear();
  beyond_.reset();
}

}  // namespace morgana::net::tcp
