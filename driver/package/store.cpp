#include "package/store.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "package/fetch.hpp"
#include "package/glob.hpp"
#include "package/sha256.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

// Raise it when the way of building changes: old entries are then not found any more.
constexpr int store_format = 2;
constexpr std::size_t key_digits = 32;

// One fact a line; values are quoted by their length, so that no two lists read the same.
class facts {
 public:
  void add(std::string_view name, std::string_view value) {
    text_ += fmt::format("{} {}:{}\n", name, value.size(), value);
  }
  void add(std::string_view name, std::vector<std::string> const& values) {
    for (auto const& one : values) add(name, one);
  }
  [[nodiscard]] std::string const& text() const { return text_; }

 private:
  std::string text_;
};

std::vector<std::string> portable(std::vector<std::string> flags, guest_toolchain const& toolchain,
                                  package_cache const& cache) {
  for (auto& one : flags) one = package_detail::portable(std::move(one), toolchain, cache);
  return flags;
}

void add_toolchain(facts& to, recipe const& what, guest_toolchain const& toolchain,
                   package_cache const& cache) {
  to.add("compiler", toolchain.identity);
  if (what.toolchain == recipe::flags_of::own) return;
  to.add("flag", portable(toolchain.flags, toolchain, cache));
  to.add("c flag", portable(toolchain.c_flags, toolchain, cache));
  to.add("c++ flag", portable(toolchain.cxx_flags, toolchain, cache));
}

// Everything a package requires, nearest first; headers of a dependency include those of its own.
std::vector<std::size_t> all_dependencies(std::vector<chosen_package> const& packages, std::size_t of) {
  std::vector<std::size_t> found;
  std::vector<std::size_t> open = {of};
  while (!open.empty()) {
    auto const current = open.front();
    open.erase(open.begin());
    for (auto const& text : packages[current].what.requires_) {
      auto const requirement = parse_requirement(text);
      if (!requirement) continue;
      auto const at =
          std::ranges::find(packages, requirement->name, [](auto const& one) { return one.what.name.value; });
      auto const index = static_cast<std::size_t>(at - packages.begin());
      if (at == packages.end() || index == of || std::ranges::find(found, index) != found.end()) continue;
      found.push_back(index);
      open.push_back(index);
    }
  }
  return found;
}

bool is_named(std::vector<std::string> const& names, chosen_package const& package) {
  return std::ranges::find(names, package.what.name.value) != names.end();
}

std::vector<bool> sysroot_members(std::vector<chosen_package> const& packages,
                                  std::vector<std::string> const& sysroot) {
  std::vector<bool> members(packages.size());
  for (std::size_t index = 0; index < packages.size(); ++index) {
    if (!is_named(sysroot, packages[index])) continue;
    members[index] = true;
    for (auto const at : all_dependencies(packages, index)) members[at] = true;
  }
  return members;
}

// Everybody sees the headers of the sysroot, after its own dependencies': nearest first, the C library last.
void add_sysroot(std::vector<std::size_t>& dependencies, std::vector<chosen_package> const& packages,
                 std::vector<std::string> const& sysroot) {
  for (std::size_t index = 0; index < packages.size(); ++index) {
    if (!is_named(sysroot, packages[index])) continue;
    auto all = all_dependencies(packages, index);
    all.insert(all.begin(), index);
    for (auto const at : all) {
      if (std::ranges::find(dependencies, at) == dependencies.end()) dependencies.push_back(at);
    }
  }
}

// `string/arm/memcpy.S` and `string/memcpy.c` are both `string/memcpy`.
std::string replaced_stem(std::string const& file) {
  fs::path const path(file);
  return (path.parent_path().parent_path() / path.stem()).generic_string();
}

