// The "memory" key-value store: what a test or a program puts into it. Sorted; at most `keys_max` keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/core/context.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/immediate.hpp"
#include "morgana/storage/key_value_store.hpp"

namespace morgana {

class memory_store {
 public:
  static constexpr std::size_t keys_max = 100'000;

  [[nodiscard]] static task<result<memory_store>> connect(context&) { co_return memory_store(); }

  /// Adds or replaces a value. Errors: invalid_key; core_error::limit_reached.
  [[nodiscard]] result<void> put(std::string_view key, std::span<std::byte const> value,
                                 std::int64_t modified_unix_seconds = 0);
  [[nodiscard]] result<void> remove(std::string_view key);

  [[nodiscard]] storage::immediate<result<value_information>> stat(std::string_view key);
  [[nodiscard]] storage::immediate<result<std::size_t>> read(std::string_view key, std::uint64_t offset,
                                                             std::span<std::byte> into);
  /// Holds until the key is put again or removed.
  [[nodiscard]] std::span<std::byte const> view(std::string_view key);
  [[nodiscard]] result<void> keys(void (*each)(void*, std::string_view, value_information const&), void* with);

 private:
  struct value {
    std::vector<std::byte> bytes;
    value_information information;
  };
  [[nodiscard]] result<value*> find(std::string_view key);
  std::map<std::string, value, std::less<>> values_;
};

}  // namespace morgana
