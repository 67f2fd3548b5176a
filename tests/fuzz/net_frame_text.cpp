// Fuzzes what the trace says of frames: any bytes, one frame after the other (a length byte before each,
// times four), give one printable line each; and the block of a capture says its length where it must.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/frame_text.hpp"
#include "morgana/net/pcapng.hpp"

using namespace morgana;
using namespace morgana::net;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  buffer_pool pool(2048, 1u << 16);
  frame_text text;
  auto left = std::as_bytes(std::span(data, size));
  while (!left.empty()) {
    auto const length = std::min<std::size_t>(static_cast<std::size_t>(left[0]) * 4, left.size() - 1);
    auto const bytes = left.subspan(1, length);
    left = left.subspan(1 + length);
    segment frame;
    auto part = pool.take_slice(bytes.size());
    if (part.size() != bytes.size()) std::abort();
    std::ranges::copy(bytes, part.writable().begin());
    if (!frame.append(std::move(part))) std::abort();
    frame.gso_kind = size % 3 == 0 ? segmentation::tcp_v4 : segmentation::none;
    frame.checksum = size % 2 == 0 ? checksum_state::partial : checksum_state::unchecked;

    fixed_text<512> line;
    text.write(line, frame);
    if (line.view().empty() || line.was_cut()) std::abort();
    if (!std::ranges::all_of(line.view(), [](char c) { return c >= ' ' && c <= '~'; })) std::abort();

    auto const kept = std::min<std::size_t>(frame.size(), 100);
    pcapng_packet const block(frame, kept, capture_direction::inbound, duration(1));
    if (block.before().size() + kept + block.behind().size() != block.size() || block.size() % 4 != 0)
      std::abort();
  }
  return 0;
}
