#include "net_receive.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace morgana::xen {
namespace {

using namespace net_wire;
constexpr std::size_t ethernet_bytes = 14;

/// Of a frame that is whole, whose first part came with these flags.
[[gnu::always_inline]] inline void set_checksum(net::segment& frame, unsigned flags) {
  if ((flags & came_blank_checksum) != 0) {
    frame.checksum = locate_checksum(frame) ? net::checksum_state::partial : net::checksum_state::valid;
  } else if ((flags & came_validated) != 0) {
    frame.checksum = net::checksum_state::valid;
  }
}

}  // namespace

net_receiver::net_receiver(std::span<std::byte> ring, page_pool& pages, std::uint32_t posted_max,
                           std::size_t small_limit)
    : ring_(ring),
      pages_(&pages),
      small_(copied_bytes_max, small_limit * copied_bytes_max),
      posted_max_(std::min(posted_max, slots_max)),
      posted_goal_(std::min(posted_max_, posted_at_first / 2)) {}

net_receiver::~net_receiver() {
  (void)take_back();
}

bool net_receiver::refill() {
  // So does the first call.
  if (posted_ - ring_.unshown() <= posted_goal_ / 2) posted_goal_ = std::min(posted_max_, posted_goal_ * 2);
  while (posted_ < posted_goal_ && ring_.free() != 0 && lie_.empty()) {
    auto* const page = pages_->take();
    if (page == nullptr) break;
    page->lend();
    lend(*page);
    ++posted_;
  }
  return ring_.publish();
}

[[gnu::always_inline]] inline bool net_receiver::take_small(receive_response const& from, std::uint32_t slot,
                                                            page_pool::page& page, net::segment& into) {
  auto const is_whole = expects_ == expects::frame && (from.flags & (came_extra | came_more)) == 0;
  if (!is_whole || from.id != slot || from.status < static_cast<int>(ethernet_bytes)) return false;
  auto const size = static_cast<std::size_t>(from.status);
  if (size > copied_bytes_max || from.offset + size > grant_page_bytes) return false;
  std::span<std::byte const> const bytes(page.memory().data() + from.offset, size);
  if (size <= net::segment_headroom_bytes) [[likely]] {
    into.assign_copy(bytes);
  } else {
    auto* const copy = small_.take();
    if (copy == nullptr) return false;
    std::memcpy(copy->memory().data(), bytes.data(), size);
    into.assign(net::slice(*copy, 0, size));
  }
  pages_->give(page);
  set_checksum(into, from.flags);
  return true;
}

bool net_receiver::take_next(receive_response response, std::uint32_t slot, net::segment& into) {
  if (expects_ == expects::nothing) return false;
  do {
    auto* const page = std::exchange(lent_[slot], nullptr);
    --posted_;
    if (take_small(response, slot, *page, into)) [[likely]] return true;
    if (++chain_ > chain_slots_max) {
      pages_->give(*page);
      return lied("a chain of responses without end");
    }
    if (expects_ == expects::extra) {
      take_extra(response);
      pages_->give(*page);
      if (!lie_.empty()) return false;
    } else {
      if (response.id != slot) {
        pages_->give(*page);
        return lied("an id that is not the slot's");
      }
      if (!take_part(response, *page, frame_)) return false;
    }
    if (expects_ == expects::frame && finish(into)) return true;
  } while (ring_.take(response, slot));
  return ring_.is_broken() && lied("an index that cannot be");
}

void net_receiver::take_extra(receive_response const& from) {
  extra about{};
  std::memcpy(&about, &from, sizeof about);
  if (about.kind == 0 || about.kind > extra::last_kind) {
    (void)lied("extra information of a kind that is none");
    return;
  }
  if (about.kind == extra::segmentation) {
    frame_.gso_size = about.segment_bytes;
    frame_.gso_kind = about.protocol == extra::tcp_v4   ? net::segmentation::tcp_v4
                      : about.protocol == extra::tcp_v6 ? net::segmentation::tcp_v6
                                                        : net::segmentation::none;
    // A super-packet that cannot be cut, or of what we know nothing.
    if (about.segment_bytes == 0 || frame_.gso_kind == net::segmentation::none) drops_ = true;
  }
  if ((about.flags & extra::more) == 0) expects_ = (flags_ & came_more) != 0 ? expects::more : expects::frame;
}

