// A ring of requests and responses in a page that is shared with a backend (io/ring.h), seen from the frontend:
// requests go out, responses come back, each in a slot of the same size, counted by indices that only grow.
//
// The backend is not trusted. Its index is read once for each look and checked: an index that cannot be breaks the
// ring for good. A response is copied out before anybody looks at it, so that it cannot change meanwhile. What a
// response says (which request it answers, how long something is) is for the driver to check.
//
// Notifications are held off both ways: publish() says whether the backend wants to be woken, and the backend wakes
// us only when its index passes the one that wake_at() wrote.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "interface.hpp"

namespace morgana::xen {

/// The ring page's head (io/ring.h): each index counts since the ring was made.
struct ring_head {
  std::uint32_t requests_put, request_event, responses_put, response_event;
  std::uint8_t reserved[48];
};
static_assert(sizeof(ring_head) == 64);

template <class Request, class Response>
class front_ring {
 public:
  static constexpr std::size_t slot_bytes = sizeof(Request) > sizeof(Response) ? sizeof(Request) : sizeof(Response);
  static_assert(std::is_trivially_copyable_v<Request> && std::is_trivially_copyable_v<Response>);
  /// The slots that `pages` whole pages have room for: the largest power of two.
  static constexpr std::uint32_t slots_of(std::size_t pages) {
    return std::bit_floor(static_cast<std::uint32_t>((pages * grant_page_bytes - sizeof(ring_head)) / slot_bytes));
  }

  front_ring() = default;
  /// `memory` is whole pages, at the start of one; it is made an empty ring.
  explicit front_ring(std::span<std::byte> memory)
      : head_(reinterpret_cast<ring_head*>(memory.data())),
        slots_(memory.data() + sizeof(ring_head)),
        mask_(slots_of(memory.size() / grant_page_bytes) - 1) {
    // What is in the slots is looked at only where a response was put.
    std::memset(head_, 0, sizeof *head_);
    head_->request_event = head_->response_event = 1;
  }

  [[nodiscard]] std::uint32_t slots() const { return mask_ + 1; }
  /// Requests that still fit: as many as slots that no request waits in for its response.
  [[nodiscard]] std::uint32_t free() const { return slots() - (put_ - taken_); }
  /// The backend's index was impossible.
  [[nodiscard]] bool is_broken() const { return is_broken_; }

  /// Requests that were put and not shown yet.
  [[nodiscard]] std::uint32_t unshown() const { return put_ - shown_; }
  /// Where the next put() goes.
  [[nodiscard]] std::uint32_t next_slot() const { return put_ & mask_; }

  /// Puts what is as large as a request or smaller into the next slot; there must be one free(). Gives the slot.
  template <class Item>
  std::uint32_t put(Item const& what) {
    static_assert(sizeof(Item) <= slot_bytes && std::is_trivially_copyable_v<Item>);
    auto const slot = put_++ & mask_;
    std::memcpy(slots_ + slot * slot_bytes, &what, sizeof what);
    return slot;
  }

  /// Shows the backend what was put. True: it wants to be notified.
  [[nodiscard]] bool publish() {
    std::atomic_ref shown(head_->requests_put);
    auto const before = shown_;
    shown.store(put_, std::memory_order_release);
    shown_ = put_;
    // The backend sees the requests before we see whether it sleeps.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    auto const wanted = std::atomic_ref(head_->request_event).load(std::memory_order_relaxed);
    return put_ - wanted < put_ - before;
  }

  /// Copies the next response and gives the slot it came in; false when there is none.
  [[nodiscard]] bool take(Response& into, std::uint32_t& slot) {
    if (taken_ == seen_ && !look()) return false;
    slot = taken_++ & mask_;
    std::memcpy(&into, slots_ + slot * slot_bytes, sizeof into);
    // The copy is what is looked at: the compiler must not read the slot again.
    std::atomic_signal_fence(std::memory_order_acq_rel);
    return true;
  }
  [[nodiscard]] bool has_response() { return taken_ != seen_ || look(); }

  /// Has the backend notify when `ahead` more responses are there than were taken. True: they are there already, and
  /// no notification comes for them.
  [[nodiscard]] bool wake_at(std::uint32_t ahead) {
    std::atomic_ref(head_->response_event).store(taken_ + ahead, std::memory_order_relaxed);
    // It sees this before we see whether it has put something meanwhile.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    static_cast<void>(look());
    return seen_ - taken_ >= ahead;
  }

 private:
  /// Whether there is something to take; the backend's index is believed as far as requests are out.
  [[nodiscard]] bool look() {
    auto const theirs = std::atomic_ref(head_->responses_put).load(std::memory_order_acquire);
    // Nothing new, as mostly when somebody looks.
    if (theirs == seen_) [[likely]] return !is_broken_ && seen_ != taken_;
    if (is_broken_) return false;
    if (theirs - taken_ > shown_ - taken_ || theirs - taken_ < seen_ - taken_) {
      is_broken_ = true;
      return false;
    }
    seen_ = theirs;
    return seen_ != taken_;
  }

  ring_head* head_ = nullptr;
  std::byte* slots_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t put_ = 0;    ///< requests
  std::uint32_t shown_ = 0;  ///< of them those that the backend may see
  std::uint32_t taken_ = 0;  ///< responses
  std::uint32_t seen_ = 0;   ///< responses that are there
  bool is_broken_ = false;
};

}  // namespace morgana::xen
