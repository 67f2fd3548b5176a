// SHA-256, from libsolv: the names of everything the engine keeps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace morgana::driver::package_detail {

class sha256 {
 public:
  sha256();
  ~sha256();
  sha256(sha256 const&) = delete;
  sha256& operator=(sha256 const&) = delete;

  void add(std::string_view bytes);
  /// Adds a length before the bytes, so that no two sequences of fields read the same.
  void add_field(std::string_view bytes);
  /// 64 hexadecimal digits. Call once.
  [[nodiscard]] std::string finish();

 private:
  void* state_;
};

[[nodiscard]] std::string sha256_of(std::string_view bytes);

/// nullopt when the file cannot be read.
[[nodiscard]] std::optional<std::string> sha256_of_file(std::filesystem::path const& file);

}  // namespace morgana::driver::package_detail
