// Building packages into the store.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <ranges>
#include <set>
#include <system_error>
#include <tuple>

#include <fmt/format.h>

#include "morgana/driver/toml.hpp"
#include "package/compile.hpp"
#include "package/fetch.hpp"
#include "package/process.hpp"
#include "package/sha256.hpp"
#include "package/shared_cache.hpp"

namespace morgana::driver {

namespace fs = std::filesystem;
using namespace package_detail;

namespace {

// Objects of path sources that nobody has used for so long are removed: every edit leaves some.
constexpr auto object_lifetime = std::chrono::days(7);

bool is_there(fs::path const& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool in_place(build_item const& item) {
  return std::holds_alternative<path_source>(item.package->what.source);
}

// `_` is doubled, so that no two names become one.
std::string flat_name(std::string_view source) {
  std::string out;
  for (char const one : source) {
    if (one == '/')
      out += '_';
    else if (one == '_')
      out += "__";
    else
      out += one;
  }
  return out + ".o";
}

class builder {
 public:
  builder(std::vector<chosen_package> const& packages, guest_toolchain const& toolchain,
          package_cache const& cache, progress const& report, unsigned jobs)
      : toolchain_(toolchain),
        cache_(cache),
        report_(report),
        jobs_(jobs),
        items_(plan_items(packages, toolchain, cache, hashes_)) {}

  outcome<std::vector<built_package>> place() const {
    if (auto checked = check_sources(); !checked) return fail(std::move(checked));
    std::vector<built_package> all;
    for (auto const& item : items_) all.push_back(describe_entry(item));
    return all;
  }

  outcome<std::vector<built_package>> run() {
    auto all = place();
    if (!all) return all;
    if (std::ranges::any_of(items_, [](auto const& item) { return !is_there(item.entry); })) {
      if (auto made = build_missing(); !made) return fail(std::move(made));
    }
    return all;
  }

 private:
  // A glob that matches nothing is a mistake in a recipe; only a tree that is being written may lack files
  // yet.
  outcome<void> check_sources() const {
    for (auto const& item : items_) {
      auto const& what = item.package->what;
      if (in_place(item) || is_there(item.entry)) continue;
      auto const empty =
          std::ranges::find_if(item.archives, [](auto const& one) { return one.sources.empty(); });
      if (empty == item.archives.end()) continue;
      diagnostic none{
          .code = "package-build",
          .message = fmt::format("package `{}` {} does not build: none of its source globs matches a file",
                                 what.name.value, what.version),
          .where = what.name.where,
          .notes = {{fmt::format("looked in {}", item.package->source.string())}}};
      if (!what.archives.empty())
        none.notes.push_back({fmt::format("for the archive `{}`", empty->what.name)});
      return fail(std::move(none));
    }
    return {};
  }

  outcome<void> build_missing() {
    if (!find_program("ninja")) return missing_tool("ninja", "ninja-build", "packages are built with it");
    for (auto const* tool : {&toolchain_.clang, &toolchain_.clangxx, &toolchain_.archiver}) {
      if (!find_program(tool->string()))
        return missing_tool(tool->string(), "clang-22 llvm-22", "packages are built with it");
    }
    std::set<std::string> names;  // sorted: two processes that need the same locks never wait for each other
    for (auto const& item : items_) {
      if (!is_there(item.entry)) names.insert(item.entry.filename().string());
    }
    std::vector<cache_lock> locks;
    for (auto const& name : names) {
      auto lock = cache_lock::take(cache_, "store-" + name, report_);
      if (!lock) return fail(std::move(lock));
      locks.push_back(std::move(*lock));
    }
    auto staging = staging_folder::make(cache_.root / "store");
    if (!staging) return fail(std::move(staging));
    staging_ = staging->path();
    std::vector<entry_build> entries;
    for (auto const& item : items_) {
      if (names.contains(item.entry.filename().string()) && !is_there(item.entry))
        entries.push_back(prepare(item));
    }
    if (entries.empty()) return {};
    for (auto const& item : items_) {
      std::error_code error;
      fs::create_directory_symlink(item.package->source, staging_ / item.prefix, error);
      if (error && !is_there(staging_ / item.prefix)) return cannot_write(staging_ / item.prefix, error);
    }
    std::vector<entry_build> compiled;
    for (auto const& entry : entries) {
      if (std::ranges::any_of(entry.objects, [](auto const& of_one) { return !of_one.empty(); }))
        compiled.push_back(entry);
    }
    if (!compiled.empty()) {
      if (auto built = compile(compiled); !built) {
        // A library that took minutes is not lost because of another package's mistake.
        std::erase_if(entries, [this](auto const& entry) { return !is_complete(entry); });
        std::ignore = commit(entries);
        return built;
      }
    }
    return commit(entries);
  }

  entry_build prepare(build_item const& item) {
    entry_build entry{&item, item.entry.filename().string(), {}};
    std::error_code error;
    fs::create_directories(staging_ / entry.folder, error);
    for (auto const& archive : item.archives) {
      auto const folder = fmt::format("{}/obj/{}", entry.folder, archive.what.name);
      fs::create_directories(staging_ / folder, error);
      auto& objects = entry.objects.emplace_back();
      for (auto const& source : archive.sources) {
        build_object object{source, folder + "/" + flat_name(source), {}, false};
        if (in_place(item)) reuse(item, archive, object);
        objects.push_back(std::move(object));
      }
    }
    return entry;
  }

  [[nodiscard]] bool is_complete(entry_build const& entry) const {
    auto const built = describe_entry(*entry.item);
    return std::ranges::all_of(built.archives, [&](auto const& archive) {
      return is_there(staging_ / entry.folder / archive.filename());
    });
  }

  void reuse(build_item const& item, archive_item const& archive, build_object& object) {
    std::error_code error;
    auto& hashes = hashes_.try_emplace(item.package->source, cache_, item.package->source).first->second;
    auto const key = object_key(item, archive, object.source, toolchain_, cache_, items_, hashes);
    object.kept = cache_.root / "objects" / (key + ".o");
    fs::copy_file(object.kept, staging_ / object.output, error);
    object.reused = !error;
    // Marks it as used, see object_lifetime.
    if (object.reused) fs::last_write_time(object.kept, fs::file_time_type::clock::now(), error);
  }

  outcome<void> compile(std::vector<entry_build> const& entries) {
    auto written = write_whole(staging_ / "build.ninja", ninja_text(entries, items_, toolchain_, staging_));
    if (!written) return written;
    std::string output;
    auto const line = [&](std::string_view text) {
      output += text;
      output += '\n';
      if (report_) tell(text);
    };
    std::vector<std::string> call = {"ninja", "-C", staging_.string()};
    if (jobs_ != 0) call.push_back(fmt::format("-j{}", jobs_));
    auto const run = run_process(
        {.arguments = call, .environment = {"NINJA_STATUS=[%f/%t] ", "LC_ALL=C.UTF-8"}, .line = line});
    auto kept = keep_objects(entries);
    if (run.good()) return kept;
    if (!run.started) return missing_tool("ninja", "ninja-build", run.error);
    auto const log = cache_.root / "logs" / (entries.front().folder + ".log");
    if (auto made = make_folder(log.parent_path()); !made) return made;
    if (auto saved = write_whole(log, output); !saved) return saved;
    return fail(explain_failure(output, items_, entries, log));
  }

  // `[12/34] compile llhttp src/api.c`
  void tell(std::string_view text) const {
    if (!text.starts_with('[')) return;
    auto const slash = text.find('/');
    auto const end = text.find("] ");
    if (slash == std::string_view::npos || end == std::string_view::npos || slash > end) return;
    std::size_t done = 0, total = 0;
    std::from_chars(text.data() + 1, text.data() + slash, done);
    std::from_chars(text.data() + slash + 1, text.data() + end, total);
    report_(text.substr(end + 2), done, total);
  }

  // Objects of path sources, also those of a build that failed elsewhere.
  outcome<void> keep_objects(std::vector<entry_build> const& entries) {
    diagnostics problems;
    bool any = false;
    for (auto const& entry : entries) {
      for (auto const& object : entry.objects | std::views::join) {
        if (object.kept.empty() || object.reused || !is_there(staging_ / object.output)) continue;
        auto const foreign = foreign_files(*entry.item, object);
        if (!foreign) continue;
        if (!foreign->empty()) {
          problems.push_back(outside(*entry.item, object.source, foreign->front()));
          continue;
        }
        if (!any) prepare_objects();
        any = true;
        auto const beside = fs::path(object.kept.string() + ".new-" + staging_.filename().string());
        std::error_code error;
        fs::copy_file(staging_ / object.output, beside, error);
        if (!error) fs::rename(beside, object.kept, error);
      }
    }
    if (!problems.empty()) return std::unexpected<diagnostics>(std::move(problems));
    return {};
  }

  // Files of a package's own tree that an object used although they are not among its content; nullopt when
  // the object also depends on another source of the package, so that its key does not cover it.
  std::optional<std::vector<std::string>> foreign_files(build_item const& item,
                                                        build_object const& object) const {
    auto const text = read_text_file(staging_ / (object.output + ".d"));
    std::vector<std::string> foreign;
    if (!text) return foreign;
    bool covered = true;
    for (auto const& name : read_depfile(*text)) {
      if (!name.starts_with(item.prefix + "/")) continue;
      auto const file = fs::path(name.substr(item.prefix.size() + 1)).lexically_normal().string();
      if (file == object.source || std::ranges::binary_search(item.files.others, file)) continue;
      if (std::ranges::binary_search(item.files.sources, file))
        covered = false;
      else
        foreign.push_back(file);
    }
    if (!covered && foreign.empty()) return std::nullopt;
    return foreign;
  }

  diagnostic outside(build_item const& item, std::string const& source, std::string const& file) const {
    auto const& what = item.package->what;
    return {.code = "package-build",
            .message = fmt::format("package `{}` includes `{}`, which is not part of its content",
                                   what.name.value, file),
            .where = source_location{item.package->source / source, 0, 0, 1},
            .notes = {{"its recipe is here", what.name.where},
                      {"a change of that file would not be noticed, and the store would give an old build"}},
            .help = {"name its folder in `include` of [build], or move it beside the sources"}};
  }

  void prepare_objects() const {
    auto const folder = cache_.root / "objects";
    std::ignore = make_folder(folder);
    auto const oldest = fs::file_time_type::clock::now() - object_lifetime;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      std::error_code ignored;
      if (at->last_write_time(ignored) < oldest && !ignored) fs::remove(at->path(), ignored);
    }
  }

  // What is good goes to the store, also beside something that is not.
  outcome<void> commit(std::vector<entry_build> const& entries) const {
    diagnostics problems;
    std::map<fs::path, file_hashes> fresh;
    for (auto const& entry : entries) {
      auto const& package = *entry.item->package;
      // An edit during the build would put the wrong content under this key.
      if (in_place(*entry.item)) {
        auto& hashes = fresh.try_emplace(package.source, cache_, package.source).first->second;
        if (content_hash(package.what, package.source, hashes) != package.source_sha256) {
          problems.push_back(changed(package));
          continue;
        }
      }
      std::error_code error;
      fs::remove_all(staging_ / entry.folder / "obj", error);
      if (auto written = write_whole(staging_ / entry.folder / "inputs", entry.item->inputs); !written)
        return written;
      if (auto moved = move_into_place(staging_ / entry.folder, entry.item->entry); !moved) return moved;
    }
    if (problems.empty()) return {};
    return fail(std::move(problems.front()));  // one cause: somebody is editing
  }

  static diagnostic changed(chosen_package const& package) {
    return {.code = "package-build",
            .message =
                fmt::format("the source of package `{}` changed while it was built", package.what.name.value),
            .where = package.what.name.where,
            .help = {"build again; what did not change is not compiled again"}};
  }

  static std::unexpected<diagnostics> cannot_write(fs::path const& what, std::error_code why) {
    return fail({.code = "write-failed",
                 .message = fmt::format("cannot write `{}`: {}", what.string(), why.message())});
  }

  guest_toolchain const& toolchain_;
  package_cache const& cache_;
  progress const& report_;
  unsigned jobs_;
  std::map<fs::path, file_hashes> hashes_;
  std::vector<build_item> items_;
  fs::path staging_;
};

}  // namespace

namespace {

package_cache absolute(package_cache cache) {
  cache.root = fs::absolute(cache.root).lexically_normal();
  return cache;
}

}  // namespace

outcome<std::vector<built_package>> place_packages(std::vector<chosen_package> const& packages,
                                                   guest_toolchain const& toolchain,
                                                   package_cache const& cache) {
  auto const where = absolute(cache);
  return builder(packages, toolchain, where, {}, 0).place();
}

outcome<std::vector<built_package>> build_packages(std::vector<chosen_package> const& packages,
                                                   guest_toolchain const& toolchain,
                                                   package_cache const& cache, progress const& report,
                                                   unsigned jobs) {
  auto const where = absolute(cache);
  return builder(packages, toolchain, where, report, jobs).run();
}

}  // namespace morgana::driver
