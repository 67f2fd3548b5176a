#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <system_error>

#include "morgana/driver/scaffold_plugin.hpp"
#include "morgana/driver/target.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t name_bytes_max = 63;

bool is_name(std::string_view name) {
  auto const lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && name.size() <= name_bytes_max && lower(name.front()) && name.back() != '-' &&
         std::ranges::all_of(name, [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '-'; });
}

/// "sun-4" → "sun_4_target": never a keyword, a macro or a name of the runtime's.
std::string identifier_of(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, '-', '_');
  return out + "_target";
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

outcome<std::string> read_text(fs::path const& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    return fail({.code = "template-missing",
                 .message = "cannot read this file of the plugin template",
                 .where = source_location{.file = file}});
  }
  return text.str();
}

std::unexpected<diagnostics> write_failed(fs::path const& path, std::string_view why) {
  return fail({.code = "write-failed",
               .message = fmt::format("cannot write: {}", why),
               .where = source_location{.file = path}});
}

}  // namespace

outcome<std::vector<scaffold_file>> plugin_scaffold(std::string_view name, fs::path const& from) {
  if (!is_name(name)) {
    return fail({.code = "wrong-name",
                 .message = fmt::format("`{}` cannot be the name of a plugin", name),
                 .help = {fmt::format(
                     "a name is lower-case letters, digits and hyphens, begins with a letter, and has "
                     "at most {} characters",
                     name_bytes_max)}});
  }
  auto const identifier = identifier_of(name);
  auto fill = [&](std::string text) {
    replace_all(text, "@NAME@", name);
    replace_all(text, "@IDENTIFIER@", identifier);
    return text;
  };
  std::vector<scaffold_file> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(from, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".in" || !at->is_regular_file(error)) continue;
    auto text = read_text(at->path());
    if (!text) return fail(std::move(text));
    auto const relative = at->path().lexically_relative(from).replace_extension().string();
    files.push_back({fill(relative), fill(std::move(*text))});
  }
  if (error || files.empty()) {
    return fail({.code = "template-missing",
                 .message = "the plugin template is not there",
                 .where = source_location{.file = from},
                 .help = {"install Morgana again, or set MORGANA_HOME to its share/morgana"}});
  }
  std::ranges::sort(files, {}, &scaffold_file::path);
  return files;
}

outcome<void> write_scaffold(std::vector<scaffold_file> const& files, fs::path const& folder) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(folder, error)) &&
      !(fs::is_directory(folder, error) && fs::is_empty(folder, error))) {
    return fail({.code = "folder-exists",
                 .message = "this is there already; nothing was written",
                 .where = source_location{.file = folder},
                 .help = {"choose another folder"}});
  }
  for (auto const& file : files) {
    auto const path = folder / file.path;
    fs::create_directories(path.parent_path(), error);
    if (error) return write_failed(path.parent_path(), error.message());
    std::ofstream out(path, std::ios::binary);
    out << file.text;
    out.close();
    if (!out) return write_failed(path, "the disk may be full or the folder read-only");
  }
  return {};
}

outcome<std::vector<fs::path>> scaffold_plugin(std::string_view name, fs::path const& folder) {
  auto const files = plugin_scaffold(name, data_folder() / "plugins/template");
  if (!files) return std::unexpected(files.error());
  if (auto written = write_scaffold(*files, folder); !written) return fail(std::move(written));
  std::vector<fs::path> paths;
  for (auto const& file : *files) paths.push_back(file.path);
  return paths;
}

}  // namespace morgana::driver
