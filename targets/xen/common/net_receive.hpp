// Receiving from a network backend, without I/O: pages are lent to it by requests, and responses say which of them
// hold a frame (io/netif.h, "Guest receive"). A frame lies in one page or in several, with extra information between;
// each response comes in the slot of the request it answers.
//
// A whole page that is mostly frame becomes part of the segment as it is; what would hold a page for little is
// copied, the smallest frames into the segment's own room, and the page is lent again at once.
//
// The backend is not trusted: ids that are not the slot's, lengths beyond a page, chains without end and pages it
// keeps mapped break the receiver for good, and lie() says how. Frames that it could not deliver are dropped.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "front_ring.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/segment.hpp"
#include "net_wire.hpp"
#include "page_pool.hpp"

namespace morgana::xen {

class net_receiver {
 public:
  static constexpr std::uint32_t slots_max = 256;
  /// Of a chain of responses: more than any frame needs.
  static constexpr unsigned chain_slots_max = 48;
  /// Lent at first: room for a whole super-packet, which a backend waits for. Twice as many each time that most of them
  /// were used at once.
  static constexpr std::uint32_t posted_at_first = 24;
  /// Parts of up to a quarter of a page are copied.
  static constexpr std::size_t copied_bytes_max = grant_page_bytes / 4;

  /// `ring` is one zeroed page. At most `posted_max` pages are lent at once; `small_limit` copies are kept.
  net_receiver(std::span<std::byte> ring, page_pool& pages, std::uint32_t posted_max, std::size_t small_limit);
  ~net_receiver();

  /// Whether so many pages are lent no more that it is time to lend again: what is left has room for a super-packet.
  [[nodiscard]] bool is_short() const { return (posted_goal_ - posted_ + ring_.unshown()) * shares > posted_goal_; }
  /// Lends pages, as many as may be. True: notify the backend.
  [[nodiscard]] bool refill();
  /// Puts the next frame into place. False: there is none, or the backend lied.
  [[nodiscard]] bool next(net::segment& into) {
    [[clang::uninitialized]] net_wire::receive_response response;
    [[clang::uninitialized]] std::uint32_t slot;
    if (!ring_.take(response, slot)) return ring_.is_broken() && lied("an index that cannot be");
    return take_smallest(response, slot, into) || take_next(response, slot, into);
  }
  /// Has the backend notify of the next response. True: there is one already.
  [[nodiscard]] bool sleep() { return ring_.wake_at(1); }
  /// There is something to look at: next() may have a frame, or find a lie.
  [[nodiscard]] bool has_response() { return ring_.has_response() || ring_.is_broken(); }

  /// What the backend did that it may not; empty while it behaves.
  [[nodiscard]] std::string_view lie() const { return lie_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::uint32_t posted() const { return posted_; }

  /// Another backend, after the pool's renew(): an empty ring; what is held of frames stays.
  void restart(std::span<std::byte> ring);

  /// Takes back what is lent, once the backend has closed. False while it has a page mapped.
  [[nodiscard]] bool take_back();

 private:
  /// The part of the pages that may be missing is one of so many.
  static constexpr std::uint32_t shares = 6;
  enum class expects : std::uint8_t { frame, extra, more, nothing };
  /// The way of nearly all frames: one part, that has place in the segment's own room. False: it is no such frame, and
  /// nothing was done.
  [[nodiscard, gnu::always_inline]] bool take_smallest(net_wire::receive_response const& from, std::uint32_t slot,
                                                       net::segment& into) {
    using net_wire::receive_response;
    constexpr auto number = [](receive_response const& of) { return std::bit_cast<std::uint64_t>(of); };
    // All but its length and whether its sum was looked at, at once.
    constexpr auto asked = number({.id = 0xffff,
                                   .offset = 0xffff,
                                   .flags = net_wire::came_extra | net_wire::came_more | net_wire::came_blank_checksum,
                                   .status = 0});
    auto const expected = number({.id = static_cast<std::uint16_t>(slot), .offset = 0, .flags = 0, .status = 0});
    constexpr std::uint32_t least = 32;   // copied by more than one move
    auto const size = static_cast<std::uint32_t>(from.status);
    if (expects_ != expects::frame || (number(from) & asked) != expected ||
        size - least > net::segment_headroom_bytes - least) {
      return false;
    }
    auto* const page = std::exchange(lent_[slot], nullptr);
    into.assign_copy({page->memory().data(), size});
    if ((from.flags & net_wire::came_validated) != 0) into.checksum = net::checksum_state::valid;
    // Nobody needs the page any more: it is lent again where the next request goes, and shown with others.
    lend(*page);
    return true;
  }
  void lend(page_pool::page& page) {
    auto const slot = ring_.next_slot();
    lent_[slot] = &page;
    ring_.put(net_wire::receive_request{.id = static_cast<std::uint16_t>(slot), .reserved = 0, .page = page.reference()});
  }
  /// From that response on.
  [[nodiscard]] bool take_next(net_wire::receive_response response, std::uint32_t slot, net::segment& into);
  /// A frame of one small part, as nearly all are, that is the whole of what `from` says. False: it is no such frame, or
  /// there is no room for a copy, and nothing was done.
  [[nodiscard]] bool take_small(net_wire::receive_response const& from, std::uint32_t slot, page_pool::page& page,
                                net::segment& into);
  void take_extra(net_wire::receive_response const& from);
  /// False when the backend lied.
  [[nodiscard]] bool take_part(net_wire::receive_response const& from, page_pool::page& page, net::segment& into);
  [[nodiscard]] bool finish(net::segment& into);
  [[nodiscard]] bool lied(std::string_view how);

  front_ring<net_wire::receive_request, net_wire::receive_response> ring_;
  page_pool* pages_;
  net::buffer_pool small_;
  std::array<page_pool::page*, slots_max> lent_{};
  std::uint32_t posted_max_;
  std::uint32_t posted_goal_;
  std::uint32_t posted_ = 0;
  expects expects_ = expects::frame;
  std::uint16_t flags_ = 0;  ///< of the frame's first part
  unsigned chain_ = 0;
  bool drops_ = false;
  net::segment frame_;  ///< what has come of a frame whose rest has not
  std::uint64_t dropped_ = 0;
  std::string_view lie_;
};

/// Finds where the transport's checksum of an Ethernet frame lies, for one whose field is blank. False for what is
/// neither TCP nor UDP right after IP's header.
[[nodiscard]] bool locate_checksum(net::segment& frame);

}  // namespace morgana::xen
