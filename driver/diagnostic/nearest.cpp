#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {
namespace {

/// No name that a person mistypes is longer; the distance costs the product of the lengths.
constexpr std::size_t name_bytes_max = 256;

/// Edits that make one text of the other: a character more, less, another, or two neighbours swapped
/// (optimal string alignment; Levenshtein's distance counts a swap, the commonest slip, as two).
std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> before(right.size() + 1);
  std::vector<std::size_t> above(right.size() + 1);
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= left.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      auto const same = left[i - 1] == right[j - 1];
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0u : 1u)});
      if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above.back();
}

}  // namespace

std::optional<std::string> nearest(std::string_view name, std::vector<std::string> const& candidates) {
  auto best_distance = std::numeric_limits<std::size_t>::max();
  std::string const* best = nullptr;
  if (name.size() > name_bytes_max) return std::nullopt;
  for (auto const& candidate : candidates) {
    if (candidate.size() > name_bytes_max) continue;
    auto const distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = &candidate;
    }
  }
  auto const longest = std::max(name.size(), best ? best->size() : 0);
  auto const limit = std::max<std::size_t>(1, longest / 3);
  // Texts of one character have nothing in common when that differs.
  if (!best || best_distance == 0 || best_distance > limit || best_distance >= longest) return std::nullopt;
  return *best;
}

}  // namespace morgana::driver
