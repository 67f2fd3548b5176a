#include <algorithm>
#include <limits>
#include <numeric>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {
namespace {

/// Levenshtein distance, one row at a time.
std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= left.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      auto const above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (left[i - 1] == right[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string> nearest(std::string_view name, std::vector<std::string> const& candidates) {
  auto best_distance = std::numeric_limits<std::size_t>::max();
  std::string const* best = nullptr;
  for (auto const& candidate : candidates) {
    auto const distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = &candidate;
    }
  }
  auto const limit = std::max<std::size_t>(1, std::max(name.size(), best ? best->size() : 0) / 3);
  if (!best || best_distance == 0 || best_distance > limit) return std::nullopt;
  return *best;
}

}  // namespace morgana::driver
