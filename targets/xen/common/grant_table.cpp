#include "grant_table.hpp"

#include <atomic>

namespace morgana::xen {

void grant_table::start(std::span<grant_entry> entries) {
  entries_ = entries;
}

grant grant_table::give(domain who, std::uint32_t frame, grant_access access) {
  auto made = reserve(who, frame);
  if (made) made.permit(access);
  return made;
}

grant grant_table::reserve(domain who, std::uint32_t frame) {
  auto which = free_;
  if (which != 0) {
    free_ = entries_[which].frame;
  } else if (fresh_ < entries_.size()) {
    which = fresh_++;
  } else {
    return {};
  }
  ++used_;
  entries_[which].who = who;
  entries_[which].frame = frame;
  return {*this, which};
}

void grant_table::restart() {
  for (auto which = grant_references_reserved; which < fresh_; ++which) entries_[which] = {};
}

void grant_table::collect() {
  used_ = stuck_ = 0;
  free_ = 0;
  for (auto which = grant_references_reserved; which < fresh_; ++which) {
    // No page that is granted is the guest's first.
    if (entries_[which].frame != 0) {
      ++used_;
      continue;
    }
    entries_[which].frame = free_;
    free_ = which;
  }
}

bool grant_table::take_right(grant_reference which) {
  std::atomic_ref flags(entries_[which].flags);
  auto seen = flags.load(std::memory_order_relaxed);
  do {
    if ((seen & (grant_is_read | grant_is_written)) != 0) return false;
    // What the other side wrote is seen from here on, and it writes no more.
  } while (!flags.compare_exchange_weak(seen, 0, std::memory_order_acq_rel, std::memory_order_relaxed));
  return true;
}

bool grant_table::end(grant_reference which) {
  if (!take_right(which)) return false;
  entries_[which].frame = free_;
  free_ = which;
  --used_;
  return true;
}

bool grant::end() {
  if (table_ == nullptr) return true;
  if (!table_->end(reference_)) return false;
  table_ = nullptr;
  reference_ = 0;
  return true;
}

void grant::renew(domain who, std::uint32_t frame) {
  table_->entries_[reference_] = {.flags = 0, .who = who, .frame = frame};
}

void grant::permit(grant_access access) {
  std::atomic_ref flags(table_->entries_[reference_].flags);
  // After who and which frame.
  flags.store(static_cast<std::uint16_t>(grant_permits | static_cast<std::uint16_t>(access)),
              std::memory_order_release);
}

void grant::let_go() {
  if (end()) return;
  ++table_->stuck_;
  table_ = nullptr;
}

}  // namespace morgana::xen
