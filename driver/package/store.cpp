#include "package/store.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "package/fetch.hpp"
#include "package/glob.hpp"
#include "package/sha256.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

// Raise it when the way of building changes: old entries are then not found any more.
constexpr int store_format = 1;
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

void add_toolchain(facts& to, guest_toolchain const& toolchain, package_cache const& cache) {
  to.add("compiler", toolchain.identity);
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

std::vector<std::string> exported_files(recipe const& what, package_files const& files) {
  std::vector<std::string> exported;
  for (auto const* list : {&files.sources, &files.others}) {
    for (auto const& file : *list) {
      auto const inside = [&](std::string const& folder) {
        return folder == "." || file.starts_with(folder + "/");
      };
      if (std::ranges::any_of(what.export_include, inside)) exported.push_back(file);
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
  for (std::size_t index = 0; index < packages.size(); ++index) {
    auto const& package = packages[index];
    build_item item;
    item.package = &package;
    item.prefix = package_prefix(package.what);
    item.dependencies = all_dependencies(packages, index);
    bool const in_place = std::holds_alternative<path_source>(package.what.source);

    facts shown;
    shown.add("interface", package.what.name.value);
    shown.add("version", package.what.version);
    shown.add("include", package.what.export_include);
    if (in_place) {
      item.files = files_of(package.what, package.source);
      item.sources = item.files.sources;
      auto& known = hashes.try_emplace(package.source, cache, package.source).first->second;
      shown.add("headers", known.of(exported_files(package.what, item.files)));
    } else {
      item.sources = expand_globs(package.source, package.what.sources);
      shown.add("source", package.source_sha256);
      if (!package.what.patches.empty()) shown.add("recipe", package.what.sha256);
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
    add_toolchain(all, toolchain, cache);
    for (auto const at : item.dependencies) {
      if (at < index) all.add("requires", items[at].prefix + " " + items[at].interface_key);
    }
    item.inputs = all.text();
    item.key = sha256_of(item.inputs).substr(0, key_digits);
    item.entry = cache.root / "store" / (item.prefix + "-" + item.key);
    items.push_back(std::move(item));
  }
  return items;
}

std::string object_key(build_item const& item, std::string const& source, guest_toolchain const& toolchain,
                       package_cache const& cache, std::vector<build_item> const& items,
                       file_hashes& hashes) {
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
  add_toolchain(all, toolchain, cache);
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
  if (!item.sources.empty()) built.archive = item.entry / ("lib" + what.name.value + ".a");
  for (auto const& folder : what.export_include)
    built.include.push_back((built.source / folder).lexically_normal());
  built.libraries = what.export_libraries;
  if (what.export_catalogue) built.catalogue = (built.source / *what.export_catalogue).lexically_normal();
  return built;
}

}  // namespace morgana::driver::package_detail
