// The grant table (grant_table.h, version 1): which pages of ours another domain may use. Changing it takes no
// hypercall; Xen reads it when the other domain maps or copies.
//
//   auto shared = grants.give(backend, frame, grant_access::read_write);    // null at the limit
//   ... tell `shared.reference()` to the other side ...
//   if (!shared.end()) ...                                                   // it still has the page mapped
//
// A grant that is shared again and again keeps its reference: withdraw() takes the right away, permit() gives it
// back. Both are a write to memory, so that a page the other side has filled can be its writer's no more before
// anybody looks at it.
//
// Only Xen writes here besides us, and Xen is trusted; the other domain is not. One that keeps a page mapped
// keeps it: end() and withdraw() refuse, and then the page must never be used for anything else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "interface.hpp"

namespace morgana::xen {

enum class grant_access : std::uint16_t { read_write = 0, read_only = grant_is_read_only };

class grant;

class grant_table {
 public:
  constexpr grant_table() = default;
  grant_table(grant_table const&) = delete;
  grant_table& operator=(grant_table const&) = delete;

  /// The table's pages, as Xen gives them: all zero but for the references that are reserved.
  void start(std::span<grant_entry> entries);

  /// Gives the domain `who` access to a frame. Without a reference when none is left: the limit is the table's
  /// size.
  [[nodiscard]] grant give(domain who, std::uint32_t frame, grant_access access);
  /// The same, but without the right until grant::permit().
  [[nodiscard]] grant reserve(domain who, std::uint32_t frame);

  /// The guest goes on as another domain, whose table is new: nobody has any right. Then grant::renew() for every grant
  /// there is, before any of them ends; and last collect(), which finds what is free: what was stuck, too.
  void restart();
  void collect();

  /// Grants that are out.
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t limit() const {
    return entries_.size() <= grant_references_reserved ? 0 : entries_.size() - grant_references_reserved;
  }
  /// Grants that were let go while the other side used them: their references are lost, and their pages must be.
  [[nodiscard]] std::size_t stuck() const { return stuck_; }

 private:
  friend class grant;
  [[nodiscard]] bool take_right(grant_reference which);
  [[nodiscard]] bool end(grant_reference which);

  std::span<grant_entry> entries_;
  grant_reference fresh_ = grant_references_reserved;  ///< from here on none was ever used
  grant_reference free_ = 0;                           ///< the first of those given back; linked by their frames
  std::size_t used_ = 0;
  std::size_t stuck_ = 0;
};

/// One grant. Its destructor ends it; where that is refused it counts as stuck, so whoever holds the page ends it
/// first and looks at the answer.
class grant {
 public:
  grant() = default;
  grant(grant&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), reference_(std::exchange(other.reference_, 0)) {}
  grant& operator=(grant&& other) noexcept {
    if (this != &other) {
      let_go();
      table_ = std::exchange(other.table_, nullptr);
      reference_ = std::exchange(other.reference_, 0);
    }
    return *this;
  }
  ~grant() { let_go(); }

  [[nodiscard]] explicit operator bool() const { return table_ != nullptr; }
  [[nodiscard]] grant_reference reference() const { return reference_; }

  /// Ends it. False while the other side has the page mapped: nothing has changed then.
  [[nodiscard]] bool end();
  /// Takes the right away and keeps the reference. False as end().
  [[nodiscard]] bool withdraw() { return table_->take_right(reference_); }
  /// After grant_table::restart(): the same reference for that domain and frame, without the right.
  void renew(domain who, std::uint32_t frame);
  /// Gives the right back.
  void permit(grant_access access);

 private:
  friend class grant_table;
  grant(grant_table& of, grant_reference reference) : table_(&of), reference_(reference) {}
  void let_go();

  grant_table* table_ = nullptr;
  grant_reference reference_ = 0;
};

}  // namespace morgana::xen
