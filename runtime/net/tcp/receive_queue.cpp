#include "receive_queue.hpp"

#include <algorithm>
#include <utility>

namespace morgana::net::tcp {

using wire::sequence;

void receive_queue::add(chunk_list& to, segment const& packet, std::size_t offset, std::size_t count) {
  auto const take = [&](std::span<std::byte const> bytes, slice const* whole) {
    auto const skipped = std::min(offset, bytes.size());
    offset -= skipped;
    auto const taken = std::min(bytes.size() - skipped, count);
    if (taken == 0) return;
    count -= taken;
    if (whole == nullptr || is_small(taken)) {
      auto const copied = to.append(bytes.subspan(skipped, taken));
      if (copied == taken || whole == nullptr) return;
      to.append(whole->part(skipped + copied, taken - copied));
      return;
    }
    to.append(whole->part(skipped, taken));
  };
  take(packet.header(), nullptr);
  for (auto const& one : packet.slices()) {
    if (count == 0) break;
    take(one.bytes(), &one);
  }
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
  add(ready_, packet, known, size - known);
  next_ += static_cast<std::uint32_t>(ready_.size() - before);
  if (ready_.size() == before) return outcome::dropped;
  if (ranges_.empty()) return outcome::in_order;
  take_ranges();
  return outcome::filled_gap;
}

void receive_queue::take_ranges() {
  std::size_t taken = 0;
  for (; taken < ranges_.size() && ranges_[taken].begin <= next_; ++taken) {
    auto& one = ranges_[taken];
    waiting_ -= one.bytes->size();
    if (one.end > next_) {
      one.bytes->drop_front(static_cast<std::size_t>(next_ - one.begin));
      ready_.append(*one.bytes);
      next_ = one.end;
    }
  }
  ranges_.erase(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(taken));
  if (ranges_.empty()) std::vector<range>().swap(ranges_);
}

bool receive_queue::add_out_of_order(sequence at, sequence end, segment const& packet,
                                     std::uint32_t ranges_max) {
  // The first range that ends at or behind the segment's begin: all that it touches follow.
  auto first = ranges_.begin();
  while (first != ranges_.end() && first->end < at) ++first;
  auto const whole = at;
  bool is_new = first == ranges_.end() || end < first->begin;
  if (is_new && ranges_.size() >= ranges_max) return false;
  if (is_new) {
    first = ranges_.insert(first, range{at, at, 0, std::make_unique<chunk_list>(*from_)});
  } else if (at < first->begin) {
    // What lies before the first range becomes its beginning.
    auto const missing = static_cast<std::size_t>(first->begin - at);
    auto bytes = std::make_unique<chunk_list>(*from_);
    add(*bytes, packet, 0, missing);
    if (bytes->size() != missing) return false;
    waiting_ += missing;
    bytes->append(*first->bytes);
    first->bytes = std::move(bytes);
    first->begin = at;
  } else if (end <= first->end) {
    report_duplicate(at, end);
  }
  auto const index = static_cast<std::size_t>(first - ranges_.begin());
  while (ranges_[index].end < end) {
    auto& one = ranges_[index];
    auto const next = index + 1 < ranges_.size() ? &ranges_[index + 1] : nullptr;
    auto const until = next != nullptr && next->begin < end ? next->begin : end;
    auto const missing = static_cast<std::size_t>(until - one.end);
    auto const before = one.bytes->size();
    add(*one.bytes, packet, static_cast<std::size_t>(one.end - whole), missing);
    auto const added = one.bytes->size() - before;
    one.end += static_cast<std::uint32_t>(added);
    waiting_ += added;
    if (added != missing) break;
    if (next != nullptr && next->begin == one.end) {
      one.bytes->append(*next->bytes);
      one.end = next->end;
      ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(index) + 1);
    }
  }
  // A range that touches the next one without overlap is one range.
  if (index + 1 < ranges_.size() && ranges_[index + 1].begin == ranges_[index].end) {
    ranges_[index].bytes->append(*ranges_[index + 1].bytes);
    ranges_[index].end = ranges_[index + 1].end;
    ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(index) + 1);
  }
  if (ranges_[index].begin == ranges_[index].end) {
    ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(index));
    return false;
  }
  ranges_[index].used = ++clock_;
  return true;
}

std::uint8_t receive_queue::sack_blocks(std::span<wire::sack_block> into) const {
  std::size_t count = 0;
  if (duplicate_ && !into.empty()) into[count++] = *duplicate_;
  auto const first = count;
  std::array<std::uint32_t, wire::tcp_options::sack_blocks_max> used{};
  for (auto const& one : ranges_) {
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
  if (has_gaps()) std::vector<range>().swap(ranges_);
  waiting_ = 0;
}

}  // namespace morgana::net::tcp
