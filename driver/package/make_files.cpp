// The [[file]]s of a recipe: what other projects leave to configure and make, without running either.
#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "morgana/driver/toml.hpp"
#include "package/fetch.hpp"
#include "package/glob.hpp"
#include "package/process.hpp"
#include "package/shared_cache.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

class maker {
 public:
  maker(recipe const& what, recipe_file const& file, fs::path const& root)
      : what_(what), file_(file), root_(root), to_(root / file.to) {}

  outcome<void> make() const {
    if (auto made = make_folder(to_.parent_path()); !made) return made;
    switch (file_.how) {
      case recipe_file::way::text:
        return write_whole(to_, file_.text);
      case recipe_file::way::own:
        return own();
      case recipe_file::way::copy:
        return copy();
      case recipe_file::way::edit:
        return edit();
    }
    return {};
  }

 private:
  outcome<void> own() const {
    auto const text = read_text_file(what_.file.parent_path() / file_.from.front());
    if (!text) return std::unexpected<diagnostics>(text.error());
    return write_whole(to_, *text);
  }

  outcome<void> copy() const {
    auto const from = root_ / file_.from.front();
    std::error_code error;
    if (fs::is_regular_file(from, error)) return copy_one(from, to_);
    if (!fs::is_directory(from, error)) return failed("the source has no `{}`", file_.from.front());
    auto const left_out = expand_globs(from, file_.exclude);
    for (auto const& one : files_below(from)) {
      if (std::ranges::binary_search(left_out, one)) continue;
      if (auto copied = copy_one(from / one, to_ / one); !copied) return copied;
    }
    return {};
  }

  outcome<void> copy_one(fs::path const& from, fs::path const& to) const {
    if (auto made = make_folder(to.parent_path()); !made) return made;
    std::error_code error;
    fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    if (error) return failed("{}", error.message());
    return {};
  }

  outcome<void> edit() const {
    std::string before;
    for (auto const& name : file_.from) {
      auto const text = read_text_file(root_ / name);
      if (!text) return failed("the source has no `{}`", name);
      before += *text;
    }
    if (auto written = write_whole(to_, before); !written) return written;
    // In its sandbox sed neither runs commands nor touches another file.
    std::vector<std::string> call = {"sed", "--sandbox", "--in-place"};
    if (file_.script.empty())
      call.push_back("--expression=" + file_.text);
    else
      call.push_back("--file=" + (root_ / file_.script).string());
    call.push_back("--");
    call.push_back(to_.string());
    auto const run =
        run_process({.arguments = std::move(call), .folder = root_, .environment = {"LC_ALL=C.UTF-8"}});
    if (!run.started) return missing_tool("sed", "sed", "a recipe edits files");
    if (!run.good()) return failed("sed said: {}", last_lines(run.output));
    // A script that finds nothing any more would leave the old content in silence.
    auto const after = read_text_file(to_);
    if (!after || *after == before) return failed("the script changes nothing");
    return {};
  }

  template <class... Arguments>
  std::unexpected<diagnostics> failed(fmt::format_string<Arguments...> form, Arguments&&... arguments) const {
    return fail(
        {.code = "patch-failed",
         .message = fmt::format("cannot make `{}` of package `{}` {}: {}", file_.to, what_.name.value,
                                what_.version, fmt::format(form, std::forward<Arguments>(arguments)...)),
         .where = what_.name.where,
         .help = {"a [[file]] of the recipe does not fit this version of the source"}});
  }

  recipe const& what_;
  recipe_file const& file_;
  fs::path const& root_;
  fs::path to_;
};

}  // namespace

outcome<void> make_files(recipe const& what, fs::path const& root) {
  for (auto const& file : what.files) {
    if (auto made = maker(what, file, root).make(); !made) return made;
  }
  return {};
}

}  // namespace morgana::driver::package_detail
