// The "directory" key-value store: the files below a folder of the host, as they are now. Good while a site is
// being written; an image that must stand alone embeds its files instead.
//
// No key leaves the folder: the kernel resolves each below it (openat2 with RESOLVE_BENEATH and
// RESOLVE_NO_MAGICLINKS), symbolic links included. Only regular files are values; whatever else stands there is
// not_found. Up to `open_files_max` files stay open; what is known of one is believed for `trust_time`, so that a
// busy key costs one pread a request, or none but that. view() never has one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "morgana/core/context.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/immediate.hpp"
#include "morgana/storage/key_value_store.hpp"

namespace morgana::hosted {

struct directory_store_options {
  /// Folder whose files are the values.
  std::string_view path = ".";
};

class directory_store {
 public:
  static constexpr std::size_t open_files_max = 64;
  static constexpr duration trust_time = 1s;
  /// Limits of keys(): more than this many keys, or folders deeper than this, are core_error::limit_reached.
  static constexpr std::size_t listed_keys_max = 100'000;
  static constexpr std::size_t folder_depth_max = 64;

  /// Errors: storage_error::input_output with errno (the folder cannot be opened), core_error::not_supported (a
  /// kernel before 5.6).
  [[nodiscard]] static task<result<directory_store>> connect(context& in, directory_store_options const& options);

  directory_store(directory_store&&) noexcept;
  directory_store& operator=(directory_store&&) noexcept;
  ~directory_store();

  [[nodiscard]] storage::immediate<result<value_information>> stat(std::string_view key);
  [[nodiscard]] storage::immediate<result<std::size_t>> read(std::string_view key, std::uint64_t offset,
                                                             std::span<std::byte> into);
  [[nodiscard]] std::span<std::byte const> view(std::string_view) { return {}; }
  /// Reads every folder below, which takes memory and time in proportion. Names that are no valid keys are left
  /// out.
  [[nodiscard]] result<void> keys(void (*each)(void*, std::string_view, value_information const&), void* with);

 private:
  struct state;
  explicit directory_store(std::unique_ptr<state> state);
  std::unique_ptr<state> state_;
};

}  // namespace morgana::hosted
