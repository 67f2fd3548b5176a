// Reading recipes.
#include <algorithm>

#include <fmt/format.h>

#include "catalogue/read.hpp"
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

// One path, of a file or folder below the root.
std::string inner_path(toml_table table, std::string_view key, std::string_view root) {
  auto const text = table.require_text(key);
  if (text.value.empty() || stays_inside(text.value)) return text.value;
  table.wrong_value(key, fmt::format("`{}` does not stay below {}", text.value, root));
  return {};
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
  if (kind->value != "path") result.members = inner_paths(source, "members", "the root of the archive");
  if (kind->value == "apt")
    result.source = read_apt(source);
  else if (kind->value == "path")
    result.source = read_path(source, result.file);
  else
    result.source = read_git(source, result.file);
}

constexpr std::string_view of_source = "the root of the source";

// Globs of what can be compiled, or the name of a value that is such globs.
std::vector<std::string> source_globs(toml_table table, std::string_view key) {
  auto globs = inner_paths(table, key, of_source);
  for (auto const& glob : globs) {
    auto const good = glob.ends_with(".c") || glob.ends_with(".cpp") || glob.ends_with(".S") ||
                      glob.ends_with(".s") || glob.ends_with('}');
    if (!good) table.wrong_value(key, fmt::format("`{}` does not end in .c, .cpp, .S or .s", glob));
  }
  return globs;
}

void read_archive(toml_table table, recipe& result) {
  recipe_archive archive;
  archive.name = table.require_text("name").value;
  check(table, "name", archive.name, is_package_name(archive.name), "a name for lib NAME .a");
  for (auto const& other : result.archives) {
    if (other.name == archive.name)
      table.wrong_value("name", fmt::format("there is an archive `{}` already", archive.name));
  }
  if (!table.has("sources")) table.wrong_value("sources", "an archive is made of `sources`");
  archive.sources = source_globs(table, "sources");
  archive.exclude = inner_paths(table, "exclude", of_source);
  archive.overrides = source_globs(table, "overrides");
  archive.flags = table.plain_texts("flags");
  archive.c_flags = table.plain_texts("c_flags");
  archive.cxx_flags = table.plain_texts("cxx_flags");
  archive.include = inner_paths(table, "include", of_source);
  for (auto& more : table.tables("file_flags"))
    archive.more.push_back({inner_paths(more, "files", of_source), more.plain_texts("flags")});
  result.archives.push_back(std::move(archive));
}

void read_file_step(toml_table table, recipe& result) {
  recipe_file file;
  file.to = inner_path(table, "to", of_source);
  auto const one_of = {"text", "own", "copy", "edit"};
  auto const count = std::ranges::count_if(one_of, [&](auto key) { return table.has(key); });
  if (count != 1) {
    table.report({.code = "wrong-value",
                  .message = fmt::format("a [[file]] is made in one way, this one has {}", count),
                  .where = table.where(),
                  .help = {"give it one of `text`, `own`, `copy` and `edit`"}});
    table.allow_all();
    return;
  }
  if (table.has("text")) {
    file.how = recipe_file::way::text;
    file.text = table.plain_text("text");
  } else if (table.has("own")) {
    file.how = recipe_file::way::own;
    file.from = {inner_path(table, "own", "the folder of the recipe")};
  } else if (table.has("copy")) {
    file.how = recipe_file::way::copy;
    file.from = {inner_path(table, "copy", of_source)};
    file.exclude = inner_paths(table, "exclude", "the folder that is copied");
  } else {
    file.how = recipe_file::way::edit;
    file.from = inner_paths(table, "edit", of_source);
    if (table.has("script") == table.has("sed"))
      table.wrong_value("edit",
                        "an edit has either `sed`, the script itself, or `script`, a file of the source");
    file.text = table.plain_text("sed");
    if (table.has("script")) file.script = inner_path(table, "script", of_source);
  }
  result.files.push_back(std::move(file));
}

void read_architecture(toml_table table, std::string const& name, recipe& result) {
  auto& values = result.architectures[name];
  for (auto const& key : table.keys()) {
    if (table.kind(key.value) == toml_kind::array)
      values[key.value] = table.plain_texts(key.value);
    else
      values[key.value] = {table.plain_text(key.value)};
  }
}

// What one architecture lacks is said now, and not to who builds for it first.
void check_architectures(toml_document& document, recipe const& result) {
  for (auto const& [name, values] : result.architectures) {
    auto const made = for_architecture(result, name);
    if (made) continue;
    for (auto const& one : made.error()) document.report(one);
  }
}

