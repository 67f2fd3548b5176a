#include "package/solver_pool.hpp"

#include <algorithm>
#include <cstdlib>

#include "morgana/driver/catalogue.hpp"

namespace morgana::driver::package_detail {

namespace {

bool for_target(recipe const& what, std::string_view target) {
  return std::ranges::any_of(what.targets, [&](auto const& glob) { return matches_target(glob, target); });
}

// The part before the revision.
std::string_view origin_name(std::string_view origin) {
  return origin.substr(0, origin.rfind('@'));
}

bool is_locked(candidate const& one, lock_file const& locked) {
  auto const entry = locked.packages.find(one.what->name.value);
  return entry != locked.packages.end() && entry->second.version == one.what->version;
}

bool from_locked_origin(candidate const& one, lock_file const& locked) {
  return is_locked(one, locked) &&
         origin_name(locked.packages.find(one.what->name.value)->second.origin) == one.from->name;
}

int relation_flags(package_requirement::relation op) {
  using enum package_requirement::relation;
  switch (op) {
    case equal:
      return REL_EQ;
    case less:
      return REL_LT;
    case less_equal:
      return REL_LT | REL_EQ;
    case greater:
      return REL_GT;
    case greater_equal:
      return REL_GT | REL_EQ;
    case any:
      break;
  }
  return 0;
}

}  // namespace

solver_pool::solver_pool(std::vector<repository> const& repositories, lock_file const& locked,
                         std::string_view target)
    : pool_(pool_create()) {
  pool_setdisttype(pool_, DISTTYPE_DEB);
  for (auto const& from : repositories) {
    for (auto const& what : from.recipes) {
      if (!for_target(what, target)) continue;
      candidate one{&what, &from, static_cast<std::size_t>(&from - repositories.data()), {}};
      for (auto const& text : what.requires_) {
        if (auto parsed = parse_requirement(text)) one.requires_.push_back(std::move(*parsed));
      }
      candidates_.push_back(std::move(one));
    }
  }
  // Among equal versions the one that the lock names comes first, then the order of the repositories counts.
  auto const compare = [&](candidate const& left, candidate const& right) {
    if (left.what->name.value != right.what->name.value)
      return left.what->name.value < right.what->name.value;
    auto const order =
        pool_evrcmp_str(pool_, left.what->version.c_str(), right.what->version.c_str(), EVRCMP_COMPARE);
    if (order != 0) return order > 0;
    bool const left_locked = from_locked_origin(left, locked);
    if (left_locked != from_locked_origin(right, locked)) return left_locked;
    return left.rank < right.rank;
  };
  std::ranges::sort(candidates_, compare);
  auto const duplicates =
      std::ranges::unique(candidates_, [&](candidate const& left, candidate const& right) {
        return left.what->name.value == right.what->name.value &&
               pool_evrcmp_str(pool_, left.what->version.c_str(), right.what->version.c_str(),
                               EVRCMP_COMPARE) == 0;
      });
  candidates_.erase(duplicates.begin(), duplicates.end());

  // What is locked has a repository of its own: libsolv looks at a repository's priority before it looks at
  // versions, and takes another candidate only when the rules forbid the preferred one.
  Repo* const kept = repo_create(pool_, "locked");
  Repo* const rest = repo_create(pool_, "available");
  kept->priority = 1;
  for (auto const& one : candidates_) add(one, is_locked(one, locked) ? kept : rest);
  pool_createwhatprovides(pool_);
}

solver_pool::~solver_pool() {
  pool_free(pool_);
}

void solver_pool::add(candidate const& one, Repo* into) {
  Id const id = repo_add_solvable(into);
  auto* const solvable = pool_id2solvable(pool_, id);
  solvable->name = pool_str2id(pool_, one.what->name.value.c_str(), 1);
  solvable->evr = pool_str2id(pool_, one.what->version.c_str(), 1);
  solvable->arch = ARCH_ALL;
  auto const self = pool_rel2id(pool_, solvable->name, solvable->evr, REL_EQ, 1);
  solvable_add_deparray(solvable, SOLVABLE_PROVIDES, self, 0);
  for (auto const& required : one.requires_) {
    solvable_add_deparray(solvable, SOLVABLE_REQUIRES, dependency(required), 0);
  }
  by_solvable_[id] = &one;
}

Id solver_pool::dependency(package_requirement const& one) const {
  Id const name = pool_str2id(pool_, one.name.c_str(), 1);
  if (one.op == package_requirement::relation::any) return name;
  return pool_rel2id(pool_, name, pool_str2id(pool_, one.version.c_str(), 1), relation_flags(one.op), 1);
}

candidate const* solver_pool::of(Id solvable) const {
  auto const found = by_solvable_.find(solvable);
  return found == by_solvable_.end() ? nullptr : found->second;
}

std::vector<candidate const*> solver_pool::versions(std::string_view name) const {
  std::vector<candidate const*> all;
  for (auto const& one : candidates_) {
    if (one.what->name.value == name) all.push_back(&one);
  }
  return all;
}

std::vector<std::string> solver_pool::names() const {
  std::vector<std::string> all;
  for (auto const& one : candidates_) {
    if (all.empty() || all.back() != one.what->name.value) all.push_back(one.what->name.value);
  }
  return all;
}

}  // namespace morgana::driver::package_detail
