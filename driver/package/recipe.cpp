// Reading recipes.
#include <fmt/format.h>

#include "morgana/driver/recipe.hpp"
#include "morgana/driver/toml.hpp"
#include "package/glob.hpp"
#include "package/names.hpp"
#include "package/sha256.hpp"

namespace morgana::driver {

using namespace package_detail;

namespace {

// A list of globs or folders, each of which must stay below the root.
std::vector<std::string> inner_paths(toml_table table, std::string_view key, std::string_view root) {
  std::vector<std::string> paths;
  for (auto& one : table.texts(key)) {
    if (!stays_inside(one.value)) {
      table.report({.code = "wrong-value",
                    .message = fmt::format("`{}` does not stay below {}", one.value, root),
                    .where = one.where,
                    .help = {"write it relative, without `..`, `.` and empty components"}});
      continue;
    }
    paths.push_back(std::move(one.value));
  }
  return paths;
}

void check(toml_table& table, std::string_view key, std::string const& value, bool good,
           std::string_view form) {
  if (value.empty() || good) return;  // an empty one has been reported as missing
  table.wrong_value(key, fmt::format("`{}` is not {}", value, form));
}

apt_source read_apt(toml_table source) {
  apt_source apt;
  apt.package = source.require_text("package").value;
  apt.version = source.require_text("version").value;
  apt.file = source.require_text("file").value;
  apt.sha256 = source.require_text("sha256").value;
  check(source, "package", apt.package, is_package_name(apt.package), "the name of a Debian source package");
  check(source, "version", apt.version, is_package_version(apt.version), "a Debian version");
  check(source, "file", apt.file, is_file_name(apt.file), "the name of a file of a source package");
  check(source, "sha256", apt.sha256, is_hash(apt.sha256, 64), "64 lower-case hexadecimal digits");
  return apt;
}

path_source read_path(toml_table source, std::filesystem::path const& file) {
  auto const text = source.require_text("path").value;
  if (text.find('\0') != std::string::npos) {
    source.wrong_value("path", "it has a NUL character");
    return {};
  }
  return {(file.parent_path() / text).lexically_normal()};
}

git_source read_git(toml_table source, std::filesystem::path const& file) {
  git_source git;
  git.url = source.require_text("url").value;
  git.revision = source.require_text("revision").value;
  check(source, "revision", git.revision, is_hash(git.revision, 40),
        "a full revision of 40 hexadecimal digits");
  // git runs commands for some forms of addresses (`ext::`), and takes a leading dash for an option.
  auto const scheme = git.url.find("://");
  if (scheme != std::string::npos) {
    auto const name = git.url.substr(0, scheme);
    check(source, "url", git.url,
          name == "https" || name == "http" || name == "ssh" || name == "git" || name == "file",
          "an address with https, http, ssh, git or file, or a folder");
  } else {
    check(source, "url", git.url,
          !git.url.starts_with('-') && git.url.find(':') == std::string::npos &&
              git.url.find('\0') == std::string::npos,
          "an address with https, http, ssh, git or file, or a folder");
    if (!git.url.starts_with('/')) git.url = (file.parent_path() / git.url).lexically_normal().string();
  }
  return git;
}

void read_source(toml_table source, recipe& result) {
  auto const kind = source.require_one_of("kind", {"apt", "path", "git"});
  if (!kind) {
    source.allow_all();  // which keys there are depends on it
    return;
  }
  if (kind->value == "apt")
    result.source = read_apt(source);
  else if (kind->value == "path")
    result.source = read_path(source, result.file);
  else
    result.source = read_git(source, result.file);
}

void read_build(toml_table build, recipe& result) {
  result.sources = inner_paths(build, "sources", "the root of the source");
  for (auto const& glob : result.sources) {
    auto const good = glob.ends_with(".c") || glob.ends_with(".cpp") || glob.ends_with(".S");
    if (!good) build.wrong_value("sources", fmt::format("`{}` does not end in .c, .cpp or .S", glob));
  }
  result.patches = inner_paths(build, "patches", "the folder of the recipe");
  result.flags = build.plain_texts("flags");
  result.c_flags = build.plain_texts("c_flags");
  result.cxx_flags = build.plain_texts("cxx_flags");
  result.include = inner_paths(build, "include", "the root of the source");
}

void read_exports(toml_table exports, recipe& result) {
  result.export_include = inner_paths(exports, "include", "the root of the source");
  result.export_libraries = exports.plain_texts("libraries");
  if (auto catalogue = exports.text("catalogue")) {
    check(exports, "catalogue", catalogue->value, stays_inside(catalogue->value),
          "a file below the root of the source");
    result.export_catalogue = catalogue->value;
  }
}

enum class patch_reading { skipped, done };

void read_patches(toml_table build, recipe& result, std::string_view text) {
  sha256 sum;
  sum.add_field(text);
  for (auto const& patch : result.patches) {
    auto content = read_text_file(result.file.parent_path() / patch);
    if (!content) {
      auto why = std::move(content).error().front();
      why.where = build.where("patches");
      build.report(std::move(why));
      continue;
    }
    sum.add_field(*content);
  }
  result.sha256 = sum.finish();
}

outcome<recipe> parse(std::string_view text, std::filesystem::path const& file, patch_reading patches) {
  auto document = toml_document::parse(text, file);
  if (!document) return fail(std::move(document));
  auto root = document->root();
  recipe result;
  result.file = file;
  result.sha256 = sha256_of(text);
  if (!root.require_schema(recipe_schema, "recipe-schema")) return document->finish(std::move(result));
  result.name = root.require_text("name");
  check(root, "name", result.name.value, is_package_name(result.name.value),
        "a name of a package: lower-case letters, digits, `+`, `.` and `-`, at most 64");
  result.version = root.require_text("version").value;
  check(root, "version", result.version, is_package_version(result.version),
        "a version: letters, digits, `.`, `+`, `~`, `:` and `-`, at most 128");
  result.licence = root.require_text("licence").value;
  result.summary = root.plain_text("summary");
  result.requires_ = root.texts("requires");
  for (auto const& one : result.requires_) {
    if (auto requirement = parse_requirement(one); !requirement) root.report(requirement.error().front());
  }
  result.targets = root.has("targets") ? root.plain_texts("targets") : std::vector<std::string>{"*"};
  if (auto source = root.require_table("source")) read_source(*source, result);
  if (auto build = root.table("build")) {
    read_build(*build, result);
    if (patches == patch_reading::done && !result.patches.empty()) read_patches(*build, result, text);
  }
  if (std::holds_alternative<path_source>(result.source) && !result.patches.empty()) {
    root.report({.code = "wrong-value",
                 .message = "a path source cannot be patched: it is used where it is",
                 .where = result.name.where});
  }
  if (auto exports = root.table("exports")) read_exports(*exports, result);
  return document->finish(std::move(result));
}

}  // namespace

outcome<recipe> parse_recipe(std::string_view text, std::filesystem::path const& file) {
  return parse(text, file, patch_reading::skipped);
}

outcome<recipe> read_recipe(std::filesystem::path const& file) {
  auto text = read_text_file(file);
  if (!text) return fail(std::move(text));
  return parse(*text, file, patch_reading::done);
}

}  // namespace morgana::driver