std::vector<archive_item> find_sources(recipe const& what, guest_toolchain const& toolchain,
                                       fs::path const& root) {
  std::vector<archive_item> all;
  auto const hot = what.toolchain == recipe::flags_of::target && !toolchain.hot_flags.empty()
                 ? expand_globs(root, what.hot)
                 : std::vector<std::string>{};
  for (auto& archive : archives_of(what)) {
    archive_item item{std::move(archive), {}, {}};
    auto const excluded = expand_globs(root, item.what.exclude);
    auto const is_excluded = [&](std::string const& one) {
      return std::ranges::binary_search(excluded, one);
    };
    item.sources = expand_globs(root, item.what.sources);
    std::erase_if(item.sources, is_excluded);
    auto better = expand_globs(root, item.what.overrides);
    std::erase_if(better, is_excluded);
    std::set<std::string> replaced;
    for (auto const& one : better) replaced.insert(replaced_stem(one));
    std::erase_if(item.sources, [&](std::string const& one) {
      return replaced.contains(fs::path(one).replace_extension().generic_string());
    });
    item.sources.insert(item.sources.end(), better.begin(), better.end());
    std::ranges::sort(item.sources);
    for (auto const& some : item.what.more) {
      for (auto const& file : expand_globs(root, some.files)) {
        auto& flags = item.more[file];
        flags.insert(flags.end(), some.flags.begin(), some.flags.end());
      }
    }
    for (auto const& file : hot) {
      auto& flags = item.more[file];
      flags.insert(flags.begin(), toolchain.hot_flags.begin(), toolchain.hot_flags.end());
    }
    all.push_back(std::move(item));
  }
  return all;
}

void add_archive(facts& to, recipe_archive const& archive) {
  to.add("archive", archive.name);
  to.add("archive flag", archive.flags);
  to.add("archive c flag", archive.c_flags);
  to.add("archive c++ flag", archive.cxx_flags);
  to.add("archive include", archive.include);
}

std::vector<std::string> exported_files(recipe const& what, package_files const& files) {
  std::vector<std::string> exported;
  for (auto const* list : {&files.sources, &files.others}) {
    for (auto const& file : *list) {
      auto const inside = [&](std::string const& folder) {
        return folder == "." || file.starts_with(folder + "/");
      };
      if (std::ranges::any_of(what.export_include, inside) ||
          std::ranges::any_of(what.export_cxx_include, inside))
        exported.push_back(file);
    }
  }
  return exported;
}

}  // namespace

std::string portable(std::string text, guest_toolchain const& toolchain, package_cache const& cache) {
  std::vector<std::pair<std::string, std::string>> roots = {{cache.root.string(), "<cache>"}};
  for (auto const& [name, folder] : toolchain.roots) roots.emplace_back(folder.string(), "<" + name + ">");
  // A folder within another first.
  std::ranges::sort(roots, std::greater(), [](auto const& one) { return one.first.size(); });
  for (auto const& [folder, name] : roots) {
    if (folder.empty()) continue;
    for (auto at = text.find(folder); at != std::string::npos; at = text.find(folder, at + name.size())) {
      text.replace(at, folder.size(), name);
    }
  }
  return text;
}

