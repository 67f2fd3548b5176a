// The candidates of one solving, as libsolv sees them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/package.hpp"
#include "package/libsolv.hpp"

namespace morgana::driver::package_detail {

/// libsolv's queue with an owner.
class id_queue {
 public:
  id_queue() { queue_init(&queue); }
  ~id_queue() { queue_free(&queue); }
  id_queue(id_queue const&) = delete;
  id_queue& operator=(id_queue const&) = delete;

  Queue queue;
};

/// A version of a package that may be chosen.
struct candidate {
  recipe const* what = nullptr;
  repository const* from = nullptr;
  std::size_t rank = 0;                        ///< of the repository
  std::vector<package_requirement> requires_;  ///< of what->requires_, in their order
};

class solver_pool {
 public:
  /// Versions for other targets are left out; of equal versions the one of the earlier repository counts, or
  /// that of the repository which the lock names.
  solver_pool(std::vector<repository> const& repositories, lock_file const& locked, std::string_view target);
  ~solver_pool();
  solver_pool(solver_pool const&) = delete;
  solver_pool& operator=(solver_pool const&) = delete;

  [[nodiscard]] Pool* pool() const { return pool_; }
  [[nodiscard]] Id dependency(package_requirement const& one) const;
  [[nodiscard]] candidate const* of(Id solvable) const;
  /// Every version of a package, newest first.
  [[nodiscard]] std::vector<candidate const*> versions(std::string_view name) const;
  /// Names of all packages for this target, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  void add(candidate const& one, Repo* into);

  Pool* pool_;
  std::vector<candidate> candidates_;  ///< sorted by name, newest version first
  std::map<Id, candidate const*> by_solvable_;
};

/// Why nothing fits, in the requirements' own words.
[[nodiscard]] diagnostic explain_conflict(solver_pool const& pool, Solver* solver,
                                          std::vector<located_string> const& requirements,
                                          std::vector<package_requirement> const& parsed);

/// A required name that no repository has for this target: `unknown-package` or `package-target`.
[[nodiscard]] diagnostic explain_unknown(solver_pool const& pool, std::vector<repository> const& repositories,
                                         located_string const& requirement, std::string_view name,
                                         std::string_view target);

}  // namespace morgana::driver::package_detail
