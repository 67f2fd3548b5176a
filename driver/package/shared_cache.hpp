// What two processes that share a cache need: locks, and writing a file or folder as a whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/package.hpp"

namespace morgana::driver::package_detail {

/// An exclusive lock of this process on a name in the cache; let go at the end of its life or of the process.
class cache_lock {
 public:
  cache_lock() = default;
  cache_lock(cache_lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  cache_lock& operator=(cache_lock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~cache_lock();

  /// Waits for it, telling `report` when it has to. Errors: `write-failed`.
  [[nodiscard]] static outcome<cache_lock> take(package_cache const& cache, std::string const& name,
                                                progress const& report);
  /// Takes the lock of a file if nobody has it.
  [[nodiscard]] static bool try_take(std::filesystem::path const& file, cache_lock& into);

 private:
  int descriptor_ = -1;
};

/// A folder of our own beside `place`, removed at the end of its life unless it was renamed away. Left over
/// ones of processes that died are removed when the next is made.
class staging_folder {
 public:
  staging_folder() = default;
  staging_folder(staging_folder&& other) noexcept
      : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}
  staging_folder& operator=(staging_folder&& other) noexcept {
    std::swap(path_, other.path_);
    lock_ = std::move(other.lock_);
    return *this;
  }
  ~staging_folder();

  /// Errors: `write-failed`.
  [[nodiscard]] static outcome<staging_folder> make(std::filesystem::path const& beside);
  [[nodiscard]] std::filesystem::path const& path() const { return path_; }

 private:
  std::filesystem::path path_;
  cache_lock lock_;
};

/// Errors: `write-failed`.
[[nodiscard]] outcome<void> make_folder(std::filesystem::path const& folder);
[[nodiscard]] outcome<void> write_whole(std::filesystem::path const& file, std::string_view text);
/// Renames; a target that another process put there first counts as success.
[[nodiscard]] outcome<void> move_into_place(std::filesystem::path const& from,
                                            std::filesystem::path const& to);

}  // namespace morgana::driver::package_detail
