#include "direction.hpp"

#include <algorithm>

#include "morgana/sim/packet.hpp"

namespace morgana::sim {

namespace {

/// Floor of the square root.
std::uint64_t square_root(std::uint64_t value) {
  std::uint64_t root = 0;
  for (auto bit = std::uint64_t{1} << 31; bit != 0; bit >>= 1) {
    if ((root | bit) * (root | bit) <= value) root |= bit;
  }
  return root;
}

}  // namespace

bool mark_congestion(frame& sent) {
  auto const at = packet::parse(sent.bytes);
  if (!at) return false;
  std::span<std::byte> const bytes = sent.bytes;
  if (at->is_v6) {
    auto const field = get8(bytes, at->ip + 1);
    if ((field & 0x30) == 0) return false;
    put8(bytes, at->ip + 1, field | 0x30);
    return true;
  }
  auto const field = get8(bytes, at->ip + 1);
  if ((field & 3) == 0) return false;
  put8(bytes, at->ip + 1, field | 3);
  put16(bytes, at->ip + 10, 0);
  put16(bytes, at->ip + 10,
        static_cast<std::uint16_t>(~plain_sum(bytes.subspan(at->ip, (get8(bytes, at->ip) & 15u) * 4u))));
  return true;
}

void link_direction::set(link_settings const& to, instant now) {
  if (to.up_for != settings.up_for || to.down_for != settings.down_for) since_ = now;
  if (to.burst_begin_millionths == 0) in_burst_ = false;
  // A slower link does not owe what was already said to leave, a faster one does not hold it.
  settings = to;
}

bool link_direction::is_down(instant now) const {
  if (settings.down_for <= 0ns) return false;
  auto const period = settings.up_for + settings.down_for;
  return (now - since_) % period >= settings.up_for;
}

bool link_direction::lost() {
  if (settings.burst_begin_millionths != 0) {
    if (random_.chance(in_burst_ ? settings.burst_end_millionths : settings.burst_begin_millionths)) {
      in_burst_ = !in_burst_;
    }
    if (in_burst_) return random_.chance(settings.burst_loss_millionths);
  }
  return random_.chance(settings.loss_millionths);
}

void link_direction::corrupt(frame& sent) {
  auto const bits = sent.size() * 8;
  if (bits == 0) return;
  // The Internet checksum finds every run of fewer than 16 bits; more would be a fault that TCP may not see.
  auto const length = std::min<std::uint64_t>(random_.chance(500'000) ? 1 : random_.between(2, 15), bits);
  auto const first = random_.below(bits - length + 1);
  for (std::uint64_t i = 0; i < length; ++i) {
    bool const flips = i == 0 || i + 1 == length || random_.chance(500'000);
    if (flips) sent.bytes[(first + i) / 8] ^= static_cast<std::byte>(0x80u >> (first + i) % 8);
  }
}

bool link_direction::codel_drops(instant leaving, duration sojourn) {
  // RFC 8289, 5. `leaving` is when the frame would come to the queue's head.
  if (sojourn < settings.codel_target) {
    first_above_ = instant{};
    dropping_ = false;
    return false;
  }
  if (first_above_ == instant{}) {
    first_above_ = leaving + settings.codel_interval;
    return false;
  }
  if (leaving < first_above_) return false;
  auto const interval_after = [&](std::uint32_t count) {
    return duration(settings.codel_interval.count() * 1'000 /
                    static_cast<duration::rep>(square_root(std::uint64_t{count} * 1'000'000)));
  };
  if (!dropping_) {
    dropping_ = true;
    auto const recent = drop_count_ - last_count_;
    drop_count_ = recent > 1 && leaving - drop_next_ < 16 * settings.codel_interval ? recent : 1;
    last_count_ = drop_count_;
    drop_next_ = leaving + interval_after(drop_count_);
    return true;
  }
  if (leaving < drop_next_) return false;
  ++drop_count_;
  drop_next_ += interval_after(drop_count_);
  return true;
}

bool link_direction::enqueue(frame& sent, instant now, instant& left) {
  if (settings.bits_per_s == 0) {
    left = std::max(now, busy_until_);
    return true;
  }
  // A preamble, the checksum and the gap between frames take their time, too: 24 bytes (IEEE 802.3).
  auto const bits = (std::max<std::uint64_t>(sent.size(), 60) + 24) * 8;
  auto const takes = duration(
      static_cast<duration::rep>(static_cast<unsigned __int128>(bits) * 1'000'000'000 / settings.bits_per_s));
  auto const head = std::max(now, busy_until_);
  auto const waiting = static_cast<std::uint64_t>(static_cast<unsigned __int128>((head - now).count()) *
                                                  settings.bits_per_s / 8'000'000'000u);
  if (waiting != 0 && waiting + sent.size() > settings.queue_bytes) {
    ++counters.queue_full;
    return false;
  }
  if (settings.queue == queue_kind::ecn_mark && waiting > settings.ecn_threshold_bytes &&
      mark_congestion(sent)) {
    ++counters.marked;
  }
  if (settings.queue == queue_kind::codel && codel_drops(head, head - now)) {
    if (mark_congestion(sent)) {
      ++counters.marked;
    } else {
      ++counters.dropped_by_codel;
      return false;
    }
  }
  left = busy_until_ = head + takes;
  return true;
}

link_direction::verdict link_direction::pass(frame& sent, instant now) {
  verdict all;
  ++counters.sent;
  if (settings.is_cut || is_down(now)) {
    ++counters.cut;
    return all;
  }
  if (settings.mtu_bytes != 0 && sent.size() > settings.mtu_bytes + 14) {
    ++counters.too_large;
    return all;
  }
  if (lost()) {
    ++counters.lost;
    return all;
  }
  if (random_.chance(settings.corrupt_millionths) && !sent.is_corrupted) {
    sent.is_corrupted = true;
    ++counters.corrupted;
    corrupt(sent);
  }
  unsigned copies = 1;
  if (random_.chance(settings.duplicate_millionths)) {
    ++counters.duplicated;
    copies = 2;
  }
  for (unsigned i = 0; i < copies; ++i) {
    instant left;
    if (!enqueue(sent, now, left)) continue;
    counters.bytes += sent.size();
    auto arrival = left + settings.delay;
    if (settings.delay_extra > 0ns) arrival += random_.exponential(settings.delay_extra);
    if (random_.chance(settings.reorder_millionths) && settings.reorder_delay > 0ns) {
      ++counters.reordered;
      arrival += random_.between(1ns, settings.reorder_delay);
    } else {
      arrival = last_arrival_ = std::max(arrival, last_arrival_);
    }
    all.at[all.copies++] = arrival;
  }
  return all;
}

}  // namespace morgana::sim