std::vector<build_item> plan_items(std::vector<chosen_package> const& packages,
                                   guest_toolchain const& toolchain, package_cache const& cache,
                                   std::map<fs::path, file_hashes>& hashes) {
  std::vector<build_item> items;
  auto const of_sysroot = sysroot_members(packages, toolchain.sysroot);
  for (std::size_t index = 0; index < packages.size(); ++index) {
    auto const& package = packages[index];
    build_item item;
    item.package = &package;
    item.prefix = package_prefix(package.what);
    item.dependencies = all_dependencies(packages, index);
    if (!of_sysroot[index]) add_sysroot(item.dependencies, packages, toolchain.sysroot);
    bool const in_place = std::holds_alternative<path_source>(package.what.source);

    facts shown;
    shown.add("interface", package.what.name.value);
    shown.add("version", package.what.version);
    shown.add("include", package.what.export_include);
    shown.add("c++ include", package.what.export_cxx_include);
    if (in_place) {
      item.files = files_of(package.what, package.source);
      item.archives = find_sources(package.what, toolchain, package.source);
      auto& known = hashes.try_emplace(package.source, cache, package.source).first->second;
      shown.add("headers", known.of(exported_files(package.what, item.files)));
    } else {
      shown.add("source", package.source_sha256);
      shown.add("tree", tree_content(package.what));
    }
    for (auto const at : item.dependencies) {
      if (at < index) shown.add("requires", items[at].interface_key);
    }
    item.interface_key = sha256_of(shown.text());

    facts all;
    all.add("store", std::to_string(store_format));
    all.add("name", package.what.name.value);
    all.add("version", package.what.version);
    all.add("recipe", package.what.sha256);
    all.add("source", package.source_sha256);
    all.add("architecture", package.what.architecture);
    add_toolchain(all, package.what, toolchain, cache);
    if (!package.what.hot.empty()) all.add("hot flag", portable(toolchain.hot_flags, toolchain, cache));
    for (auto const at : item.dependencies) {
      if (at < index) all.add("requires", items[at].prefix + " " + items[at].interface_key);
    }
    item.inputs = all.text();
    item.key = sha256_of(item.inputs).substr(0, key_digits);
    item.entry = cache.root / "store" / (item.prefix + "-" + item.key);
    std::error_code error;
    if (!in_place && fs::exists(item.entry, error)) {
      for (auto& archive : archives_of(package.what)) item.archives.push_back({std::move(archive), {}, {}});
    } else if (!in_place) {
      item.archives = find_sources(package.what, toolchain, package.source);
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::string object_key(build_item const& item, archive_item const& archive, std::string const& source,
                       guest_toolchain const& toolchain, package_cache const& cache,
                       std::vector<build_item> const& items, file_hashes& hashes) {
  auto const& what = item.package->what;
  facts all;
  all.add("object", std::to_string(store_format));
  all.add("prefix", item.prefix);
  all.add("name", source);
  all.add("source", hashes.of(source));
  all.add("headers", hashes.of(item.files.others));
  all.add("flag", what.flags);
  all.add("c flag", what.c_flags);
  all.add("c++ flag", what.cxx_flags);
  all.add("include", what.include);
  all.add("export", what.export_include);
  all.add("c++ export", what.export_cxx_include);
  add_archive(all, archive.what);
  if (auto const more = archive.more.find(source); more != archive.more.end()) all.add("more", more->second);
  add_toolchain(all, what, toolchain, cache);
  for (auto const at : item.dependencies)
    all.add("requires", items[at].prefix + " " + items[at].interface_key);
  return sha256_of(all.text());
}

built_package describe_entry(build_item const& item) {
  auto const& what = item.package->what;
  built_package built;
  built.name = what.name.value;
  built.version = what.version;
  built.key = item.key;
  built.root = item.entry;
  built.source = item.package->source;
  built.prefix = item.prefix;
  bool const in_place = std::holds_alternative<path_source>(what.source);
  for (auto const& archive : item.archives) {
    if (!in_place || !archive.sources.empty())
      built.archives.push_back(item.entry / ("lib" + archive.what.name + ".a"));
  }
  for (auto const& folder : what.export_include)
    built.include.push_back((built.source / folder).lexically_normal());
  for (auto const& folder : what.export_cxx_include)
    built.cxx_include.push_back((built.source / folder).lexically_normal());
  built.libraries = what.export_libraries;
  if (what.export_catalogue) built.catalogue = (built.source / *what.export_catalogue).lexically_normal();
  return built;
}

}  // namespace morgana::driver::package_detail

namespace morgana::driver {

outcome<void> fit(std::vector<chosen_package>& packages, guest_toolchain const& toolchain) {
  for (auto& package : packages) {
    auto fitting = for_architecture(std::move(package.what), toolchain.architecture);
    if (!fitting) return fail(std::move(fitting));
    package.what = *std::move(fitting);
  }
  auto const of_sysroot = package_detail::sysroot_members(packages, toolchain.sysroot);
  std::vector<chosen_package> sorted;
  for (bool const wanted : {true, false}) {
    for (std::size_t index = 0; index < packages.size(); ++index) {
      if (of_sysroot[index] == wanted) sorted.push_back(std::move(packages[index]));
    }
  }
  packages = std::move(sorted);
  return {};
}

std::vector<std::string> sysroot_flags(std::vector<chosen_package> const& packages,
                                       guest_toolchain const& toolchain) {
  std::vector<std::string> flags;
  auto const of_sysroot = package_detail::sysroot_members(packages, toolchain.sysroot);
  for (std::size_t index = 0; index < packages.size(); ++index) {
    auto const& more = packages[index].what.export_flags;
    if (of_sysroot[index]) flags.insert(flags.end(), more.begin(), more.end());
  }
  return flags;
}

}  // namespace morgana::driver
