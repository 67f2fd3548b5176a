// Recipes that know several architectures: `{NAME}` in a path or flag stands for a value of the architecture.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "morgana/driver/recipe.hpp"
#include "package/glob.hpp"

namespace morgana::driver {

namespace {

using values_of = std::map<std::string, std::vector<std::string>>;

bool is_name(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char one) { return (one >= 'a' && one <= 'z') || one == '_'; });
}

class filler {
 public:
  filler(recipe const& what, std::string const& architecture, values_of const& values)
      : what_(what), architecture_(architecture), values_(values) {}

  // An entry that is one `{NAME}` and nothing else becomes all of its values.
  void fill(std::vector<std::string>& list) {
    std::vector<std::string> out;
    for (auto& one : list) {
      auto const whole =
          one.starts_with('{') && one.ends_with('}') ? one.substr(1, one.size() - 2) : std::string();
      if (!is_name(whole)) {
        fill(one);
        out.push_back(std::move(one));
      } else if (auto const* values = find(whole)) {
        out.insert(out.end(), values->begin(), values->end());
      }
    }
    list = std::move(out);
  }

  void fill(std::string& text) {
    for (std::size_t at = text.find('{'); at != std::string::npos; at = text.find('{', at)) {
      auto const end = text.find('}', at);
      if (end == std::string::npos) return;
      auto const name = text.substr(at + 1, end - at - 1);
      if (!is_name(name)) {
        ++at;
        continue;
      }
      auto const* values = find(name);
      if (values == nullptr) return;
      if (values->size() != 1) {
        wrong(fmt::format("`{}` stands within `{}`, but has {} values", name, text, values->size()));
        return;
      }
      text.replace(at, end + 1 - at, values->front());
      at += values->front().size();
    }
  }

  void paths(std::vector<std::string>& list) {
    fill(list);
    for (auto const& one : list) check(one);
  }
  void path(std::string& text) {
    fill(text);
    check(text);
  }

  diagnostics problems;

 private:
  std::vector<std::string> const* find(std::string const& name) {
    auto const found = values_.find(name);
    if (found != values_.end()) return &found->second;
    diagnostic none{.code = "unknown-name",
                    .message = fmt::format("architecture `{}` of package `{}` has no value `{}`",
                                           architecture_, what_.name.value, name),
                    .where = what_.name.where};
    std::vector<std::string> names;
    for (auto const& [known, value] : values_) names.push_back(known);
    if (auto const near = nearest(name, names)) none.help.push_back(fmt::format("did you mean `{}`?", *near));
    add(std::move(none));
    return nullptr;
  }
  void check(std::string const& text) {
    // An empty one has been reported where it was read.
    if (!text.empty() && !package_detail::stays_inside(text))
      wrong(fmt::format("`{}` does not stay below the root", text));
  }
  void wrong(std::string why) {
    add({.code = "wrong-value",
         .message =
             fmt::format("architecture `{}` of package `{}`: {}", architecture_, what_.name.value, why),
         .where = what_.name.where});
  }
  // A value that is used in ten places is wrong once.
  void add(diagnostic what) {
    auto const same = [&](diagnostic const& one) { return one.message == what.message; };
    if (std::ranges::none_of(problems, same)) problems.push_back(std::move(what));
  }

  recipe const& what_;
  std::string const& architecture_;
  values_of const& values_;
};

}  // namespace

outcome<recipe> for_architecture(recipe what, std::string const& architecture) {
  if (what.architectures.empty()) return what;
  auto const known = what.architectures.find(architecture);
  if (known == what.architectures.end()) {
    std::vector<std::string> names;
    for (auto const& [name, values] : what.architectures) names.push_back(name);
    return fail({.code = "package-architecture",
                 .message = fmt::format("package `{}` {} does not know the architecture `{}`",
                                        what.name.value, what.version, architecture),
                 .where = what.name.where,
                 .notes = {{fmt::format("it knows `{}`", fmt::join(names, "`, `"))}},
                 .help = {fmt::format("add [architecture.{}] to its recipe, with a value for each name",
                                      architecture)}});
  }
  recipe const as_written = what;
  filler fill(as_written, architecture, known->second);
  for (auto* paths : {&what.members, &what.sources, &what.hot, &what.patches, &what.include, &what.export_include,
                      &what.export_cxx_include})
    fill.paths(*paths);
  for (auto* flags :
       {&what.flags, &what.c_flags, &what.cxx_flags, &what.export_flags, &what.export_libraries})
    fill.fill(*flags);
  if (what.series) fill.path(*what.series);
  for (auto& archive : what.archives) {
    for (auto* paths : {&archive.sources, &archive.exclude, &archive.overrides, &archive.include})
      fill.paths(*paths);
    for (auto* flags : {&archive.flags, &archive.c_flags, &archive.cxx_flags}) fill.fill(*flags);
    for (auto& more : archive.more) {
      fill.paths(more.files);
      fill.fill(more.flags);
    }
  }
  for (auto& file : what.files) {
    fill.path(file.to);
    fill.paths(file.from);
    if (!file.script.empty()) fill.path(file.script);
  }
  if (!fill.problems.empty()) return std::unexpected<diagnostics>(std::move(fill.problems));
  what.architecture = architecture;
  return what;
}

std::vector<recipe_archive> archives_of(recipe const& what) {
  if (!what.archives.empty() || what.sources.empty()) return what.archives;
  recipe_archive only;
  only.name = what.name.value;
  only.sources = what.sources;
  return {std::move(only)};
}

}  // namespace morgana::driver
