#include "morgana/storage/memory_store.hpp"

#include <algorithm>
#include <cstring>

#include "morgana/storage/content_hash.hpp"
#include "morgana/storage/embedded_store.hpp"
#include "morgana/storage/key.hpp"

namespace morgana {

using storage::storage_error;

result<void> memory_store::put(std::string_view key, std::span<std::byte const> bytes,
                               std::int64_t modified_unix_seconds) {
  if (!storage::is_valid_key(key)) return failure(storage_error::invalid_key);
  auto at = values_.find(key);
  if (at == values_.end()) {
    if (values_.size() >= keys_max) return failure(core_error::limit_reached, keys_max);
    at = values_.emplace(std::string(key), value{}).first;
  }
  at->second = {.bytes = {bytes.begin(), bytes.end()},
                .information = {.size_bytes = bytes.size(),
                                .content_hash = storage::content_hash(bytes),
                                .modified_unix_seconds = modified_unix_seconds}};
  return {};
}

result<void> memory_store::remove(std::string_view key) {
  if (auto found = find(key); !found) return failure(std::move(found.error()));
  values_.erase(values_.find(key));
  return {};
}

result<memory_store::value*> memory_store::find(std::string_view key) {
  if (!storage::is_valid_key(key)) return failure(storage_error::invalid_key);
  auto const at = values_.find(key);
  if (at == values_.end()) return failure(storage_error::not_found);
  return &at->second;
}

storage::immediate<result<value_information>> memory_store::stat(std::string_view key) {
  auto found = find(key);
  if (!found) return result<value_information>(failure(std::move(found.error())));
  return result<value_information>((*found)->information);
}

storage::immediate<result<std::size_t>> memory_store::read(std::string_view key, std::uint64_t offset,
                                                           std::span<std::byte> into) {
  auto found = find(key);
  if (!found) return result<std::size_t>(failure(std::move(found.error())));
  auto const& bytes = (*found)->bytes;
  if (offset >= bytes.size()) return result<std::size_t>(0u);
  auto const size = std::min(bytes.size() - static_cast<std::size_t>(offset), into.size());
  std::memcpy(into.data(), bytes.data() + offset, size);
  return result<std::size_t>(size);
}

std::span<std::byte const> memory_store::view(std::string_view key) {
  auto found = find(key);
  if (!found) return {};
  if ((*found)->bytes.empty()) return storage::empty_view();
  return (*found)->bytes;
}

result<void> memory_store::keys(void (*each)(void*, std::string_view, value_information const&), void* with) {
  for (auto const& [key, held] : values_) each(with, key, held.information);
  return {};
}

}  // namespace morgana
