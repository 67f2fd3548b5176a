// Finding the programs a build needs.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "morgana/driver/workspace.hpp"
#include "package/process.hpp"
#include "workspace/files.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// The LLVM that everything is built with; one number, because compiler, linker and libTooling must agree.
constexpr std::string_view llvm_version = "22";

struct tool_package {
  std::string_view tool, package;
};
constexpr std::array tool_packages{
    tool_package{"clang-22", "clang-22"},
    tool_package{"clang++-22", "clang-22"},
    tool_package{"ld.lld-22", "lld-22"},
    tool_package{"llvm-ar-22", "llvm-22"},
    tool_package{"llvm-objcopy-22", "llvm-22"},
    tool_package{"llvm-symbolizer-22", "llvm-22"},
    tool_package{"llvm-dwarfdump-22", "llvm-22"},
    tool_package{"llvm-nm-22", "llvm-22"},
    tool_package{"ninja", "ninja-build"},
    tool_package{"git", "git"},
    tool_package{"patch", "patch"},
    tool_package{"tar", "tar"},
};

bool is_program(fs::path const& file) {
  struct stat status{};
  return ::stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(file.c_str(), X_OK) == 0;
}

/// Text of `--version`, first line. Asking a compiler costs 20 ms, so the answer is kept under the program's
/// own size and time.
outcome<std::string> version_of(fs::path const& program) {
  struct stat status{};
  if (::stat(program.c_str(), &status) != 0) status = {};
  auto const mark = fmt::format("{} {} {}.{}\n", program.string(), status.st_size, status.st_mtim.tv_sec,
                                status.st_mtim.tv_nsec);
  auto const kept = cache_folder() / "tools" / program.filename();
  if (auto const text = read_file(kept); text && text->starts_with(mark)) return text->substr(mark.size());
  auto const end = package_detail::run_process({.arguments = {program.string(), "--version"},
                                                .folder = {},
                                                .environment = {"LC_ALL=C"},
                                                .line = {},
                                                .tick = {}});
  if (!end.good()) {
    return fail(
        {.code = "missing-tool",
         .message = fmt::format("{} does not run: {}", program.string(),
                                end.error.empty() ? package_detail::last_lines(end.output) : end.error),
         .help = {"run `morgana doctor`"}});
  }
  auto text = end.output.substr(0, end.output.find('\n'));
  // Only a speed-up: a cache that cannot be written is no error.
  write_file(kept, mark + text);
  return text;
}

/// "Debian clang version 22.1.8 (++2026...)" to "22.1.8".
std::string version_number(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9' || (i > 0 && text[i - 1] != ' ')) continue;
    auto const end = text.find_first_not_of("0123456789.", i);
    return std::string(text.substr(i, end == std::string_view::npos ? end : end - i));
  }
  return std::string(text);
}

}  // namespace

fs::path cache_folder() {
  if (auto const* folder = std::getenv("XDG_CACHE_HOME"); folder != nullptr && folder[0] == '/') {
    return fs::path(folder) / "morgana";
  }
  auto const* home = std::getenv("HOME");
  return fs::path(home != nullptr && home[0] == '/' ? home : "/tmp") / ".cache" / "morgana";
}

std::string package_of_tool(std::string_view name) {
  for (auto const& known : tool_packages) {
    if (known.tool == name) return std::string(known.package);
  }
  return {};
}

outcome<fs::path> find_tool(std::string_view name) {
  auto const* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  while (true) {
    auto const colon = rest.find(':');
    auto const folder = rest.substr(0, colon);
    if (folder.starts_with('/')) {
      auto file = fs::path(folder) / name;
      if (is_program(file)) return file;
    }
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  diagnostic missing{.code = "missing-tool", .message = fmt::format("`{}` is not installed", name)};
  missing.notes.push_back({.message = "looked for it in every folder of PATH"});
  if (auto const package = package_of_tool(name); !package.empty()) {
    missing.help.push_back(fmt::format("install it: sudo apt-get install {}", package));
  }
  missing.help.push_back("`morgana doctor` checks every tool at once");
  return fail(std::move(missing));
}

outcome<fs::path> find_llvm_tool(std::string_view name) {
  return find_tool(fmt::format("{}-{}", name, llvm_version));
}

outcome<guest_toolchain> find_toolchain() {
  guest_toolchain out;
  for (auto const& [name, place] : {std::pair{"clang", &out.clang}, std::pair{"clang++", &out.clangxx},
                                    std::pair{"ld.lld", &out.linker}, std::pair{"llvm-ar", &out.archiver}}) {
    auto found = find_llvm_tool(name);
    if (!found) return fail(std::move(found));
    *place = *std::move(found);
  }
  auto clang = version_of(out.clangxx);
  if (!clang) return fail(std::move(clang));
  auto lld = version_of(out.linker);
  if (!lld) return fail(std::move(lld));
  out.identity = *clang + "; " + *lld;
  return out;
}

std::map<std::string, std::string> toolchain_versions(guest_toolchain const& tools) {
  auto const middle = tools.identity.find("; ");
  return {{"clang", version_number(std::string_view(tools.identity).substr(0, middle))},
          {"lld", version_number(std::string_view(tools.identity).substr(middle + 2))}};
}

}  // namespace morgana::driver
