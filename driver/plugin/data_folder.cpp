#include <dlfcn.h>

#include <cstdlib>
#include <system_error>

#include "morgana/driver/target.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// share/morgana beside the folder of `file`, or beside one above it: PREFIX/libexec/morgana/tool,
/// PREFIX/lib/python3.11/site-packages/morgana/module.so.
fs::path beside(fs::path const& file) {
  std::error_code error;
  auto folder = file.parent_path();
  for (int up = 0; up < 5 && folder.has_relative_path(); ++up) {
    folder = folder.parent_path();
    if (auto const found = folder / "share/morgana"; fs::is_directory(found, error)) return found;
  }
  return {};
}

}  // namespace

fs::path data_folder() {
  std::error_code error;
  if (auto const* home = std::getenv("MORGANA_HOME"); home && *home) {
    return fs::absolute(home, error).lexically_normal();
  }
  auto const executable = fs::read_symlink("/proc/self/exe", error);
  if (auto found = beside(executable); !found.empty()) return found;
  Dl_info info{};
  // Any address in this library serves; a function pointer becomes an object pointer only this way.
  if (dladdr(reinterpret_cast<void const*>(&data_folder), &info) != 0 && info.dli_fname) {
    auto const library = fs::canonical(info.dli_fname, error);
    if (!error) {
      if (auto found = beside(library); !found.empty()) return found;
    }
  }
  return executable.parent_path().parent_path() / "share/morgana";
}

}  // namespace morgana::driver
