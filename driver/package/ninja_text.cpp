#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "package/compile.hpp"

namespace morgana::driver::package_detail {

namespace {

// For the shell that ninja starts, and for ninja's own `$`.
std::string shell(std::string_view text) {
  auto const plain = [](char one) {
    return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9') ||
           std::string_view("_-+=./,:@%^").contains(one);
  };
  std::string out;
  if (!text.empty() && std::ranges::all_of(text, plain)) {
    out = text;
  } else {
    out = "'";
    for (char const one : text) {
      if (one == '\'')
        out += "'\\''";
      else if (one == '$')
        out += "$$";
      else
        out += one;
    }
    out += '\'';
  }
  return out;
}

// For a path in a build line.
std::string name(std::string_view text) {
  std::string out;
  for (char const one : text) {
    if (one == ' ' || one == ':' || one == '$') out += '$';
    out += one;
  }
  return out;
}

enum class language { c, cxx, assembler };

language language_of(std::string_view source) {
  if (source.ends_with(".cpp")) return language::cxx;
  return source.ends_with(".S") ? language::assembler : language::c;
}

constexpr std::string_view rule_names[] = {"c", "cxx", "as"};

void append(std::vector<std::string>& to, std::vector<std::string> const& more) {
  to.insert(to.end(), more.begin(), more.end());
}

std::string inner(std::string const& prefix, std::string const& folder) {
  return folder == "." ? prefix : prefix + "/" + folder;
}

std::vector<std::string> command(entry_build const& entry, std::vector<build_item> const& items,
                                 guest_toolchain const& toolchain, std::filesystem::path const& staging,
                                 language which) {
  auto const& what = entry.item->package->what;
  bool const cxx = which == language::cxx;
  std::vector<std::string> call = {(cxx ? toolchain.clangxx : toolchain.clang).string()};
  append(call, toolchain.flags);
  if (which == language::c) append(call, toolchain.c_flags);
  if (cxx) append(call, toolchain.cxx_flags);
  append(call, what.flags);
  if (which == language::c) append(call, what.c_flags);
  if (cxx) append(call, what.cxx_flags);
  for (auto const* folders : {&what.include, &what.export_include}) {
    for (auto const& folder : *folders) append(call, {"-I", inner(entry.item->prefix, folder)});
  }
  for (auto const at : entry.item->dependencies) {
    auto const& needed = items[at];
    for (auto const& folder : needed.package->what.export_include) {
      append(call, {"-isystem", inner(needed.prefix, folder)});
    }
  }
  // Names are relative already; what remains is the folder of compilation, and whatever a flag names.
  append(call, {"-fdebug-compilation-dir=.", "-ffile-prefix-map=" + staging.string() + "=."});
  for (auto const& item : items) {
    call.push_back("-ffile-prefix-map=" + item.package->source.string() + "=" + item.prefix);
  }
  for (auto const& [root, folder] : toolchain.roots)
    call.push_back("-ffile-prefix-map=" + folder.string() + "=" + root);
  return call;
}

}  // namespace

std::string ninja_text(std::vector<entry_build> const& entries, std::vector<build_item> const& items,
                       guest_toolchain const& toolchain, std::filesystem::path const& staging) {
  std::string out = "ninja_required_version = 1.10\n";
  std::size_t number = 0;
  for (auto const& entry : entries) {
    auto const& what = entry.item->package->what;
    for (auto const which : {language::c, language::cxx, language::assembler}) {
      auto const uses = [&](build_object const& one) {
        return !one.reused && language_of(one.source) == which;
      };
      if (std::ranges::none_of(entry.objects, uses)) continue;
      std::vector<std::string> words;
      for (auto const& word : command(entry, items, toolchain, staging, which)) words.push_back(shell(word));
      out += fmt::format(
          "\nrule {}_{}\n  command = {} -MMD -MF $out.d -c $in -o $out\n  description = compile $name\n",
          rule_names[static_cast<int>(which)], number, fmt::join(words, " "));
    }
    // An archive without time, owner or order of arrival; the list of its members may be longer than a
    // command line.
    out += fmt::format(
        "\nrule archive_{}\n  command = rm -f $out && {} rcsD $out @$out.members\n"
        "  rspfile = $out.members\n  rspfile_content = $in_newline\n  description = archive $name\n\n",
        number, shell(toolchain.archiver.string()));
    std::string members;
    for (auto const& one : entry.objects) {
      members += " " + name(one.output);
      if (one.reused) continue;
      out += fmt::format("build {}: {}_{} {}\n  name = {} {}\n", name(one.output),
                         rule_names[static_cast<int>(language_of(one.source))], number,
                         name(entry.item->prefix + "/" + one.source), what.name.value, one.source);
    }
    out +=
        fmt::format("build {}: archive_{}{}\n  name = {}\n",
                    name(entry.folder + "/lib" + what.name.value + ".a"), number, members, what.name.value);
    ++number;
  }
  return out;
}

}  // namespace morgana::driver::package_detail
