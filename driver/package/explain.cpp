// Turning libsolv's reasons into one diagnostic that names the requirements and their places.
#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "package/solver_pool.hpp"

namespace morgana::driver::package_detail {

namespace {

std::string plain_name(Pool* pool, Id dependency) {
  while (ISRELDEP(dependency)) dependency = GETRELDEP(pool, dependency)->name;
  return pool_id2str(pool, dependency);
}

// A requirement that takes part in the conflict.
struct reason {
  located_string text;
  std::string by;             ///< "`a` 1.0"; empty: the application
  bool nothing_fits = false;  ///< no version at all satisfies it
};

struct conflict {
  std::vector<reason> reasons;
  std::vector<std::string> names;  ///< packages of which two versions would be needed, or none is there

  void add(reason one) {
    for (auto& known : reasons) {
      if (known.text.value == one.text.value && known.by == one.by) {
        known.nothing_fits = known.nothing_fits || one.nothing_fits;
        return;
      }
    }
    reasons.push_back(std::move(one));
  }
  void add_name(std::string name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
};

void add_package_rule(conflict& into, solver_pool const& pool, Id from, Id dependency, bool nothing_fits) {
  auto const* const by = pool.of(from);
  if (!by) return;
  for (std::size_t at = 0; at < by->requires_.size() && at < by->what->requires_.size(); ++at) {
    if (pool.dependency(by->requires_[at]) != dependency) continue;
    into.add({by->what->requires_[at], fmt::format("`{}` {}", by->what->name.value, by->what->version),
              nothing_fits});
  }
  if (nothing_fits) into.add_name(plain_name(pool.pool(), dependency));
}

void add_rule(conflict& into, solver_pool const& pool, Solver* solver, Id rule,
              std::vector<located_string> const& requirements,
              std::vector<package_requirement> const& parsed) {
  Id from = 0, to = 0, dependency = 0;
  auto const kind = solver_ruleinfo(solver, rule, &from, &to, &dependency);
  switch (kind) {
    case SOLVER_RULE_JOB:
    case SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP:
    case SOLVER_RULE_JOB_UNKNOWN_PACKAGE: {
      auto const job = solver_rule2jobidx(solver, rule);  // from 1, in pairs
      auto const at = static_cast<std::size_t>((job - 1) / 2);
      if (job <= 0 || at >= requirements.size()) break;
      bool const nothing = kind != SOLVER_RULE_JOB;
      into.add({requirements[at], {}, nothing});
      if (nothing) into.add_name(parsed[at].name);
      break;
    }
    case SOLVER_RULE_PKG_REQUIRES:
      add_package_rule(into, pool, from, dependency, false);
      break;
    case SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP:
      add_package_rule(into, pool, from, dependency, true);
      break;
    case SOLVER_RULE_PKG_SAME_NAME:
      if (auto const* const one = pool.of(from)) into.add_name(one->what->name.value);
      break;
    default:
      break;
  }
}

std::string version_list(solver_pool const& pool, std::string const& name) {
  std::vector<std::string> texts;
  for (auto const* one : pool.versions(name))
    texts.push_back(fmt::format("{} ({})", one->what->version, one->from->name));
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}

std::string said_by(reason const& one) {
  auto const who = one.by.empty() ? std::string("the application") : one.by;
  return fmt::format("{} requires `{}`{}", who, one.text.value,
                     one.nothing_fits ? ", which no version satisfies" : "");
}

}  // namespace

diagnostic explain_conflict(solver_pool const& pool, Solver* solver,
                            std::vector<located_string> const& requirements,
                            std::vector<package_requirement> const& parsed) {
  conflict all;
  id_queue rules;
  solver_findallproblemrules(solver, 1, &rules.queue);
  for (int at = 0; at < rules.queue.count; ++at) {
    add_rule(all, pool, solver, rules.queue.elements[at], requirements, parsed);
  }
  // The application's own requirements first, then by who says it; libsolv's order means nothing to a reader.
  std::ranges::sort(all.reasons, {}, [](reason const& one) {
    return std::tuple(one.by, one.text.where.file, one.text.where.line, one.text.value);
  });
  std::ranges::sort(all.names);

  diagnostic result{.code = "package-conflict", .message = "the required packages do not fit together"};
  if (all.names.size() == 1) {
    bool const nothing = std::ranges::any_of(all.reasons, &reason::nothing_fits);
    result.message =
        nothing && all.reasons.size() == 1
            ? fmt::format("no version of `{}` satisfies `{}`", all.names[0], all.reasons[0].text.value)
            : fmt::format("no version of `{}` satisfies all that is required", all.names[0]);
  }
  for (auto const& one : all.reasons) {
    auto const& place = one.text.where;
    if (!result.where && one.by.empty() && !place.file.empty()) result.where = place;
    result.notes.push_back({said_by(one), place.file.empty() ? std::optional<source_location>() : place});
  }
  for (auto const& name : all.names) {
    result.notes.push_back({fmt::format("versions of `{}` there are: {}", name, version_list(pool, name))});
  }
  result.help = {
      "loosen one of these requirements, or add a repository that has a version which fits them all"};
  return result;
}

diagnostic explain_unknown(solver_pool const& pool, std::vector<repository> const& repositories,
                           located_string const& requirement, std::string_view name,
                           std::string_view target) {
  diagnostic result;
  if (!requirement.where.file.empty()) result.where = requirement.where;
  std::set<std::string> targets;
  std::set<std::string> all_names;
  for (auto const& from : repositories) {
    for (auto const& what : from.recipes) {
      all_names.insert(what.name.value);
      if (what.name.value == name) targets.insert(what.targets.begin(), what.targets.end());
    }
  }
  if (!targets.empty()) {
    result.code = "package-target";
    result.message = fmt::format("package `{}` is not for target `{}`", name, target);
    result.notes.push_back({fmt::format("it is for {}", fmt::join(targets, ", "))});
    result.help = {"configure for one of these targets, or use another package"};
    return result;
  }
  result.code = "unknown-package";
  result.message = fmt::format("no repository has a package `{}`", name);
  for (auto const& from : repositories) {
    result.notes.push_back({fmt::format("looked in `{}` ({}), {} packages", from.name, from.folder.string(),
                                        from.recipes.size())});
  }
  auto candidates = pool.names();
  if (auto close = nearest(name, candidates))
    result.help.push_back(fmt::format("did you mean `{}`?", *close));
  else
    result.help.push_back(
        "write a recipe NAME.toml into a folder that `repositories` of unikernel.toml names");
  return result;
}

}  // namespace morgana::driver::package_detail
