// The cache of answers. An entry is one text file: its key in full, every file the answer depends on with
// its size, time of change and hash, then the answer. A warm call costs one stat per file and reads nothing
// else.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace morgana::driver {

/// At most this many entries are kept; the oldest go first.
inline constexpr std::size_t cache_entries_max = 256;

/// The answer stored under `key`, unless a file that it depends on has changed since. A file whose time
/// differs but whose bytes do not counts as unchanged. A damaged entry counts as none.
[[nodiscard]] std::optional<std::string> load_answer(std::filesystem::path const& folder,
                                                     std::string_view key);

/// Stores an answer, atomically. `started` is when the reading began: a file changed since then was perhaps
/// read in its old form, so nothing is stored; one changed shortly before is compared by hash, because its
/// time cannot show a second change. Failing to write is not an error: it costs time, not correctness.
void store_answer(std::filesystem::path const& folder, std::string_view key,
                  std::vector<std::filesystem::path> const& files,
                  std::chrono::system_clock::time_point started, std::string_view answer);

/// FNV-1a, 64 bits: finds changes, resists nobody.
[[nodiscard]] std::uint64_t content_hash(std::string_view bytes, std::uint64_t seed = 0xcbf29ce484222325u);

}  // namespace morgana::driver
