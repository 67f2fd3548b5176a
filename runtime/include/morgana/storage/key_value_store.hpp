// Read-only files by name. Keys are relative paths with '/' ("css/site.css"), UTF-8, at most
// key_bytes_max; no empty component, no "." and no "..".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/error.hpp"

namespace morgana {

inline constexpr std::size_t key_bytes_max = 1024;

/// What is known of a value without reading it.
struct value_information {
  std::uint64_t size_bytes = 0;
  /// Another hash, another value (or the same one written anew): for entity tags, not for security. A store in
  /// memory hashes the bytes (content_hash.hpp), one over a host's folder the file's identity and times.
  std::uint64_t content_hash = 0;
  std::int64_t modified_unix_seconds = 0;  ///< 0 when unknown
  friend bool operator==(value_information const&, value_information const&) = default;
};

/// stat() and read() are storage_error::not_found for a key that does not exist. read() fills `into` from
/// `offset` and gives how many bytes; 0 at the end. view() gives the whole value without a copy when the
/// store holds it in memory, else an empty optional-like span with data() == nullptr: then use read().
/// keys() calls back once per key, sorted bytewise.
template <class S>
concept key_value_store = requires(S& store, std::string_view key, std::uint64_t offset, std::span<std::byte> into,
                                   void (*each)(void*, std::string_view, value_information const&)) {
  { store.stat(key) } -> awaitable_of<result<value_information>>;
  { store.read(key, offset, into) } -> awaitable_of<result<std::size_t>>;
  { store.view(key) } -> std::same_as<std::span<std::byte const>>;
  { store.keys(each, static_cast<void*>(nullptr)) } -> std::same_as<result<void>>;
};

}  // namespace morgana
