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
  return source.ends_with(".S") || source.ends_with(".s") ? language::assembler : language::c;
}

constexpr std::string_view rule_names[] = {"c", "cxx", "as"};

void append(std::vector<std::string>& to, std::vector<std::string> const& more) {
  to.insert(to.end(), more.begin(), more.end());
}

std::string inner(std::string const& prefix, std::string const& folder) {
  return folder == "." ? prefix : prefix + "/" + folder;
}

std::vector<std::string> command(entry_build const& entry, archive_item const& archive,
                                 std::vector<build_item> const& items, guest_toolchain const& toolchain,
                                 std::filesystem::path const& staging, language which) {
  auto const& what = entry.item->package->what;
  bool const cxx = which == language::cxx;
  std::vector<std::string> call = {(cxx ? toolchain.clangxx : toolchain.clang).string()};
  auto const flags_of = [&](auto const& from) {
    append(call, from.flags);
    if (which == language::c) append(call, from.c_flags);
    if (cxx) append(call, from.cxx_flags);
  };
  if (what.toolchain == recipe::flags_of::target) flags_of(toolchain);
  flags_of(what);
  flags_of(archive.what);
  static std::vector<std::string> const none;
  for (auto const* folders :
       {&archive.what.include, &what.include, cxx ? &what.export_cxx_include : &none, &what.export_include}) {
    for (auto const& folder : *folders) append(call, {"-I", inner(entry.item->prefix, folder)});
  }
  for (auto const at : entry.item->dependencies) {
    auto const& needed = items[at];
    if (cxx) {
      for (auto const& folder : needed.package->what.export_cxx_include)
        append(call, {"-isystem", inner(needed.prefix, folder)});
    }
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

void append_archive(std::string& out, entry_build const& entry, archive_item const& archive,
                    std::vector<build_object> const& objects, std::vector<build_item> const& items,
                    guest_toolchain const& toolchain, std::filesystem::path const& staging,
                    std::size_t number) {
  auto const& package = entry.item->package->what.name.value;
  for (auto const which : {language::c, language::cxx, language::assembler}) {
    auto const uses = [&](build_object const& one) {
      return !one.reused && language_of(one.source) == which;
    };
    if (std::ranges::none_of(objects, uses)) continue;
    std::vector<std::string> words;
    for (auto const& word : command(entry, archive, items, toolchain, staging, which))
      words.push_back(shell(word));
    out += fmt::format(
        "\nrule {}_{}\n  command = {} $more -MMD -MF $out.d -c $in -o $out\n  description = compile $name\n",
        rule_names[static_cast<int>(which)], number, fmt::join(words, " "));
  }
  // An archive without time, owner or order of arrival; the list of its members may be longer than a
  // command line.
  out += fmt::format(
      "\nrule archive_{}\n  command = rm -f $out && {} rcsD $out @$out.members\n"
      "  rspfile = $out.members\n  rspfile_content = $in_newline\n  description = archive $name\n\n",
      number, shell(toolchain.archiver.string()));
  std::string members;
  for (auto const& one : objects) {
    members += " " + name(one.output);
    if (one.reused) continue;
    out += fmt::format("build {}: {}_{} {}\n  name = {} {}\n", name(one.output),
                       rule_names[static_cast<int>(language_of(one.source))], number,
                       name(entry.item->prefix + "/" + one.source), package, one.source);
    auto const more = archive.more.find(one.source);
    if (more == archive.more.end()) continue;
    std::vector<std::string> words;
    for (auto const& word : more->second) words.push_back(shell(word));
    out += fmt::format("  more = {}\n", fmt::join(words, " "));
  }
  auto const shown =
      archive.what.name == package ? package : fmt::format("{} lib{}.a", package, archive.what.name);
  out += fmt::format("build {}: archive_{}{}\n  name = {}\n",
                     name(entry.folder + "/lib" + archive.what.name + ".a"), number, members, shown);
}

}  // namespace

std::string ninja_text(std::vector<entry_build> const& entries, std::vector<build_item> const& items,
                       guest_toolchain const& toolchain, std::filesystem::path const& staging) {
  std::string out = "ninja_required_version = 1.10\n";
  std::size_t number = 0;
  for (auto const& entry : entries) {
    for (std::size_t at = 0; at < entry.objects.size(); ++at) {
      if (!entry.objects[at].empty())
        append_archive(out, entry, entry.item->archives[at], entry.objects[at], items, toolchain, staging,
                       number++);
    }
  }
  return out;
}

}  // namespace morgana::driver::package_detail
