// What differs between two locks, in words.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "morgana/driver/lock.hpp"

namespace morgana::driver {

namespace {

using lines = std::vector<std::string>;

// Calls `both` for each key of either map, in order, with null where one lacks it.
template <class Map, class Function>
void side_by_side(Map const& before, Map const& after, Function both) {
  auto left = before.begin();
  auto right = after.begin();
  while (left != before.end() || right != after.end()) {
    if (right == after.end() || (left != before.end() && left->first < right->first)) {
      both(left->first, &left->second, nullptr);
      ++left;
    } else if (left == before.end() || right->first < left->first) {
      both(right->first, nullptr, &right->second);
      ++right;
    } else {
      both(left->first, &left->second, &right->second);
      ++left;
      ++right;
    }
  }
}

void text_changes(lines& out, std::string const& what, std::map<std::string, std::string> const& before,
                  std::map<std::string, std::string> const& after) {
  side_by_side(before, after, [&](std::string const& name, std::string const* old, std::string const* now) {
    if (!old)
      out.push_back(fmt::format("{} {}: {} (new)", what, name, *now));
    else if (!now)
      out.push_back(fmt::format("{} {}: {} removed", what, name, *old));
    else if (*old != *now)
      out.push_back(fmt::format("{} {}: {} → {}", what, name, *old, *now));
  });
}

// Twelve digits tell two hashes apart for a reader.
std::string short_hash(std::string const& hash) {
  return hash.empty() ? "none" : hash.substr(0, 12);
}

void package_changes(lines& out, std::string const& name, locked_package const& old,
                     locked_package const& now) {
  auto const add = [&](std::string_view what, std::string const& from, std::string const& to) {
    if (from != to) out.push_back(fmt::format("package {}: {}{} → {}", name, what, from, to));
  };
  add("", old.version, now.version);
  add("from ", old.origin, now.origin);
  add("source ", short_hash(old.sha256), short_hash(now.sha256));
  add("recipe ", short_hash(old.recipe_sha256), short_hash(now.recipe_sha256));
  add("requires ", fmt::format("{}", fmt::join(old.requires_, ", ")),
      fmt::format("{}", fmt::join(now.requires_, ", ")));
}

}  // namespace

std::vector<std::string> lock_changes(lock_file const& before, lock_file const& after) {
  lines out;
  text_changes(out, "toolchain", before.toolchain, after.toolchain);
  side_by_side(before.packages, after.packages,
               [&](std::string const& name, locked_package const* old, locked_package const* now) {
                 if (!old)
                   out.push_back(fmt::format("package {}: {} (new)", name, now->version));
                 else if (!now)
                   out.push_back(fmt::format("package {}: {} removed", name, old->version));
                 else
                   package_changes(out, name, *old, *now);
               });
  side_by_side(before.targets, after.targets,
               [&](std::string const& name, locked_target const* old, locked_target const* now) {
                 if (!old) out.push_back(fmt::format("target {}: new", name));
                 if (!now) {
                   out.push_back(fmt::format("target {}: removed", name));
                   return;
                 }
                 locked_target const none;
                 auto const& was = old ? *old : none;
                 text_changes(out, "target " + name + " node", was.nodes, now->nodes);
                 lines gone, come;
                 std::ranges::set_difference(was.packages, now->packages, std::back_inserter(gone));
                 std::ranges::set_difference(now->packages, was.packages, std::back_inserter(come));
                 for (auto const& one : come)
                   out.push_back(fmt::format("target {}: uses package {}", name, one));
                 for (auto const& one : gone)
                   out.push_back(fmt::format("target {}: no longer uses package {}", name, one));
               });
  return out;
}

}  // namespace morgana::driver
