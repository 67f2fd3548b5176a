#include "workspace/files.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {
namespace {

struct close_file {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using file_handle = std::unique_ptr<std::FILE, close_file>;

}  // namespace

std::optional<std::string> read_file(std::filesystem::path const& path) {
  file_handle file(std::fopen(path.c_str(), "rbe"));
  if (!file) return std::nullopt;
  std::string text;
  char buffer[64 * 1024];
  while (auto const count = std::fread(buffer, 1, sizeof buffer, file.get())) text.append(buffer, count);
  if (std::ferror(file.get()) != 0) return std::nullopt;
  return text;
}

bool write_file(std::filesystem::path const& path, std::string_view text) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  auto const beside = std::filesystem::path(fmt::format("{}.new{}", path.string(), ::getpid()));
  file_handle file(std::fopen(beside.c_str(), "wbe"));
  if (!file) return false;
  auto const whole = std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
  if (std::fclose(file.release()) == 0 && whole) {
    std::filesystem::rename(beside, path, error);
    if (!error) return true;
  }
  std::filesystem::remove(beside, error);
  return false;
}

std::filesystem::path application_folder(std::filesystem::path const& path) {
  std::error_code error;
  auto folder = std::filesystem::absolute(path.empty() ? "." : path, error).lexically_normal();
  if (std::filesystem::is_regular_file(folder, error)) folder = folder.parent_path();
  if (!folder.has_filename()) folder = folder.parent_path();
  return folder;
}

}  // namespace morgana::driver
