#include "morgana/hosted/directory_store.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "morgana/core/log.hpp"
#include "morgana/storage/content_hash.hpp"
#include "morgana/storage/key.hpp"
#include "linux_interface.hpp"

namespace morgana::hosted {

using storage::storage_error;

namespace {

struct open_file {
  std::string key;                   ///< empty: a free place
  int descriptor = -1;
  value_information information;
  instant checked;                   ///< when the folder was last asked for this key
  std::uint64_t used = 0;            ///< the place that was used longest ago is given up first
};

/// Opens `path` below `folder`; a descriptor, or an errno as a negative number.
int open_beneath(int folder, char const* path, int flags) {
  linux_interface::open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = linux_interface::resolve_beneath | linux_interface::resolve_no_magic_links;
  for (;;) {
    auto const descriptor = ::syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (descriptor >= 0) return static_cast<int>(descriptor);
    // EAGAIN: a rename raced with a ".." of a symbolic link (openat2(2)).
    if (errno != EINTR && errno != EAGAIN) return -errno;
  }
}

/// A file that was written anew has another inode, size or change time.
value_information information_of(struct stat const& about) {
  std::int64_t const identity[] = {static_cast<std::int64_t>(about.st_dev), static_cast<std::int64_t>(about.st_ino),
                                   about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec,
                                   about.st_ctim.tv_sec, about.st_ctim.tv_nsec};
  return {.size_bytes = static_cast<std::uint64_t>(about.st_size),
          .content_hash = storage::content_hash(std::as_bytes(std::span(identity))),
          .modified_unix_seconds = about.st_mtim.tv_sec};
}

error error_of(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EXDEV:                      // it would leave the folder
    case ELOOP:
    case ENXIO:                      // a socket or a FIFO nobody reads
    case ENAMETOOLONG: return error(storage_error::not_found);
    default: return error(storage_error::input_output, number);
  }
}

}  // namespace

struct directory_store::state {
  explicit state(context& where) : in(&where) {}
  state(state const&) = delete;
  state& operator=(state const&) = delete;
  ~state() {
    for (auto& file : files) close(file);
    if (folder >= 0) ::close(folder);
  }

  static void close(open_file& file) {
    if (file.descriptor >= 0) ::close(file.descriptor);
    file = {};
  }

  /// The file of `key`; asks the folder again when what is known is older than the trust time.
  result<open_file*> find(std::string_view key) {
    if (!storage::is_valid_key(key)) return failure(storage_error::invalid_key);
    auto* place = &files.front();
    auto known = false;
    for (auto& file : files) {
      if (!file.key.empty() && file.key == key) {
        place = &file;
        known = true;
        break;
      }
      if (file.used < place->used) place = &file;
    }
    if (!known || in->now() - place->checked >= trust_time) {
      char path[key_bytes_max + 1];
      std::memcpy(path, key.data(), key.size());
      path[key.size()] = '\0';
      // O_NONBLOCK: a FIFO in the folder must not stop the guest.
      auto const descriptor = open_beneath(folder, path, O_RDONLY | O_NONBLOCK);
      if (descriptor < 0) {
        if (known) close(*place);
        return failure(error_of(-descriptor));
      }
      struct stat about {};
      if (::fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        ::close(descriptor);
        if (known) close(*place);
        return failure(storage_error::not_found);
      }
      close(*place);
      place->key = key;
      place->descriptor = descriptor;
      place->information = information_of(about);
      place->checked = in->now();
    }
    place->used = ++uses;
    return place;
  }

  context* in;
  int folder = -1;
  std::array<open_file, open_files_max> files;
  std::uint64_t uses = 0;
};

directory_store::directory_store(std::unique_ptr<state> state) : state_(std::move(state)) {}
directory_store::directory_store(directory_store&&) noexcept = default;
directory_store& directory_store::operator=(directory_store&&) noexcept = default;
directory_store::~directory_store() = default;

