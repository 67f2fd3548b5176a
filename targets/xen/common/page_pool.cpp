#include "page_pool.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

namespace morgana::xen {

void page_pool::page::permit() {
  is_lent_ = true;
  grant_.permit(owner_->access_);
}

bool page_pool::page::reclaim() {
  if (!is_lent_) return true;
  if (!grant_.withdraw()) return false;
  is_lent_ = false;
  return true;
}

page_pool::page* page_pool::group::begin() const {
  return std::launder(reinterpret_cast<page*>(pages.get()));
}

page_pool::~page_pool() {
  if (end()) return;
  // Their memory stays taken.
  for (auto& one : groups_) std::destroy_n(one.begin(), one.count);
}

void page_pool::tell_waiter() {
  was_empty_ = false;
  if (waiter_ != nullptr) waiter_->pages_came();
}

bool page_pool::grow() {
  auto const count = std::min(group_pages, limit_ - made_);
  if (count == 0) return false;
  group made{.memory = on_->take_pages(count),
             .pages = std::unique_ptr<std::byte[]>(new (std::nothrow) std::byte[count * sizeof(page)])};
  if (made.memory.empty() || made.pages == nullptr) {
    std::free(made.memory.data());
    return false;
  }
  for (; made.count < count; ++made.count) {
    auto const memory = made.memory.subspan(made.count * grant_page_bytes, grant_page_bytes);
    auto given = on_->grants.reserve(with_, on_->frame_of(memory.data()));
    if (!given) break;
    auto* const one = new (made.pages.get() + made.count * sizeof(page)) page(memory);
    one->owner_ = this;
    one->number_ = static_cast<std::uint16_t>(made_ + made.count);
    one->grant_ = std::move(given);
    one->next_ = std::exchange(free_, one);
    ++free_count_;
  }
  if (made.count == 0) {
    std::free(made.memory.data());
    // There will be no more.
    limit_ = made_;
    return false;
  }
  made_ += made.count;
  groups_.push_back(std::move(made));
  return true;
}

void page_pool::renew(domain with) {
  with_ = with;
  for (auto const& one : groups_) {
    for (auto* each = one.begin(); each != one.begin() + one.count; ++each) {
      each->is_lent_ = false;
      each->grant_.renew(with, on_->frame_of(each->memory().data()));
    }
  }
}

bool page_pool::end() {
  waiter_ = nullptr;
  auto all = true;
  for (auto const& one : groups_) {
    for (auto* each = one.begin(); each != one.begin() + one.count; ++each) all = each->grant_.end() && all;
  }
  if (!all) return false;
  for (auto& one : groups_) {
    std::destroy_n(one.begin(), one.count);
    std::free(one.memory.data());
  }
  groups_.clear();
  free_ = nullptr;
  free_count_ = made_ = limit_ = 0;
  return true;
}

}  // namespace morgana::xen
