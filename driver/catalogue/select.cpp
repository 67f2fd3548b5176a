#include <algorithm>

#include "morgana/driver/catalogue.hpp"

namespace morgana::driver {

void merge(catalogue& into, catalogue more, std::string_view owner) {
  for (auto& one : more.devices) {
    if (one.targets.empty()) one.targets.emplace_back(owner);
    std::erase_if(into.devices, [&](device const& other) {
      return other.provides.value == one.provides.value && other.name.value == one.name.value &&
             other.targets == one.targets;
    });
    into.devices.push_back(std::move(one));
  }
}

bool matches_target(std::string_view pattern, std::string_view target) {
  // Greedy, with one point to come back to: linear in the product, never exponential.
  std::size_t p = 0;
  std::size_t t = 0;
  auto star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < target.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == target[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<device const*> devices_for(catalogue const& available, std::string_view target) {
  std::vector<device const*> result;
  for (auto const& one : available.devices) {
    auto const holds =
        one.targets.empty() || std::ranges::any_of(one.targets, [&](std::string const& pattern) {
          return matches_target(pattern, target);
        });
    if (!holds) continue;
    std::erase_if(result, [&](device const* other) {
      return other->provides.value == one.provides.value && other->name.value == one.name.value;
    });
    result.push_back(&one);
  }
  return result;
}

std::vector<device const*> candidates(catalogue const& available, std::string_view concept_name,
                                      std::string_view target) {
  auto result = devices_for(available, target);
  std::erase_if(result, [&](device const* one) { return one->provides.value != concept_name; });
  return result;
}

}  // namespace morgana::driver
