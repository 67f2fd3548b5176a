// Sending to a network backend, without I/O (io/netif.h, "Guest transmit"). A frame is copied into pages that stay
// granted, read-only, for as long as the device is there: a grant is of a whole page, and what else lies in an
// application's is none of the backend's business. A super-packet of 64 KiB is 17 requests and one of extra
// information.
//
// Responses are looked at only when room is needed, and the backend is asked to notify only then.
//
// The backend is not trusted: a response to a request that is not out breaks the transmitter for good.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "front_ring.hpp"
#include "morgana/net/segment.hpp"
#include "net_wire.hpp"
#include "page_pool.hpp"

namespace morgana::xen {

class net_transmitter {
 public:
  static constexpr std::uint32_t slots_max = 256;

  /// `ring` is one zeroed page; of `pages` there are at most slots_max.
  net_transmitter(std::span<std::byte> ring, page_pool& pages) : pages_(&pages) { restart(ring); }
  ~net_transmitter() { take_back(); }

  /// False when there is no room for it yet. The frame is within net_wire::frame_bytes_max.
  [[nodiscard]] bool put(net::segment const& frame) {
    auto const size = frame.size();
    auto const is_small = size <= grant_page_bytes && frame.gso_kind == net::segmentation::none;
    return is_small ? put_small(frame, size) : put_large(frame, size);
  }
  /// Shows the backend what was put. True: notify it.
  [[nodiscard]] bool publish() { return ring_.publish(); }
  /// After put() had no room: has the backend notify when a part of what is out is done. True: some is done already.
  [[nodiscard]] bool sleep();
  /// True when there may be room that was not there at the last put().
  [[nodiscard]] bool has_response() { return ring_.has_response(); }

  [[nodiscard]] std::string_view lie() const { return lie_; }
  /// Frames' parts that the backend did not send.
  [[nodiscard]] std::uint64_t failed() const { return failed_; }

  /// Another backend, after the pool's renew(): an empty ring. What was out is lost.
  void restart(std::span<std::byte> ring);

  /// Takes back all pages, once the backend has closed.
  void take_back();

 private:
  [[nodiscard]] static std::uint16_t flags_of(net::segment const& frame) {
    constexpr std::uint16_t by_state[]{0, net_wire::sends_validated,
                                       net_wire::sends_blank_checksum | net_wire::sends_validated};
    static_assert(net::checksum_state::unchecked == net::checksum_state(0) &&
                  net::checksum_state::valid == net::checksum_state(1) &&
                  net::checksum_state::partial == net::checksum_state(2));
    return by_state[static_cast<std::size_t>(frame.checksum)];
  }
  /// A frame of one page, as nearly all are.
  [[nodiscard]] bool put_small(net::segment const& frame, std::size_t size) {
    // Pages come back before more are made.
    if (ring_.free() == 0 || pages_->free() == 0) [[unlikely]] {
      reap();
      if (ring_.free() == 0) return false;
    }
    if (!lie_.empty()) [[unlikely]] return false;
    auto* const page = pages_->take();
    if (page == nullptr) return false;
    auto* to = page->memory().data();
    frame.copy_header(to);
    to += frame.header_size();
    for (auto const& part : frame.slices()) {
      std::memcpy(to, part.bytes().data(), part.size());
      to += part.size();
    }
    page->lend();
    ring_.put(net_wire::transmit_request{.page = page->reference(),
                                         .offset = 0,
                                         .flags = flags_of(frame),
                                         .id = out(*page),
                                         .size = static_cast<std::uint16_t>(size)});
    return true;
  }
  [[nodiscard]] bool put_large(net::segment const& frame, std::size_t size);
  /// Gives its id.
  [[nodiscard]] std::uint16_t out(page_pool::page& page) {
    auto const id = page.number();
    out_[id] = &page;
    return id;
  }
  void reap();

  front_ring<net_wire::transmit_request, net_wire::transmit_response> ring_;
  page_pool* pages_;
  /// By the request's id, which is its page's number: responses come in any order, so ids are no slots.
  std::array<page_pool::page*, slots_max> out_{};
  std::uint32_t extras_out_ = 0;
  std::uint64_t failed_ = 0;
  std::string_view lie_;
};

}  // namespace morgana::xen
