#include "page_tables.hpp"

#include <cstring>

namespace morgana::xen {
namespace {

constexpr std::uint64_t present = 1;
constexpr std::uint64_t writable = 2;
constexpr std::uint64_t large = 0x80;
constexpr std::uint64_t accessed_dirty = 0x60;  // set beforehand, or the processor would write them
constexpr std::uint64_t place = 0x000f'ffff'ffff'f000;

}  // namespace

page_tables::page_tables(std::uint64_t memory, std::uint64_t end) : next_(memory), end_(end), root_(take()) {}

std::uint64_t page_tables::take() {
  if (next_ + page_bytes > end_) return 0;
  auto const page = next_;
  next_ += page_bytes;
  // Sixteen bytes at a time: there is no memset yet that would be as short.
  typedef long long row __attribute__((vector_size(16)));
  auto* const rows = reinterpret_cast<row volatile*>(page);
#pragma clang loop unroll_count(16)
  for (std::size_t i = 0; i < page_bytes / sizeof(row); ++i) rows[i] = row{};
  return page;
}

std::uint64_t* page_tables::entry(std::uint64_t table, std::uint64_t address, unsigned shift) const {
  return reinterpret_cast<std::uint64_t*>(table) + (address >> shift & 511);
}

std::uint64_t page_tables::below(std::uint64_t table, std::uint64_t address, unsigned shift) {
  auto* const one = entry(table, address, shift);
  if (*one == 0) {
    auto const made = take();
    if (made == 0) return 0;
    *one = made | present | writable | accessed_dirty;
  }
  return *one & place;
}

bool page_tables::map(std::uint64_t address, std::uint64_t physical, std::uint64_t bytes,
                      page_rights rights) {
  auto const flags = static_cast<std::uint64_t>(rights) | present | accessed_dirty;
  auto const end = address + bytes;
  while (address < end) {
    auto const directories = root_ == 0 ? 0 : below(root_, address, 39);
    auto const directory = directories == 0 ? 0 : below(directories, address, 30);
    if (directory == 0) return false;
    if (((address | physical) & (large_page_bytes - 1)) == 0 && end - address >= large_page_bytes) {
      *entry(directory, address, 21) = physical | flags | large;
      address += large_page_bytes;
      physical += large_page_bytes;
      continue;
    }
    auto const table = below(directory, address, 21);
    if (table == 0) return false;
    auto const stop = end - address > large_page_bytes - (address & (large_page_bytes - 1))
                          ? (address | (large_page_bytes - 1)) + 1
                          : end;
    for (auto* one = entry(table, address, 12); address < stop; ++one) {
      *one = physical | flags;
      address += page_bytes;
      physical += page_bytes;
    }
  }
  return true;
}

}  // namespace morgana::xen
