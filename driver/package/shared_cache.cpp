#include "package/shared_cache.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

std::unexpected<diagnostics> write_failed(fs::path const& what, std::string_view why) {
  return fail({.code = "write-failed",
               .message = fmt::format("cannot write `{}`: {}", what.string(), why),
               .help = {"check the free space and the owner of the cache folder, or name another one with "
                        "XDG_CACHE_HOME"}});
}

std::string unique_suffix() {
  static std::atomic<unsigned> count = 0;  // distinguishes threads of this process, nothing reads it back
  return fmt::format("{}-{}", ::getpid(), count++);
}

// Staging folders whose lock is free belong to nobody any more.
void remove_left_over(fs::path const& beside) {
  std::error_code error;
  for (fs::directory_iterator at(beside, error), end; !error && at != end; at.increment(error)) {
    if (!at->path().filename().string().starts_with(".staging-")) continue;
    auto const lock_file = at->path() / ".lock";
    cache_lock lock;
    std::error_code ignored;
    if (fs::exists(lock_file, ignored) && cache_lock::try_take(lock_file, lock))
      fs::remove_all(at->path(), ignored);
  }
}

}  // namespace

cache_lock::~cache_lock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

outcome<cache_lock> cache_lock::take(package_cache const& cache, std::string const& name,
                                     progress const& report) {
  auto const folder = cache.root / "locks";
  if (auto made = make_folder(folder); !made) return fail(std::move(made));
  cache_lock lock;
  auto const file = folder / name;
  lock.descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock.descriptor_ < 0) return write_failed(file, std::strerror(errno));
  if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) == 0) return lock;
  if (report) report(fmt::format("waiting for another process that makes {}", name), 0, 0);
  while (::flock(lock.descriptor_, LOCK_EX) != 0) {
    if (errno != EINTR) return write_failed(file, std::strerror(errno));
  }
  return lock;
}

bool cache_lock::try_take(fs::path const& file, cache_lock& into) {
  cache_lock lock;
  lock.descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock.descriptor_ < 0 || ::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) return false;
  into = std::move(lock);
  return true;
}

staging_folder::~staging_folder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

outcome<staging_folder> staging_folder::make(fs::path const& beside) {
  if (auto made = make_folder(beside); !made) return fail(std::move(made));
  remove_left_over(beside);
  staging_folder staging;
  auto const path = beside / (".staging-" + unique_suffix());
  std::error_code ignored;
  fs::remove_all(path, ignored);
  if (auto made = make_folder(path); !made) return fail(std::move(made));
  staging.path_ = path;
  if (!cache_lock::try_take(path / ".lock", staging.lock_)) return write_failed(path, "it is locked");
  return staging;
}

outcome<void> make_folder(fs::path const& folder) {
  std::error_code error, unreadable;
  fs::create_directories(folder, error);
  if (error && !fs::is_directory(folder, unreadable)) return write_failed(folder, error.message());
  return {};
}

outcome<void> write_whole(fs::path const& file, std::string_view text) {
  auto const beside = fs::path(file.string() + ".new-" + unique_suffix());
  {
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();
    if (!out) {
      std::error_code ignored;
      fs::remove(beside, ignored);
      return write_failed(file, "the file system refused it");
    }
  }
  return move_into_place(beside, file);
}

outcome<void> move_into_place(fs::path const& from, fs::path const& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (!error) return {};
  std::error_code ignored;
  if (fs::is_directory(to, ignored) && fs::is_directory(from, ignored)) return {};
  return write_failed(to, error.message());
}

}  // namespace morgana::driver::package_detail
