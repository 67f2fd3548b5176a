#include "block_queue.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace morgana::xen {

using block_wire::operation;

result<void> block_pages::make(driver_host& on, domain with, std::size_t count) {
  memory_ = on.take_pages(count);
  if (memory_.empty()) return failure(core_error::out_of_memory);
  grants_.reserve(count);
  free_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    // Writable for reads as well: a page that stays mapped serves both.
    auto one =
        on.grants.give(with, on.frame_of(memory_.data() + i * grant_page_bytes), grant_access::read_write);
    if (!one) return failure(driver_error::no_grant, static_cast<std::int64_t>(on.grants.limit()));
    grants_.push_back(std::move(one));
    free_.push_back(static_cast<std::uint16_t>(count - 1 - i));
  }
  return {};
}

std::uint16_t block_pages::take() {
  auto const page = free_.back();
  free_.pop_back();
  return page;
}

void block_pages::renew(driver_host& on, domain with) {
  for (std::size_t i = 0; i < grants_.size(); ++i) {
    grants_[i].renew(with, on.frame_of(memory_.data() + i * grant_page_bytes));
    grants_[i].permit(grant_access::read_write);
  }
}

bool block_pages::end() {
  auto ended = true;
  for (auto& one : grants_) ended = one.end() && ended;
  if (!ended) return false;
  grants_.clear();
  free_.clear();
  std::free(std::exchange(memory_, {}).data());
  return true;
}

void block_queue::allow_indirect(std::uint32_t pages) {
  indirect_pages_ = std::min<std::uint32_t>(pages, static_cast<std::uint32_t>(pages_max));
}

std::size_t block_queue::room(std::size_t wanted) const {
  if (!has_slot()) return 0;
  auto const most = (wanted + grant_page_bytes - 1) / grant_page_bytes;
  auto const free = pages_->free();
  auto pages = std::min({most, free, block_wire::request::segments_max});
  if (most > pages && free > block_wire::request::segments_max + 1) {
    pages = std::max(pages, std::min({most, free - 1, std::size_t{indirect_pages_}}));
  }
  return std::min(wanted, pages * grant_page_bytes);
}

std::uint32_t block_queue::take_entry(owner& who) {
  std::uint32_t number = 0;
  while (entries_[number].is_used) ++number;
  auto& one = entries_[number];
  one = {};
  one.who = &who;
  one.is_used = one.is_out = true;
  ++out_;
  ++used_;
  return number;
}

void block_queue::free_entry(entry& one) {
  auto const count = one.page_count + (one.is_indirect ? 1u : 0u);
  for (std::size_t i = 0; i < count; ++i) pages_->give(one.pages[i]);
  one.is_used = false;
  --used_;
}

std::uint32_t block_queue::put(owner& who, operation what, std::uint64_t sector, std::size_t bytes,
                               std::span<std::byte const> from) {
  auto const number = take_entry(who);
  auto& one = entries_[number];
  std::array<block_wire::segment, pages_max> segments{};
  for (auto left = bytes; left != 0; ++one.page_count) {
    auto const size = std::min(left, grant_page_bytes);
    auto const page = pages_->take();
    one.pages[one.page_count] = page;
    if (!from.empty()) std::memcpy(pages_->memory(page).data(), from.data() + (bytes - left), size);
    segments[one.page_count] = {
        .page = pages_->reference(page),
        .first_sector = 0,
        .last_sector = static_cast<std::uint8_t>(size / block_wire::sector_bytes - 1)};
    left -= size;
  }
  if (one.page_count <= block_wire::request::segments_max) {
    block_wire::request asked{.what = what,
                              .segment_count = one.page_count,
                              .device = 0,
                              .id = number,
                              .sector = sector,
                              .segments = {}};
    std::copy_n(segments.begin(), one.page_count, asked.segments);
    ring_.put(asked);
    return number;
  }
  one.is_indirect = true;
  auto const page = pages_->take();
  one.pages[one.page_count] = page;
  std::memcpy(pages_->memory(page).data(), segments.data(), one.page_count * sizeof(block_wire::segment));
  ring_.put(block_wire::indirect_request{.what = operation::indirect,
                                         .inner = what,
                                         .segment_count = one.page_count,
                                         .id = number,
                                         .sector = sector,
                                         .device = 0,
                                         .reserved = 0,
                                         .pages = {pages_->reference(page)}});
  return number;
}

std::uint32_t block_queue::read(owner& who, std::uint64_t sector, std::size_t bytes) {
  return put(who, operation::read, sector, bytes, {});
}

std::uint32_t block_queue::write(owner& who, std::uint64_t sector, std::span<std::byte const> from) {
  return put(who, operation::write, sector, from.size(), from);
}

std::uint32_t block_queue::order(owner& who, operation what) {
  return put(who, what, 0, 0, {});
}

std::uint32_t block_queue::discard(owner& who, std::uint64_t sector, std::uint64_t sectors) {
  auto const number = take_entry(who);
  ring_.put(block_wire::discard_request{.what = operation::discard,
                                        .flags = 0,
                                        .device = 0,
                                        .id = number,
                                        .sector = sector,
                                        .sectors = sectors});
  return number;
}

void block_queue::poll() {
  block_wire::response came{};
  std::uint32_t slot = 0;
  do {
    while (!broken() && ring_.take(came, slot)) {
      if (came.id >= requests_max || !entries_[static_cast<std::size_t>(came.id)].is_out) {
        lie_ = "a response to a request that is not out";
        break;
      }
      auto& one = entries_[static_cast<std::size_t>(came.id)];
      one.is_out = false;
      --out_;
      if (auto* const who = one.who; who != nullptr) {
        who->ended(came.status);
      } else {
        free_entry(one);
      }
    }
    if (ring_.is_broken() && !broken()) lie_ = "its index of responses cannot be";
  } while (!broken() && ring_.wake_at(1));
}

void block_queue::copy_out(std::uint32_t number, std::span<std::byte> into) const {
  auto const& one = entries_[number];
  for (std::size_t i = 0; !into.empty(); ++i) {
    auto const size = std::min(into.size(), grant_page_bytes);
    std::memcpy(into.data(), pages_->memory(one.pages[i]).data(), size);
    into = into.subspan(size);
  }
}

void block_queue::release(std::uint32_t number) {
  auto& one = entries_[number];
  one.who = nullptr;
  if (!one.is_out) free_entry(one);
}

void block_queue::abandon() {
  for (auto& one : entries_) {
    if (!one.is_used || !one.is_out) continue;
    if (auto* const who = one.who; who != nullptr) who->ended(block_wire::response::failed);
  }
}

}  // namespace morgana::xen
