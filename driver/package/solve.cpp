// Choosing versions, with libsolv.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "package/solver_pool.hpp"

namespace morgana::driver {

using namespace package_detail;

namespace {

using chosen_map = std::map<std::string, candidate const*, std::less<>>;

// Names that nobody has are told before solving: libsolv would only say that nothing provides them.
diagnostics unknown_names(solver_pool const& pool, std::vector<repository> const& repositories,
                          std::vector<located_string> const& requirements,
                          std::vector<package_requirement> const& parsed, std::string_view target) {
  diagnostics found;
  auto const names = pool.names();
  std::set<std::string> told;
  for (std::size_t at = 0; at < parsed.size(); ++at) {
    auto const& name = parsed[at].name;
    if (std::ranges::binary_search(names, name) || !told.insert(name).second) continue;
    found.push_back(explain_unknown(pool, repositories, requirements[at], name, target));
  }
  return found;
}

// When solving failed: a package that all versions of something required need, but which is not there.
std::optional<diagnostic> unknown_dependency(solver_pool const& pool,
                                             std::vector<repository> const& repositories,
                                             std::vector<package_requirement> const& parsed,
                                             std::string_view target) {
  auto const names = pool.names();
  std::vector<std::string> open;
  for (auto const& one : parsed) open.push_back(one.name);
  std::set<std::string> seen(open.begin(), open.end());
  while (!open.empty()) {
    auto const name = open.back();
    open.pop_back();
    auto const versions = pool.versions(name);
    for (auto const* one : versions) {
      for (std::size_t at = 0; at < one->requires_.size(); ++at) {
        auto const& needed = one->requires_[at].name;
        if (!std::ranges::binary_search(names, needed)) {
          // With a choice of versions the missing one need not be the reason.
          if (versions.size() == 1)
            return explain_unknown(pool, repositories, one->what->requires_[at], needed, target);
        } else if (seen.insert(needed).second) {
          open.push_back(needed);
        }
      }
    }
  }
  return std::nullopt;
}

class ordering {
 public:
  explicit ordering(chosen_map const& chosen) : chosen_(chosen) {}

  // Depth first, names in order. False on a cycle, which then lies in cycle().
  bool visit(std::string const& name) {
    if (done_.contains(name)) return true;
    if (auto const at = std::ranges::find(path_, name); at != path_.end()) {
      path_.erase(path_.begin(), at);
      path_.push_back(name);
      return false;
    }
    auto const found = chosen_.find(name);
    if (found == chosen_.end()) return true;
    path_.push_back(name);
    std::set<std::string> needed;
    for (auto const& one : found->second->requires_) needed.insert(one.name);
    for (auto const& one : needed) {
      if (!visit(one)) return false;
    }
    path_.pop_back();
    done_.insert(name);
    order_.push_back(found->second);
    return true;
  }
  [[nodiscard]] std::vector<candidate const*> const& order() const { return order_; }
  [[nodiscard]] std::vector<std::string> const& cycle() const { return path_; }

 private:
  chosen_map const& chosen_;
  std::set<std::string> done_;
  std::vector<std::string> path_;
  std::vector<candidate const*> order_;
};

chosen_map decisions(solver_pool const& pool, Solver* solver) {
  chosen_map chosen;
  id_queue queue;
  solver_get_decisionqueue(solver, &queue.queue);
  for (int at = 0; at < queue.queue.count; ++at) {
    if (auto const* one = pool.of(queue.queue.elements[at])) chosen[one->what->name.value] = one;
  }
  return chosen;
}

outcome<std::vector<chosen_package>> in_order(chosen_map const& chosen,
                                              std::vector<package_requirement> const& parsed) {
  ordering sorted(chosen);
  std::set<std::string> roots;
  for (auto const& one : parsed) roots.insert(one.name);
  for (auto const& one : roots) {
    if (sorted.visit(one)) continue;
    auto const& first = chosen.find(sorted.cycle().front())->second->what;
    return fail({.code = "package-conflict",
                 .message = fmt::format("packages require each other: {}", fmt::join(sorted.cycle(), " → ")),
                 .where = first->name.where,
                 .help = {"remove one of these requirements, or put the packages into one recipe"}});
  }
  std::vector<chosen_package> result;
  for (auto const* one : sorted.order()) {
    auto origin = one->from->name;
    if (!one->from->revision.empty()) origin += "@" + one->from->revision;
    result.push_back({*one->what, std::move(origin), {}, {}});
  }
  return result;
}

}  // namespace

outcome<std::vector<chosen_package>> solve(std::vector<repository> const& repositories,
                                           std::vector<located_string> const& requirements,
                                           lock_file const& locked, std::string_view target) {
  std::vector<package_requirement> parsed;
  diagnostics problems;
  for (auto const& one : requirements) {
    auto requirement = parse_requirement(one);
    if (requirement)
      parsed.push_back(std::move(*requirement));
    else
      std::ranges::move(requirement.error(), std::back_inserter(problems));
  }
  if (!problems.empty()) return std::unexpected<diagnostics>(std::move(problems));

  solver_pool const pool(repositories, locked, target);
  problems = unknown_names(pool, repositories, requirements, parsed, target);
  if (!problems.empty()) return std::unexpected<diagnostics>(std::move(problems));

  id_queue jobs;
  for (auto const& one : parsed) {
    queue_push2(&jobs.queue, SOLVER_INSTALL | SOLVER_SOLVABLE_PROVIDES, pool.dependency(one));
  }
  // A requirement may have made new names: what provides them must be known again.
  pool_createwhatprovides(pool.pool());
  std::unique_ptr<Solver, void (*)(Solver*)> const solver(solver_create(pool.pool()), solver_free);
  if (solver_solve(solver.get(), &jobs.queue) != 0) {
    if (auto unknown = unknown_dependency(pool, repositories, parsed, target))
      return fail(std::move(*unknown));
    return fail(explain_conflict(pool, solver.get(), requirements, parsed));
  }
  return in_order(decisions(pool, solver.get()), parsed);
}

void record(lock_file& lock, std::string_view target, std::vector<chosen_package> const& packages) {
  auto& used = lock.targets[std::string(target)];
  used.packages.clear();
  for (auto const& one : packages) {
    locked_package entry{one.what.name.value, one.what.version, one.origin,
                         one.source_sha256,   one.what.sha256,  {}};
    for (auto const& text : one.what.requires_) {
      if (auto requirement = parse_requirement(text)) entry.requires_.push_back(requirement->name);
    }
    std::ranges::sort(entry.requires_);
    entry.requires_.erase(std::ranges::unique(entry.requires_).begin(), entry.requires_.end());
    used.packages.push_back(entry.name);
    auto& place = lock.packages[entry.name];
    // The repository's revision moves with every commit to it; as long as recipe and source are the same, the
    // revision at which they were locked stays.
    auto same = entry;
    same.origin = place.origin;
    auto const name = [](std::string const& origin) { return origin.substr(0, origin.rfind('@')); };
    if (place == same && name(place.origin) == name(entry.origin)) continue;
    place = std::move(entry);
  }
  std::ranges::sort(used.packages);
  std::erase_if(lock.packages, [&](auto const& entry) {
    return std::ranges::none_of(lock.targets, [&](auto const& one) {
      return std::ranges::binary_search(one.second.packages, entry.first);
    });
  });
}

}  // namespace morgana::driver
