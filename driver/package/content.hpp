// What belongs to a package whose source is used in place, and the hash of it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/package.hpp"

namespace morgana::driver::package_detail {

/// Relative to the source's root, sorted.
struct package_files {
  std::vector<std::string> sources;  ///< what the recipe's globs select
  std::vector<std::string> others;   ///< headers beside them, include folders, the catalogue
};

[[nodiscard]] package_files files_of(recipe const& what, std::filesystem::path const& source);

/// Hashes of files below one root, as they are when each is first asked for. A file that has not changed
/// since its last hash, by inode, size and both times, is not read again; the memory of that lies in the
/// cache and may be lost at any time.
class file_hashes {
 public:
  file_hashes(package_cache const& cache, std::filesystem::path root);
  ~file_hashes();
  file_hashes(file_hashes const&) = delete;
  file_hashes& operator=(file_hashes const&) = delete;

  /// Of one file; a text that says so when it cannot be read, so that the hash changes when it can.
  [[nodiscard]] std::string of(std::string const& relative);
  /// Of names and contents of files.
  [[nodiscard]] std::string of(std::vector<std::string> const& files);

 private:
  struct entry {
    std::string sha256;
    std::string stamp;
    bool checked = false;  ///< by this object
  };
  void load();
  void save() const;

  std::filesystem::path root_;
  std::filesystem::path memory_;
  std::map<std::string, entry, std::less<>> known_;
  bool changed_ = false;
};

/// The hash that a path source is locked as.
[[nodiscard]] std::string content_hash(recipe const& what, std::filesystem::path const& source,
                                       file_hashes& hashes);

}  // namespace morgana::driver::package_detail
