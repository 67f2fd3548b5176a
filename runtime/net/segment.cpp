#include "morgana/net/segment.hpp"

#include <algorithm>
#include <cstring>

namespace morgana::net {

void segment::drop_front_pieces(std::size_t bytes) {
  auto const of_header = std::min(bytes, header_size());
  header_begin_ = static_cast<std::uint8_t>(header_begin_ + of_header);
  bytes -= of_header;
  std::size_t emptied = 0;
  for (; emptied < slice_count_ && bytes != 0; ++emptied) {
    auto& front = slices_[emptied];
    auto const gone = std::min(bytes, front.size());
    front.drop_front(gone);
    slices_bytes_ -= static_cast<std::uint32_t>(gone);
    bytes -= gone;
    if (front.size() != 0) break;
  }
  if (emptied == 0) return;
  for (std::size_t i = 0; i < slice_count_; ++i) {
    slices_[i] = i + emptied < slice_count_ ? std::move(slices_[i + emptied]) : slice();
  }
  slice_count_ = static_cast<std::uint8_t>(slice_count_ - emptied);
}

void segment::drop_back(std::size_t bytes) {
  while (bytes != 0 && slice_count_ != 0) {
    auto& back = slices_[slice_count_ - 1u];
    auto const gone = std::min(bytes, back.size());
    back.drop_back(gone);
    slices_bytes_ -= static_cast<std::uint32_t>(gone);
    bytes -= gone;
    if (back.size() == 0) {
      back = slice();
      --slice_count_;
    }
  }
  if (bytes == 0) return;
  // What is left of it lies in the header, whose bytes move to the back of the headroom.
  auto const left = header_size() - std::min(bytes, header_size());
  std::memmove(headroom_.data() + segment_headroom_bytes - left, headroom_.data() + header_begin_, left);
  header_begin_ = static_cast<std::uint8_t>(segment_headroom_bytes - left);
}

bool segment::copy_out_pieces(std::size_t offset, std::span<std::byte> into) const {
  if (offset > size() || into.size() > size() - offset) return false;
  auto const copy_from = [&](std::span<std::byte const> bytes) {
    auto const skipped = std::min(offset, bytes.size());
    offset -= skipped;
    bytes = bytes.subspan(skipped);
    auto const taken = std::min(bytes.size(), into.size());
    if (taken != 0) std::memcpy(into.data(), bytes.data(), taken);
    into = into.subspan(taken);
  };
  copy_from(header());
  for (std::size_t i = 0; i < slice_count_ && !into.empty(); ++i) copy_from(slices_[i].bytes());
  return true;
}

}  // namespace morgana::net
