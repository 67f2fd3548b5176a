// Fuzzes the two sets of ranges of a connection against bitmaps: what arrived beyond gaps (receive_queue), and
// what a peer acknowledged and what counts as lost (sent_list).
#include <array>
#include <bitset>
#include <memory>
#include <vector>

#include "input.hpp"
#include "runtime/net/tcp/receive_queue.hpp"
#include "runtime/net/tcp/sent_list.hpp"

using namespace morgana;
using namespace morgana::net;
using fuzz::require;
using wire::sequence;

namespace {

constexpr std::uint32_t space = 4'096;
using bitmap = std::bitset<space>;

std::byte content(std::uint32_t offset) { return static_cast<std::byte>(offset * 5 + (offset >> 8)); }

void receive(fuzz::input& in) {
  buffer_pool pool(256, 1u << 20);
  tcp::chunk_source source{pool};
  {
    tcp::receive_queue queue(source);
    sequence const start{in.take32()};
    queue.start_at(start);
    bitmap arrived;
    std::uint32_t next = 0;
    std::uint32_t read = 0;
    for (int steps = 0; !in.empty() && steps < 300; ++steps) {
      auto const offset = std::uint32_t{in.take16()} % space;
      auto const size = std::min<std::uint32_t>(1u + in.take() % 200u, space - offset);
      segment packet;
      for (std::uint32_t at = 0; at < size;) {
        auto const part = std::min<std::uint32_t>(size - at, 1u + in.take());
        auto memory = pool.take_slice(part);
        if (memory.size() == 0) return;
        for (std::uint32_t i = 0; i < part; ++i) memory.writable()[i] = content(offset + at + i);
        if (!packet.append(std::move(memory))) break;
        at += part;
      }
      auto const held = static_cast<std::uint32_t>(packet.size());
      auto const outcome = queue.insert(start + offset, packet, space);
      for (std::uint32_t i = offset; i < offset + held; ++i) arrived.set(i);
      auto const before = next;
      while (next < space && arrived.test(next)) ++next;
      require(queue.next() == start + next);
      require((outcome == tcp::receive_queue::outcome::duplicate) == (offset + held <= before));
      bitmap beyond = arrived;
      for (std::uint32_t i = 0; i < next; ++i) beyond.reset(i);
      require(queue.out_of_order_bytes() == beyond.count() && queue.has_gaps() == beyond.any());
      std::array<wire::sack_block, 4> blocks;
      auto const count = queue.sack_blocks(blocks);
      for (std::size_t i = 0; i < count; ++i) {
        auto const left = static_cast<std::uint32_t>(blocks[i].left - start);
        auto const right = static_cast<std::uint32_t>(blocks[i].right - start);
        require(left < right && right <= space);
        for (auto at = left; at < right; ++at) require(arrived.test(at));
        // The first may report a duplicate, below or within a range (RFC 2883); the others are whole ranges.
        bool const is_whole = left > next && beyond.test(left) && !beyond.test(left - 1) &&
                              (right == space || !beyond.test(right));
        require(is_whole || i == 0);
      }
      queue.reported();
      if (in.take() % 3 == 0) {
        std::array<std::byte, 64> into;
        auto const got = queue.ready().take_out(into);
        for (std::size_t i = 0; i < got; ++i) require(into[i] == content(read + static_cast<std::uint32_t>(i)));
        read += static_cast<std::uint32_t>(got);
      }
    }
    require(queue.ready().size() == next - read);
  }
  require(pool.used_buffers() == 0);
}

void send(fuzz::input& in) {
  tcp::slab<tcp::sent> records{16};
  {
    tcp::sent_list list(records);
    sequence const start{in.take32()};
    bitmap sacked, lost;
    std::uint32_t una = 0;
    std::uint32_t next = 0;
    instant now{};
    for (int steps = 0; !in.empty() && steps < 300; ++steps) {
      now += 1ms;
      tcp::acknowledged got;
      switch (in.take() % 6) {
        case 0: {
          auto const size = std::min<std::uint32_t>(1u + in.take(), space - next);
          if (size == 0) break;
          list.add(start + next, start + next + size, now);
          next += size;
          break;
        }
        case 1: {
          if (una == next) break;
          auto const to = una + 1 + in.take16() % (next - una);
          list.acknowledge_to(start + to, got);
          una = to;
          for (std::uint32_t i = 0; i < una; ++i) sacked.reset(i), lost.reset(i);
          break;
        }
        case 2: {
          if (una == next) break;
          auto const left = una + in.take16() % (next - una);
          auto const right = left + 1 + in.take() % (next - left);
          auto const before = sacked.count();
          // Segments of one byte: every byte of a block counts, so that the model may, too.
          list.sack(start + left, start + right, 1, space, got);
          for (auto i = left; i < right; ++i) sacked.set(i), lost.reset(i);
          require(got.sacked_bytes == sacked.count() - before);
          break;
        }
        case 3:
          if (auto* const one = list.oldest()) {
            for (auto at = static_cast<std::uint32_t>(one->begin - start); at < static_cast<std::uint32_t>(one->end - start); ++at) lost.set(at);
            list.mark_lost(*one);
          }
          break;
        case 4:
          if (auto* const one = list.next_lost()) {
            for (auto at = static_cast<std::uint32_t>(one->begin - start); at < static_cast<std::uint32_t>(one->end - start); ++at) {
              require(lost.test(at));
              lost.reset(at);
            }
            list.retransmitted(*one, now);
          }
          break;
        default: {
          bool const forget = in.take() % 2 == 0;
          list.mark_all_lost(forget);
          if (forget) sacked.reset();
          for (auto i = una; i < next; ++i) {
            if (!sacked.test(i)) lost.set(i);
          }
        }
      }
      require(list.sacked_bytes() == sacked.count() && list.lost_bytes() == lost.count());
      // The records tile what is out, and each is of one kind.
      auto at = una;
      std::uint32_t kinds = 0;
      for (auto* one = list.front(); one != nullptr; one = list.next(*one)) {
        require(one->begin == start + at && one->size() != 0);
        for (auto const end = at + one->size(); at < end; ++at) {
          require(sacked.test(at) == one->is_sacked && lost.test(at) == one->is_lost);
        }
        kinds += one->is_sacked ? 1 : 0;
      }
      require(at == next && kinds == list.sacked_records() && (list.front() == nullptr) == (una == next));
      auto* const lowest = list.next_lost();
      require((lowest != nullptr) == lost.any());
      if (lowest != nullptr) {
        std::uint32_t first = una;
        while (!lost.test(first)) ++first;
        require(lowest->begin == start + first);
      }
    }
  }
  require(records.used() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* bytes, std::size_t size) {
  fuzz::input in{{bytes, size}};
  in.take() % 2 == 0 ? receive(in) : send(in);
  return 0;
}
