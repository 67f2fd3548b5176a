// What Ninja calls: not for people.
#include <fmt/format.h>

#include "command/commands.hpp"
#include "morgana/driver/codegen.hpp"
#include "workspace/files.hpp"

namespace morgana::driver {
namespace {

/// A name in a depfile.
std::string depfile_name(std::string_view name) {
  std::string out;
  for (auto const c : name) {
    if (c == ' ' || c == '#' || c == '\\') out += '\\';
    if (c == '$') out += '$';
    out += c;
  }
  return out;
}

}  // namespace

int embed_command(output& out, embed_arguments const& with) {
  auto folder = read_embedded_folder(with.folder);
  if (!folder) return out.report(folder.error());
  auto depfile = depfile_name(with.source) + ':';
  for (auto const& name : folder->dependencies) depfile += " \\\n  " + depfile_name(name);
  depfile += '\n';
  if (!write_file(with.source, embed_source(with.table, *folder)) || !write_file(with.depfile, depfile)) {
    return out.report({.code = "write-failed", .message = fmt::format("cannot write `{}`", with.source)});
  }
  return exit_code::done;
}

}  // namespace morgana::driver