bool net_receiver::take_part(receive_response const& from, page_pool::page& page, net::segment& into) {
  auto const is_first = expects_ == expects::frame;
  if (is_first) flags_ = from.flags;
  auto const size = static_cast<std::size_t>(from.status < 0 ? 0 : from.status);
  if (std::size_t{from.offset} + size > grant_page_bytes) {
    pages_->give(page);
    return lied("a length beyond its page");
  }
  if (from.status <= 0) drops_ = true;
  if (drops_) {
    pages_->give(page);
  } else if (size <= copied_bytes_max) {
    auto copy = small_.take_slice(size);
    if (auto const memory = copy.writable(); memory.size() == size) {
      std::memcpy(memory.data(), page.memory().data() + from.offset, size);
    }
    drops_ = copy.size() != size || !into.append(std::move(copy));
    pages_->give(page);
  } else {
    // From here on the backend changes it no more.
    if (!page.reclaim()) {
      pages_->give(page);
      return lied("a page that it answered and keeps mapped");
    }
    drops_ = !into.append(net::slice(page, from.offset, size));
  }
  if (is_first && (from.flags & came_extra) != 0) {
    expects_ = expects::extra;
  } else {
    expects_ = (from.flags & came_more) != 0 ? expects::more : expects::frame;
  }
  return true;
}

bool net_receiver::finish(net::segment& into) {
  chain_ = 0;
  if (std::exchange(drops_, false) || frame_.size() < ethernet_bytes) {
    frame_.clear();
    ++dropped_;
    return false;
  }
  set_checksum(frame_, flags_);
  into = std::move(frame_);
  return true;
}

bool net_receiver::lied(std::string_view how) {
  if (lie_.empty()) lie_ = how;
  expects_ = expects::nothing;
  frame_.clear();
  return false;
}

void net_receiver::restart(std::span<std::byte> ring) {
  (void)take_back();
  ring_ = decltype(ring_)(ring);
  posted_goal_ = std::min(posted_max_, posted_at_first / 2);
  expects_ = lie_.empty() ? expects::frame : expects::nothing;
  chain_ = 0;
  drops_ = false;
}

bool net_receiver::take_back() {
  for (auto& one : lent_) {
    if (one == nullptr) continue;
    if (!one->reclaim()) return false;
    pages_->give(*std::exchange(one, nullptr));
    --posted_;
  }
  frame_.clear();
  return true;
}

bool locate_checksum(net::segment& frame) {
  auto const bytes = frame.front_piece();
  auto const at = [&](std::size_t i) { return static_cast<unsigned>(bytes[i]); };
  auto const word = [&](std::size_t i) { return at(i) << 8 | at(i + 1); };
  std::size_t ip = ethernet_bytes;
  if (bytes.size() < ip + 4) return false;
  auto kind = word(12);
  if (kind == 0x8100) kind = word(16), ip += 4;
  unsigned protocol = 0;
  std::size_t transport = 0;
  if (kind == 0x0800 && bytes.size() >= ip + 20) {
    protocol = at(ip + 9);
    transport = ip + (at(ip) & 15) * 4;
  } else if (kind == 0x86dd && bytes.size() >= ip + 40) {
    protocol = at(ip + 6);
    transport = ip + 40;
  }
  std::size_t const field = protocol == 6 ? 16 : 6;
  if ((protocol != 6 && protocol != 17) || transport + field + 2 > frame.size()) return false;
  frame.checksum_start = static_cast<std::uint16_t>(transport);
  frame.checksum_offset = static_cast<std::uint16_t>(field);
  return true;
}

}  // namespace morgana::xen
