// The "embedded" key-value store: the files of a folder, inside the image. Nothing is read, nothing waits,
// nothing is allocated; view() gives every value without a copy.
//
// The driver writes the table, for a parameter `htdocs` whose folder holds index.html and css/site.css as
// follows. A header that main.gen.cpp includes, so that the bytes are compiled once and apart:
//
//   // embedded_htdocs.gen.hpp
//   #pragma once
//   #include "morgana/storage/embedded_store.hpp"
//   namespace morgana::app {
//   extern embedded_table const embedded_htdocs;
//   }
//
// and a source file. Keys are sorted bytewise (as unsigned), which the driver guarantees and the store relies
// on. An empty file has the pointer nullptr and size 0, because an array cannot be empty:
//
//   // embedded_htdocs.gen.cpp
//   #include "embedded_htdocs.gen.hpp"
//   namespace morgana::app {
//   namespace {
//   alignas(16) constexpr unsigned char file_0[] = {
//   #embed "css/site.css"
//   };
//   alignas(16) constexpr unsigned char file_1[] = {
//   #embed "index.html"
//   };
//   constexpr embedded_file files[] = {
//       {.key = "css/site.css", .bytes = file_0, .information = {.size_bytes = 1043,
//        .content_hash = 0x6f0c1b2a44d5e901u, .modified_unix_seconds = 0}},
//       {.key = "index.html", .bytes = file_1, .information = {.size_bytes = 612,
//        .content_hash = 0x1b2c3d4e5f607182u, .modified_unix_seconds = 0}},
//   };
//   }  // namespace
//   constinit embedded_table const embedded_htdocs{files};
//   }  // namespace morgana::app
//
// A folder without files has `embedded_table const embedded_htdocs{{}}`. content_hash is storage::content_hash
// of the bytes. modified_unix_seconds is 0 unless the build is told a time (SOURCE_DATE_EPOCH): a file's own
// would make two builds of the same sources differ. The device's type is `morgana::embedded_store<TABLE>`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/context.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/immediate.hpp"
#include "morgana/storage/key_value_store.hpp"

namespace morgana {

struct embedded_file {
  std::string_view key;
  unsigned char const* bytes;
  value_information information;
  [[nodiscard]] std::span<std::byte const> view() const {
    return {reinterpret_cast<std::byte const*>(bytes), static_cast<std::size_t>(information.size_bytes)};
  }
};

struct embedded_table {
  std::span<embedded_file const> files;      ///< sorted by key
};

namespace storage {
/// The file of that key, or null. O(log files).
[[nodiscard]] embedded_file const* find(embedded_table const& table, std::string_view key);
/// stat() or read() of a table's file.
[[nodiscard]] result<value_information> stat(embedded_table const& table, std::string_view key);
[[nodiscard]] result<std::size_t> read(embedded_table const& table, std::string_view key, std::uint64_t offset,
                                       std::span<std::byte> into);
/// What view() gives of an empty value: not null, and no byte.
[[nodiscard]] std::span<std::byte const> empty_view();
}  // namespace storage

template <embedded_table const& Table>
class embedded_store {
 public:
  /// view() gives every value there is, as long as the store lives.
  static constexpr bool is_in_memory = true;

  [[nodiscard]] static result<embedded_store> connect(context&) { return embedded_store(); }

  [[nodiscard]] storage::immediate<result<value_information>> stat(std::string_view key) {
    return storage::stat(Table, key);
  }
  [[nodiscard]] storage::immediate<result<std::size_t>> read(std::string_view key, std::uint64_t offset,
                                                             std::span<std::byte> into) {
    return storage::read(Table, key, offset, into);
  }
  [[nodiscard]] std::span<std::byte const> view(std::string_view key) {
    auto const* const found = storage::find(Table, key);
    if (found == nullptr) return {};
    return found->information.size_bytes == 0 ? storage::empty_view() : found->view();
  }
  [[nodiscard]] result<void> keys(void (*each)(void*, std::string_view, value_information const&), void* with) {
    for (auto const& file : Table.files) each(with, file.key, file.information);
    return {};
  }
};

}  // namespace morgana
