// Files of Debian source packages, from the mirrors that apt is configured for, by apt's own downloader: so
// proxies, credentials and mirror settings of the machine apply.
#include <algorithm>
#include <array>
#include <system_error>

#include <fmt/format.h>

#include "package/fetch.hpp"
#include "package/process.hpp"
#include "package/sha256.hpp"
#include "package/shared_cache.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

constexpr char const* apt_helper = "/usr/lib/apt/apt-helper";

// `apt-get --print-uris update` names the index files of every configured suite, whether they have been
// downloaded or not; what comes before /dists/ is a mirror.
outcome<std::vector<std::string>> mirror_sites() {
  std::vector<std::string> sites;
  auto const line = [&](std::string_view text) {
    auto const end = text.find("/dists/");
    if (!text.starts_with('\'') || end == std::string_view::npos) return;
    std::string site(text.substr(1, end - 1));
    if (std::ranges::find(sites, site) == sites.end()) sites.push_back(std::move(site));
  };
  auto const run = run_process({.arguments = {"apt-get", "--print-uris", "update"},
                                .folder = {},
                                .environment = {"LC_ALL=C.UTF-8"},
                                .line = line});
  if (!run.started) return missing_tool("apt-get", "apt", "sources of packages come through apt's mirrors");
  return sites;
}

// apt says `E: Failed to fetch URL  REASON`.
std::string reason_of(process_end const& run) {
  for (std::string_view rest = run.output; !rest.empty();) {
    auto const end = std::min(rest.find('\n'), rest.size());
    auto const line = rest.substr(0, end);
    if (line.starts_with("E: Failed to fetch ")) {
      auto const space = line.find("  ");
      if (space != std::string_view::npos) return std::string(line.substr(space + 2));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return last_lines(run.output, 1);
}

struct attempt {
  std::string url;
  std::string why;
};

std::uint64_t size_of(fs::path const& file) {
  std::error_code error;
  auto const size = fs::file_size(file, error);
  return error ? 0 : size;
}

outcome<fs::path> download(recipe const& what, apt_source const& source, fs::path const& place,
                           progress const& report) {
  auto sites = mirror_sites();
  if (!sites) return fail(std::move(sites));
  auto staging = staging_folder::make(place.parent_path());
  if (!staging) return fail(std::move(staging));
  auto const file = staging->path() / "file";

  std::vector<attempt> attempts;
  std::string received;
  for (auto const& url : pool_urls(*sites, source.package, source.file)) {
    auto const say = [&] {
      // apt writes to a name of its own beside the file until it is complete.
      std::uint64_t bytes = 0;
      std::error_code error;
      for (fs::directory_iterator at(staging->path(), error), end; !error && at != end; at.increment(error)) {
        bytes = std::max(bytes, size_of(at->path()));
      }
      report(fmt::format("download {} (bytes)", source.file), static_cast<std::size_t>(bytes), 0);
    };
    if (report) say();
    auto const run = run_process({.arguments = {apt_helper, "download-file", url, file.string()},
                                  .folder = staging->path(),
                                  .environment = {"LC_ALL=C.UTF-8"},
                                  .line = {},
                                  .tick = report ? std::function<void()>(say) : std::function<void()>()});
    if (!run.started)
      return missing_tool(apt_helper, "apt", "sources of packages come through apt's mirrors");
    auto const hash = run.good() ? sha256_of_file(file) : std::nullopt;
    if (hash == source.sha256) {
      if (auto moved = move_into_place(file, place); !moved) return fail(std::move(moved));
      return place;
    }
    if (hash) received = *hash;
    attempts.push_back({url, hash ? "it has the hash " + *hash : reason_of(run)});
    std::error_code ignored;
    fs::remove(file, ignored);
  }

  diagnostic problem{
      .code = "fetch-failed",
      .message = fmt::format("no mirror has `{}` of source package `{}`", source.file, source.package),
      .where = what.name.where};
  if (!received.empty()) {
    problem.code = "hash-mismatch";
    problem.message =
        fmt::format("`{}` is not the file that the recipe of `{}` means", source.file, what.name.value);
    problem.notes.push_back({fmt::format("the recipe says  sha256 {}", source.sha256)});
    problem.notes.push_back({fmt::format("the mirror's has sha256 {}", received)});
  }
  for (auto const& one : attempts) problem.notes.push_back({fmt::format("tried {}: {}", one.url, one.why)});
  if (attempts.empty()) {
    problem.notes.push_back({"apt is configured for no mirror (`apt-get --print-uris update` names none)"});
  }
  problem.help = {
      fmt::format("if Debian has replaced the file, get it from an archive of old packages and put it at {}",
                  place.string())};
  return fail(std::move(problem));
}

}  // namespace

std::vector<std::string> pool_urls(std::vector<std::string> const& sites, std::string const& package,
                                   std::string const& file) {
  // libfoo lies below libf, everything else below its first letter; the security archive has `updates`.
  auto const prefix =
      package.starts_with("lib") && package.size() > 3 ? package.substr(0, 4) : package.substr(0, 1);
  std::vector<std::string> urls;
  for (auto const* pool : {"pool/main", "pool/updates/main"}) {
    for (auto const& site : sites) {
      urls.push_back(fmt::format("{}/{}/{}/{}/{}", site, pool, prefix, package, file));
    }
  }
  return urls;
}

outcome<fs::path> archive_of(recipe const& what, apt_source const& source, package_cache const& cache,
                             progress const& report) {
  auto const place = cache.root / "sources" / source.sha256;
  std::error_code error;
  if (fs::exists(place, error)) {
    auto const hash = sha256_of_file(place);
    if (hash == source.sha256) return place;
    fs::remove(place, error);  // cut short or altered; it is fetched again
  }
  if (cache.offline) {
    return is_offline(what, fmt::format("`{}`", source.file),
                      fmt::format("run once without --offline, or put the file at {}", place.string()));
  }
  return download(what, source, place, report);
}

}  // namespace morgana::driver::package_detail
