#include "net_transmit.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace morgana::xen {
namespace {

using namespace net_wire;

/// Copies a segment's bytes from the front on, a page at a time.
class reader {
 public:
  explicit reader(net::segment const& from) : from_(&from), piece_(from.header()) {}
  void copy(std::span<std::byte> into) {
    while (!into.empty()) {
      if (piece_.empty()) piece_ = from_->slices()[next_++].bytes();
      auto const size = std::min(piece_.size(), into.size());
      std::memcpy(into.data(), piece_.data(), size);
      piece_ = piece_.subspan(size);
      into = into.subspan(size);
    }
  }

 private:
  net::segment const* from_;
  std::span<std::byte const> piece_;
  std::size_t next_ = 0;
};

}  // namespace

void net_transmitter::restart(std::span<std::byte> ring) {
  take_back();
  ring_ = decltype(ring_)(ring);
  extras_out_ = 0;
}

bool net_transmitter::put_large(net::segment const& frame, std::size_t size) {
  auto const parts = (size + grant_page_bytes - 1) / grant_page_bytes;
  auto const is_super = frame.gso_kind != net::segmentation::none;
  auto const slots = parts + (is_super ? 1 : 0);
  // Pages come back before more are made.
  if (ring_.free() < slots || pages_->free() < parts) reap();
  if (!lie_.empty() || ring_.free() < slots) return false;
  page_pool::page* pages[frame_slots_max] = {};
  for (std::size_t i = 0; i < parts; ++i) {
    pages[i] = pages_->take();
    if (pages[i] == nullptr) {
      reap();
      pages[i] = pages_->take();
    }
    if (pages[i] != nullptr && lie_.empty()) continue;
    if (pages[i] != nullptr) ++i;
    while (i-- != 0) pages_->give(*pages[i]);
    return false;
  }
  reader from(frame);
  auto left = size;
  for (std::size_t i = 0; i < parts; ++i) {
    auto const piece = std::min(left, grant_page_bytes);
    from.copy(pages[i]->memory().first(piece));
    pages[i]->lend();
    auto const id = out(*pages[i]);
    left -= piece;
    // The first says how long the whole frame is.
    ring_.put(transmit_request{
        .page = pages[i]->reference(),
        .offset = 0,
        .flags = static_cast<std::uint16_t>((i == 0 ? flags_of(frame) : 0) | (i == 0 && is_super ? sends_extra : 0) |
                                            (left != 0 ? sends_more : 0)),
        .id = id,
        .size = static_cast<std::uint16_t>(i == 0 ? size : piece)});
    if (i != 0 || !is_super) continue;
    ring_.put(extra{.kind = extra::segmentation,
                    .flags = 0,
                    .segment_bytes = frame.gso_size,
                    .protocol = frame.gso_kind == net::segmentation::tcp_v6 ? extra::tcp_v6 : extra::tcp_v4,
                    .reserved = 0,
                    .features = 0});
    ++extras_out_;
  }
  return true;
}

bool net_transmitter::sleep() {
  reap();
  auto const out = ring_.slots() - ring_.free();
  return out == 0 || ring_.wake_at(std::max(out / 2, 1u));
}

void net_transmitter::reap() {
  transmit_response response{};
  std::uint32_t slot = 0;
  if (!lie_.empty()) return;
  while (ring_.take(response, slot)) {
    if (response.status == transmit_response::none) {
      // Of extra information; its id is none.
      if (extras_out_ == 0) {
        lie_ = "a response to extra information that was not sent";
        return;
      }
      --extras_out_;
      continue;
    }
    if (response.id >= ring_.slots() || out_[response.id] == nullptr) {
      lie_ = "a response to a request that is not out";
      return;
    }
    if (response.status != transmit_response::okay) ++failed_;
    pages_->give(*std::exchange(out_[response.id], nullptr));
  }
  if (ring_.is_broken()) lie_ = "an index that cannot be";
}

void net_transmitter::take_back() {
  for (auto& one : out_) {
    if (one != nullptr) pages_->give(*std::exchange(one, nullptr));
  }
}

}  // namespace morgana::xen
