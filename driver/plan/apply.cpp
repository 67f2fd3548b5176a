// The only place where a plan reaches the disk.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "morgana/driver/plan.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

struct close_file {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using file_handle = std::unique_ptr<std::FILE, close_file>;

/// Every file the plan has, the two that are printed from it included.
std::vector<plan_file> all_files(build_plan const& plan) {
  auto files = plan.files;
  files.push_back({.path = "build.ninja", .text = to_ninja(plan)});
  files.push_back({.path = plan.compile_commands_path, .text = to_compile_commands(plan)});
  return files;
}

std::optional<std::string> read_all(fs::path const& path) {
  file_handle file(std::fopen(path.c_str(), "rb"));
  if (!file) return std::nullopt;
  std::string text;
  char buffer[64 * 1024];
  while (auto const count = std::fread(buffer, 1, sizeof buffer, file.get())) text.append(buffer, count);
  if (std::ferror(file.get())) return std::nullopt;
  return text;
}

bool is_current(plan_file const& file, fs::path const& path) {
  std::error_code ignored;
  if (file.what == plan_file::kind::link) {
    return fs::is_symlink(fs::symlink_status(path, ignored)) && fs::read_symlink(path, ignored) == file.text;
  }
  if (fs::is_symlink(fs::symlink_status(path, ignored))) return false;
  auto const size = fs::file_size(path, ignored);
  if (ignored || size != file.text.size()) return false;
  return read_all(path) == file.text;
}

std::unexpected<diagnostics> failed(fs::path const& path, std::string_view why) {
  return fail({.code = "write-failed",
               .message = fmt::format("cannot write `{}`: {}", path.string(), why),
               .help = {"choose another build folder with `-o DIR`, or make this one writable"}});
}

outcome<void> write_one(plan_file const& file, fs::path const& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return failed(path, error.message());
  auto const beside = fs::path(path.string() + fmt::format(".new{}", ::getpid()));
  if (file.what == plan_file::kind::link) {
    fs::remove(beside, error);
    fs::create_symlink(file.text, beside, error);
    if (error) return failed(path, error.message());
  } else {
    file_handle out(std::fopen(beside.c_str(), "wb"));
    if (!out) return failed(path, std::strerror(errno));
    auto const whole = std::fwrite(file.text.data(), 1, file.text.size(), out.get()) == file.text.size();
    if (std::fclose(out.release()) != 0 || !whole) {
      auto const why = errno;
      fs::remove(beside, error);
      return failed(path, std::strerror(why));
    }
  }
  fs::rename(beside, path, error);
  if (error) {
    auto const why = error.message();
    fs::remove(beside, error);
    return failed(path, why);
  }
  return {};
}

/// 1204 as "1,204".
std::string with_commas(std::size_t number) {
  auto digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

}  // namespace

std::vector<std::string> actions(build_plan const& plan, fs::path const& build_folder) {
  std::vector<std::string> lines;
  for (auto const& file : all_files(plan)) {
    auto const path = (build_folder / file.path).lexically_normal();
    auto const current = is_current(file, path);
    if (file.what == plan_file::kind::link) {
      lines.push_back(fmt::format("{} {} -> {}", current ? "unchanged" : "link", path.string(), file.text));
    } else if (current) {
      lines.push_back(fmt::format("unchanged {}", path.string()));
    } else {
      lines.push_back(fmt::format("write {}, {} bytes", path.string(), with_commas(file.text.size())));
    }
  }
  return lines;
}

outcome<void> apply(build_plan const& plan, fs::path const& build_folder) {
  for (auto const& file : all_files(plan)) {
    auto const path = (build_folder / file.path).lexically_normal();
    if (is_current(file, path)) continue;
    if (auto written = write_one(file, path); !written) return written;
  }
  return {};
}

}  // namespace morgana::driver
