// Sources in git repositories: a bare copy of each in the cache, and an export of the one revision.
#include <system_error>

#include <fmt/format.h>

#include "package/fetch.hpp"
#include "package/process.hpp"
#include "package/sha256.hpp"
#include "package/shared_cache.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

process_end git(fs::path const& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"git", "-C", folder.string(), "-c", "core.autocrlf=false", "-c",
                                       "tar.umask=0022", "-c", "protocol.ext.allow=never"});
  return run_process(
      {.arguments = std::move(arguments),
       .folder = {},
       // No question may be asked; a connection that stalls is given up.
       .environment = {"GIT_TERMINAL_PROMPT=0", "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=30",
                       "GIT_HTTP_LOW_SPEED_LIMIT=1", "GIT_HTTP_LOW_SPEED_TIME=60"}});
}

bool has_revision(fs::path const& copy, std::string const& revision) {
  return git(copy, {"cat-file", "-e", revision + "^{commit}"}).good();
}

}  // namespace

outcome<void> export_revision(recipe const& what, git_source const& source, package_cache const& cache,
                              progress const& report, fs::path const& into) {
  if (!find_program("git")) return missing_tool("git", "git", "the source of a package is a git repository");
  auto const copy = cache.root / "git" / sha256_of(source.url).substr(0, 32);
  auto lock = cache_lock::take(cache, "git-" + copy.filename().string(), report);
  if (!lock) return fail(std::move(lock));
  if (auto made = make_folder(copy); !made) return made;
  auto run = git(copy, {"init", "--quiet", "--bare"});
  if (run.good() && !has_revision(copy, source.revision)) {
    if (cache.offline) {
      return is_offline(what, fmt::format("revision {} of {}", source.revision, source.url),
                        "run once without --offline");
    }
    if (report) report(fmt::format("fetch {}", source.url), 0, 0);
    // Not every server gives a revision that no branch ends in: then everything is fetched.
    run = git(copy, {"fetch", "--quiet", "--depth=1", "--no-tags", "--", source.url, source.revision});
    if (!run.good())
      run = git(copy, {"fetch", "--quiet", "--force", "--", source.url, "+refs/*:refs/fetched/*"});
    if (run.good() && !has_revision(copy, source.revision)) {
      return fail({.code = "fetch-failed",
                   .message = fmt::format("{} has no revision {}", source.url, source.revision),
                   .where = what.name.where});
    }
  }
  if (run.good()) run = git(copy, {"archive", "--format=tar", "-o", into.string(), source.revision});
  if (run.good()) return {};
  return fail({.code = "fetch-failed",
               .message = fmt::format("cannot fetch {}: {}", source.url, last_lines(run.output, 1)),
               .where = what.name.where,
               .notes = {{fmt::format("git said: {}", last_lines(run.output, 4))}},
               .help = {fmt::format("see whether `git fetch {}` works", source.url)}});
}

}  // namespace morgana::driver::package_detail
