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
#include <string_view>

#include "front_ring.hpp"
#include "morgana/net/segment.hpp"
#include "net_wire.hpp"
#include "page_pool.hpp"

namespace morgana::xen {

class net_transmitter {
 public:
  static constexpr std::uint32_t slots_max = 256;

  /// `ring` is one zeroed page.
  net_transmitter(std::span<std::byte> ring, page_pool& pages) : pages_(&pages) { restart(ring); }
  ~net_transmitter() { take_back(); }

  /// False when there is no room for it yet. The frame is within net_wire::frame_bytes_max.
  [[nodiscard]] bool put(net::segment const& frame);
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
  [[nodiscard]] bool put_small(net::segment const& frame, std::size_t size);
  [[nodiscard]] std::uint16_t take_id(page_pool::page& page);
  void reap();

  front_ring<net_wire::transmit_request, net_wire::transmit_response> ring_;
  page_pool* pages_;
  std::array<page_pool::page*, slots_max> out_{};  ///< by the request's id
  std::array<std::uint16_t, slots_max> free_ids_;  ///< given back: responses come in any order, so ids are no slots
  std::uint32_t free_id_count_ = 0;
  std::uint16_t fresh_id_ = 0;  ///< from here on none was ever used
  std::uint32_t extras_out_ = 0;
  std::uint64_t failed_ = 0;
  std::string_view lie_;
};

}  // namespace morgana::xen
