// Page tables of four levels (Intel SDM volume 3, 4.5), built in memory that is mapped where it physically
// is.
//
// A mapping is made of pages of 4 KiB, and of 2 MiB where both addresses allow it. Nothing is ever taken out:
// the tables are made once, before the guest goes up to its own addresses, and are not mapped there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace morgana::xen {

inline constexpr std::uint64_t page_bytes = 4096;
inline constexpr std::uint64_t large_page_bytes = std::uint64_t{2} << 20;

enum class page_rights : std::uint64_t {
  read = std::uint64_t{1} << 63,  ///< no-execute
  read_write = std::uint64_t{1} << 63 | 2,
  read_execute = 0,
  device = std::uint64_t{1} << 63 | 2 | 0x10 | 8,  ///< read_write, uncached
};

class page_tables {
 public:
  /// Tables are taken from `memory` on, page by page; `end` is where that must stop.
  page_tables(std::uint64_t memory, std::uint64_t end);

  /// Maps whole pages. False when there is no memory for another table.
  [[nodiscard]] bool map(std::uint64_t address, std::uint64_t physical, std::uint64_t bytes,
                         page_rights rights);

  [[nodiscard]] std::uint64_t root() const { return root_; }
  /// One past the last table.
  [[nodiscard]] std::uint64_t memory_end() const { return next_; }

 private:
  [[nodiscard]] std::uint64_t take();
  [[nodiscard]] std::uint64_t* entry(std::uint64_t table, std::uint64_t address, unsigned shift) const;
  [[nodiscard]] std::uint64_t below(std::uint64_t table, std::uint64_t address, unsigned shift);

  std::uint64_t next_;
  std::uint64_t end_;
  std::uint64_t root_;
};

}  // namespace morgana::xen
