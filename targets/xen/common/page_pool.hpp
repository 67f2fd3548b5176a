// Pages for frames, each with a grant of its own that lasts as long as the pool: a page that is used again costs no
// new grant. Made in groups when they are needed, at most as many as the limit.
//
// A page is given to the backend with its right on (page::lend) and taken back with it off (page::reclaim), so that
// nobody changes what is being looked at. A page that became a slice of a segment comes back by itself when the last
// slice is gone; every one must be back before the pool ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "driver_host.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::xen {

/// Is told when pages are there again after take() had none.
class page_waiter {
 public:
  virtual void pages_came() = 0;

 protected:
  ~page_waiter() = default;
};

class page_pool {
 public:
  static constexpr std::size_t group_pages = 8;
  /// Pages that must be free again before a waiter is told.
  static constexpr std::size_t enough_pages = 8;

  class page final : public net::buffer {
   public:
    explicit page(std::span<std::byte> memory) : buffer(memory) {}
    [[nodiscard]] grant_reference reference() const { return grant_.reference(); }
    /// Which of the pool's pages it is, from 0 on.
    [[nodiscard]] std::uint16_t number() const { return number_; }
    void lend() {
      if (!is_lent_) permit();
    }
    /// False while the backend has it mapped.
    [[nodiscard]] bool reclaim();

   private:
    friend class page_pool;
    void unused() override { owner_->give(*this); }
    void permit();
    page_pool* owner_ = nullptr;
    page* next_ = nullptr;
    grant grant_;
    std::uint16_t number_ = 0;
    bool is_lent_ = false;
  };

  page_pool(driver_host& on, domain with, grant_access access, std::size_t limit)
      : on_(&on), with_(with), access_(access), limit_(limit) {}
  page_pool(page_pool const&) = delete;
  page_pool& operator=(page_pool const&) = delete;
  /// Pages that the backend still has mapped are never used again.
  ~page_pool();

  /// Null at the limit, or when there is neither memory nor a grant for more.
  [[nodiscard]] page* take() {
    if (free_ == nullptr && !grow()) [[unlikely]] {
      was_empty_ = true;
      return nullptr;
    }
    --free_count_;
    return std::exchange(free_, free_->next_);
  }
  /// Gives back a page that became no slice.
  void give(page& one) {
    one.next_ = std::exchange(free_, &one);
    if (++free_count_ >= enough_pages && was_empty_) [[unlikely]] tell_waiter();
  }
  void tell(page_waiter& who) { waiter_ = &who; }

  [[nodiscard]] std::size_t made() const { return made_; }
  [[nodiscard]] std::size_t free() const { return free_count_; }

  /// After grant_table::restart(): the same pages and references, without rights, for a backend.
  void renew(domain with);

  /// Ends all grants; nobody uses the pages any more. False when the backend has one mapped: call it again.
  [[nodiscard]] bool end();

 private:
  struct group {
    std::span<std::byte> memory;
    std::unique_ptr<std::byte[]> pages;
    std::size_t count = 0;
    [[nodiscard]] page* begin() const;
  };
  [[nodiscard]] bool grow();
  void tell_waiter();

  driver_host* on_;
  domain with_;
  grant_access access_;
  std::size_t limit_;
  std::size_t made_ = 0;
  std::size_t free_count_ = 0;
  page* free_ = nullptr;
  page_waiter* waiter_ = nullptr;
  bool was_empty_ = false;
  std::vector<group> groups_;
};

}  // namespace morgana::xen
