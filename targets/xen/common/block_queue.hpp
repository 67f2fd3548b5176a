// The requests to a block backend, without I/O (io/blkif.h): what is out, the pages it uses, and who is told
// of its end.
//
// Data are copied into and out of pages that stay granted for as long as the device is there: a grant is of a
// whole page, and what else lies in an application's is none of the backend's business. A backend with
// persistent grants maps each of them once. A request has up to 11 pages, or with indirect segments
// `pages_max`, which then stand in one page more.
//
// The backend is not trusted: a response to a request that is not out breaks the queue for good. What it does
// to the pages is its matter, they hold the disk's data; those of a request belong to it until its response,
// even when nobody waits any more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "block_wire.hpp"
#include "driver_host.hpp"
#include "front_ring.hpp"

namespace morgana::xen {

/// Pages of data, each with a grant.
class block_pages {
 public:
  block_pages() = default;
  block_pages(block_pages const&) = delete;
  block_pages& operator=(block_pages const&) = delete;
  /// Pages that the backend still has mapped are never used again.
  ~block_pages() { (void)end(); }
  /// Errors: core_error::out_of_memory, driver_error::no_grant.
  [[nodiscard]] result<void> make(driver_host& on, domain with, std::size_t count);

  [[nodiscard]] std::size_t free() const { return free_.size(); }
  [[nodiscard]] std::uint16_t take();
  void give(std::uint16_t page) { free_.push_back(page); }
  [[nodiscard]] grant_reference reference(std::uint16_t page) const { return grants_[page].reference(); }
  [[nodiscard]] std::span<std::byte> memory(std::uint16_t page) const {
    return memory_.subspan(page * grant_page_bytes, grant_page_bytes);
  }
  /// After grant_table::restart(): the same pages and references for a backend.
  void renew(driver_host& on, domain with);
  /// Ends all grants. False while the backend has one mapped; then it may be tried again.
  [[nodiscard]] bool end();

 private:
  std::span<std::byte> memory_;
  std::vector<grant> grants_;
  std::vector<std::uint16_t> free_;
};

class block_queue {
 public:
  using ring = front_ring<block_wire::request, block_wire::response>;
  static constexpr std::size_t pages_max = 64;
  static constexpr std::uint32_t requests_max = ring::slots_of(1);

  /// Whoever wants to know how a request ended.
  class owner {
   public:
    /// block_wire::response's status. The request and its pages are the owner's until release().
    virtual void ended(std::int16_t status) = 0;

   protected:
    ~owner() = default;
  };

  /// `ring_page` is one page.
  block_queue(std::span<std::byte> ring_page, block_pages& pages) : ring_(ring_page), pages_(&pages) {}
  block_queue(block_queue const&) = delete;
  block_queue& operator=(block_queue const&) = delete;

  /// From here on requests have up to so many pages, as the backend says; 0: it knows no indirect segments.
  void allow_indirect(std::uint32_t pages);

  /// Bytes of at most `wanted` that a read or write may have now; 0: there is no room before another has
  /// ended. Whole pages, unless it is all of `wanted`.
  [[nodiscard]] std::size_t room(std::size_t wanted) const;
  [[nodiscard]] bool has_slot() const { return !broken() && !is_paused_ && ring_.free() != 0 && used_ != requests_max; }

  /// Puts a request; what it needs must be there. `sector` and sizes are multiples of 512 bytes. Gives its
  /// number.
  std::uint32_t read(owner& who, std::uint64_t sector, std::size_t bytes);
  std::uint32_t write(owner& who, std::uint64_t sector, std::span<std::byte const> from);
  /// flush or barrier: nothing but an order.
  std::uint32_t order(owner& who, block_wire::operation what);
  std::uint32_t discard(owner& who, std::uint64_t sector, std::uint64_t sectors);

  /// Shows the backend what was put. True: notify it.
  [[nodiscard]] bool publish() { return ring_.publish(); }
  /// Tells the owners of what has ended.
  void poll();
  /// What a read has brought. After its end.
  void copy_out(std::uint32_t number, std::span<std::byte> into) const;
  /// The owner is done with it, or goes: then the pages are free when it has ended.
  void release(std::uint32_t number);
  /// While it is paused it has no room and no slot.
  void pause(bool is_paused) { is_paused_ = is_paused; }
  /// Another backend, after the pages' renew(): an empty ring. Nothing is out.
  void restart(std::span<std::byte> ring_page) { ring_ = ring(ring_page); }
  /// Tells the owners of all that is out; none of it ends any more.
  void abandon();

  [[nodiscard]] std::uint32_t out() const { return out_; }
  [[nodiscard]] bool broken() const { return !lie_.empty(); }
  /// What the backend did; empty when it keeps to the protocol.
  [[nodiscard]] std::string_view lie() const { return lie_; }

 private:
  struct entry {
    owner* who = nullptr;
    bool is_used = false;
    bool is_out = false;
    std::uint8_t page_count = 0;  ///< of data; one of segments may follow
    bool is_indirect = false;
    std::array<std::uint16_t, pages_max + 1> pages{};
  };
  std::uint32_t take_entry(owner& who);
  void free_entry(entry& one);
  std::uint32_t put(owner& who, block_wire::operation what, std::uint64_t sector, std::size_t bytes,
                    std::span<std::byte const> from);

  ring ring_;
  block_pages* pages_;
  std::uint32_t indirect_pages_ = 0;
  std::uint32_t out_ = 0;
  std::uint32_t used_ = 0;
  bool is_paused_ = false;
  std::string_view lie_;
  std::array<entry, requests_max> entries_;
};

}  // namespace morgana::xen