task<result<directory_store>> directory_store::connect(context& in, directory_store_options const& options) {
  auto made = std::make_unique<state>(in);
  auto const path = std::string(options.path);
  made->folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (made->folder < 0) {
    auto const number = errno;
    log_source(in.log(), "storage").error("cannot open the folder {} (errno {})", std::string_view(path), number);
    co_return failure(storage_error::input_output, number);
  }
  auto const probe = open_beneath(made->folder, ".", O_PATH);
  if (probe < 0) co_return failure(core_error::not_supported, -probe);
  ::close(probe);
  co_return directory_store(std::move(made));
}

storage::immediate<result<value_information>> directory_store::stat(std::string_view key) {
  auto found = state_->find(key);
  if (!found) return result<value_information>(failure(std::move(found.error())));
  return result<value_information>((*found)->information);
}

storage::immediate<result<std::size_t>> directory_store::read(std::string_view key, std::uint64_t offset,
                                                              std::span<std::byte> into) {
  auto found = state_->find(key);
  if (!found) return result<std::size_t>(failure(std::move(found.error())));
  if (offset > INT64_MAX) return result<std::size_t>(0u);
  for (;;) {
    auto const count = ::pread((*found)->descriptor, into.data(), into.size(), static_cast<off_t>(offset));
    if (count >= 0) return result<std::size_t>(static_cast<std::size_t>(count));
    if (errno != EINTR) return result<std::size_t>(failure(storage_error::input_output, errno));
  }
}

namespace {

struct listed {
  std::string key;
  value_information information;
};

/// Adds what is below `folder` (which it closes), with keys that begin with `prefix`.
result<void> list(int root, int folder, std::string const& prefix, std::size_t depth, std::vector<listed>& into) {
  auto* const entries = ::fdopendir(folder);
  if (entries == nullptr) {
    auto const number = errno;
    ::close(folder);
    return failure(storage_error::input_output, number);
  }
  result<void> outcome;
  while (outcome) {
    errno = 0;
    auto const* const entry = ::readdir(entries);
    if (entry == nullptr) {
      if (errno != 0) outcome = failure(storage_error::input_output, errno);
      break;
    }
    auto key = prefix + entry->d_name;
    if (!storage::is_valid_key(key)) continue;
    auto const descriptor = open_beneath(root, key.c_str(), O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) continue;  // gone, unreadable, or a link that leaves the folder
    struct stat about {};
    auto const is_known = ::fstat(descriptor, &about) == 0;
    if (is_known && S_ISDIR(about.st_mode)) {
      // A link to a folder could lead round in a circle; its files are there under their own keys.
      struct stat link {};
      auto const is_link = ::fstatat(root, key.c_str(), &link, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(link.st_mode);
      if (is_link) {
        ::close(descriptor);
      } else if (depth == 0) {
        ::close(descriptor);
        outcome = failure(core_error::limit_reached, directory_store::folder_depth_max);
      } else {
        outcome = list(root, descriptor, key + '/', depth - 1, into);
      }
      continue;
    }
    ::close(descriptor);
    if (!is_known || !S_ISREG(about.st_mode)) continue;
    if (into.size() >= directory_store::listed_keys_max) {
      outcome = failure(core_error::limit_reached, directory_store::listed_keys_max);
    } else {
      into.push_back({.key = std::move(key), .information = information_of(about)});
    }
  }
  ::closedir(entries);
  return outcome;
}

}  // namespace

result<void> directory_store::keys(void (*each)(void*, std::string_view, value_information const&), void* with) {
  auto const folder = open_beneath(state_->folder, ".", O_RDONLY | O_DIRECTORY);
  if (folder < 0) return failure(storage_error::input_output, -folder);
  std::vector<listed> found;
  if (auto all = list(state_->folder, folder, "", folder_depth_max, found); !all) return all;
  std::ranges::sort(found, {}, &listed::key);
  for (auto const& one : found) each(with, one.key, one.information);
  return {};
}

}  // namespace morgana::hosted
