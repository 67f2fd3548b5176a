#include "morgana/storage/embedded_store.hpp"

#include <cstring>

#include "morgana/storage/key.hpp"

namespace morgana::storage {

embedded_file const* find(embedded_table const& table, std::string_view key) {
  // string_view compares as unsigned bytes, like the driver's sort.
  auto const at = std::ranges::lower_bound(table.files, key, {}, &embedded_file::key);
  return at != table.files.end() && at->key == key ? &*at : nullptr;
}

result<value_information> stat(embedded_table const& table, std::string_view key) {
  if (auto const* const found = find(table, key)) return found->information;
  return failure(is_valid_key(key) ? storage_error::not_found : storage_error::invalid_key);
}

result<std::size_t> read(embedded_table const& table, std::string_view key, std::uint64_t offset,
                         std::span<std::byte> into) {
  auto const* const found = find(table, key);
  if (found == nullptr) return failure(is_valid_key(key) ? storage_error::not_found : storage_error::invalid_key);
  auto const bytes = found->view();
  if (offset >= bytes.size()) return 0;
  auto const part = bytes.subspan(static_cast<std::size_t>(offset));
  auto const size = std::min(part.size(), into.size());
  std::memcpy(into.data(), part.data(), size);
  return size;
}

std::span<std::byte const> empty_view() {
  static constexpr std::byte nothing{};
  return {&nothing, 0};
}

}  // namespace morgana::storage