void read_build(toml_table build, recipe& result) {
  result.sources = source_globs(build, "sources");
  result.hot = source_globs(build, "hot");
  if (auto const whose = build.one_of("toolchain", {"target", "own"}); whose && whose->value == "own")
    result.toolchain = recipe::flags_of::own;
  if (build.has("series")) result.series = inner_path(build, "series", of_source);
  result.patches = inner_paths(build, "patches", "the folder of the recipe");
  result.flags = build.plain_texts("flags");
  result.c_flags = build.plain_texts("c_flags");
  result.cxx_flags = build.plain_texts("cxx_flags");
  result.include = inner_paths(build, "include", "the root of the source");
}

void read_exports(toml_table exports, recipe& result) {
  result.export_include = inner_paths(exports, "include", "the root of the source");
  result.export_cxx_include = inner_paths(exports, "cxx_include", "the root of the source");
  result.export_flags = exports.plain_texts("flags");
  result.export_libraries = exports.plain_texts("libraries");
  if (auto catalogue = exports.text("catalogue")) {
    check(exports, "catalogue", catalogue->value, stays_inside(catalogue->value),
          "a file below the root of the source");
    result.export_catalogue = catalogue->value;
  }
}

// What an image has of the package. Nothing but constants: it is compiled once, whatever is chosen.
std::map<std::string, setting_declaration> read_choices(toml_table root) {
  auto choices = read_setting_declarations(root, "choices", {});
  for (auto const& [name, declared] : choices) {
    if (!declared.constant.empty() && declared.default_value && declared.options.empty()) continue;
    root.report({.code = "wrong-value",
                 .message = fmt::format("`{}` is no choice that a package can have", name),
                 .where = declared.name.where,
                 .help = {"give it a `default` and a `constant`, and no `options`"}});
  }
  return choices;
}

enum class beside { skipped, read };

// Patches and own files lie beside the recipe; their content is part of it.
void read_beside(toml_document& document, recipe& result, std::string_view text) {
  std::vector<std::string> names = result.patches;
  for (auto const& file : result.files) {
    if (file.how == recipe_file::way::own) names.push_back(file.from.front());
  }
  if (names.empty()) return;
  sha256 sum;
  for (auto const& name : names) {
    auto content = read_text_file(result.file.parent_path() / name);
    if (!content) {
      auto why = std::move(content).error().front();
      why.where = result.name.where;
      why.notes.push_back({.message = "the recipe names it", .where = result.name.where});
      document.report(std::move(why));
      continue;
    }
    sum.add_field(*content);
  }
  result.beside_sha256 = sum.finish();
  sha256 all;
  all.add_field(text);
  all.add_field(result.beside_sha256);
  result.sha256 = all.finish();
}

outcome<recipe> parse(std::string_view text, std::filesystem::path const& file, beside others) {
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
  for (auto& table : root.tables("additional")) {
    additional_source more{read_apt(table), inner_path(table, "into", of_source)};
    result.additional.push_back(std::move(more));
  }
  if (auto build = root.table("build")) read_build(*build, result);
  for (auto& table : root.tables("file")) read_file_step(table, result);
  for (auto& table : root.tables("archive")) read_archive(table, result);
  if (!result.archives.empty() && !result.sources.empty()) {
    root.report({.code = "wrong-value",
                 .message = "the sources of a recipe with [[archive]]s are those of its archives",
                 .where = result.name.where,
                 .help = {"move `sources` of [build] into an [[archive]]"}});
  }
  if (auto all = root.table("architecture")) {
    for (auto const& name : all->keys()) {
      if (auto one = all->table(name.value)) read_architecture(*one, name.value, result);
    }
  }
  if (others == beside::read) read_beside(*document, result, text);
  bool const changed =
      !result.patches.empty() || result.series || !result.files.empty() || !result.additional.empty();
  if (std::holds_alternative<path_source>(result.source) && changed) {
    root.report({.code = "wrong-value",
                 .message = "a path source cannot be changed: it is used where it is",
                 .where = result.name.where,
                 .help = {"leave out patches, `series`, [[file]] and [[additional]]"}});
  }
  if (auto exports = root.table("exports")) read_exports(*exports, result);
  result.choices = read_choices(root);
  check_architectures(*document, result);
  return document->finish(std::move(result));
}

}  // namespace

outcome<recipe> parse_recipe(std::string_view text, std::filesystem::path const& file) {
  return parse(text, file, beside::skipped);
}

outcome<recipe> read_recipe(std::filesystem::path const& file) {
  auto text = read_text_file(file);
  if (!text) return fail(std::move(text));
  return parse(*text, file, beside::read);
}

}  // namespace morgana::driver
