// The output pass of one that has much to say: whole segments behind a predicted one (predicted_output.cpp) have its header
// but for their number and their sum, that of IP and of the link included, for they go the same way and are as long. How
// many of them may go is asked once. They are what transmit() would make one by one, and it makes them where this is
// compiled for size: in guests, whose devices cut large segments themselves.
#include <algorithm>

#include "machine.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "output.hpp"

namespace morgana::net::tcp {

using wire::sequence;

namespace {

constexpr std::size_t predicted_bytes = 32;           // as in predicted_output.cpp
constexpr std::uint32_t plain_flags = 0x8010;         // eight words of header; ACK alone
#ifdef __OPTIMIZE_SIZE__
constexpr bool is_for_size = true;
#else
constexpr bool is_for_size = false;
#endif
constexpr std::size_t sequence_at = 4, checksum_at = 16;

std::uint64_t raw32(std::span<std::byte const> bytes, std::size_t at) {
  std::uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

std::uint64_t slices_sum(segment const& packet) {
  wire::checksum sum;
  for (auto const& part : packet.slices()) sum.add(part.bytes());
  return wire::network_order(sum.partial());
}

}  // namespace

/// What may go behind `first` before something else has to be asked: the end of a write, a window, others' turn.
std::uint32_t machine::following_bytes(tcb const& c, segment const& first) const {
  auto const whole = c.segment_bytes();
  auto const from = c.send_next;
  auto const header = std::span(first.header()).last(predicted_bytes);
  bool const is_plain = first.slices_bytes() == whole && first.gso_size == 0 &&
                        wire::load16(header, 12) == plain_flags && wire::load16(header, 14) != 0 &&
                        sequence{wire::load32(header, sequence_at)} + whole == from;
  if (!is_plain || (c.calm & calm::speaks) == 0 || c.super_segments || arrived.is_crowded()) return 0;
  // One byte stays: the last segment may end a write, and be smaller.
  auto most = (c.send_una + c.send_window) - from;
  most = std::min(most, c.busy->send.end() - from - 1);
  if (from < c.push_point) most = std::min(most, c.push_point - from - 1);
  most = std::min(most, static_cast<std::int32_t>(c.send_window_largest / 2 + whole) - (from - c.pushed_to));
  most = std::min(most, static_cast<std::int32_t>(c.control.window - c.outstanding()));
  return static_cast<std::uint32_t>(std::max(most, 0));
}

std::size_t machine::transmit_run(tcb& c, segment const& first, std::span<segment> into, instant now) {
  if (is_for_size || into.empty() || first.header_size() < predicted_bytes) return 0;
  auto const whole = c.segment_bytes();
  auto const most = std::min<std::size_t>({into.size(), segments_per_turn - 1 - turn, following_bytes(c, first) / whole});
  auto const header = first.header();
  auto const tcp = header.last(predicted_bytes);
  auto const fixed = c.addresses_sum + wire::network_order(static_cast<std::uint16_t>(predicted_bytes + whole)) +
                     wire::sum_words<predicted_bytes>(tcp.data()) - raw32(tcp, sequence_at) - raw32(tcp, checksum_at);
  auto& queue = c.busy->send;
  std::size_t count = 0;
  for (; count < most; ++count) {
    auto& packet = into[count];
    auto const from = c.send_next;
    packet.clear();
    if (queue.collect(from, whole, packet) != whole || packet.header_size() != 0) [[unlikely]] {
      packet.clear();
      break;
    }
    auto const bytes = packet.push_header(header.size());
    std::memcpy(bytes.data(), header.data(), header.size());
    auto const own = bytes.last(predicted_bytes);
    wire::store32(own, sequence_at, from.value);
    packet.checksum = first.checksum;
    packet.checksum_start = first.checksum_start;
    packet.checksum_offset = first.checksum_offset;
    if (first.checksum != checksum_state::partial) {
      auto const known = queue.foreseen(from, whole);
      auto const all = fixed + raw32(own, sequence_at) + (known ? *known : slices_sum(packet));
      auto const finished = static_cast<std::uint16_t>(~wire::fold_checksum(all));
      std::memcpy(own.data() + checksum_at, &finished, sizeof finished);
    }
    c.send_next = from + whole;
    c.busy->flight.add(from, c.send_next, now, false);
  }
  if (count == 0) return 0;
  if (c.timer == timer_kind::loss_probe) c.probe_moves = true;
  auto const made = static_cast<std::uint32_t>(count);
  turn += made;
  c.bytes_sent += made * whole;
  c.segments_sent += made;
  counters.segments_out += made;
  counters.predicted_out += made;
  return count;
}

}  // namespace morgana::net::tcp
