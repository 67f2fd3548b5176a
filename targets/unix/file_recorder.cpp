#include "morgana/hosted/file_recorder.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <string>

#include "morgana/core/log.hpp"
#include "morgana/storage/error.hpp"

namespace morgana::hosted {

static_assert(morgana::recorder<file_recorder>);

task<result<file_recorder>> file_recorder::connect(context& in) {
  co_return file_recorder(in.log());
}

result<file_recorder::recording> file_recorder::begin(std::string_view name) {
  std::string const path(name);
  auto const descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    auto const number = errno;
    log_source const log(*log_, "recorder");
    log.error("cannot write {} (errno {}): name another file, or make its folder writable", name, number);
    return failure(storage::storage_error::input_output, number);
  }
  return recording(descriptor);
}

file_recorder::recording::~recording() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

result<void> file_recorder::recording::append(std::span<std::span<std::byte const> const> parts) {
  iovec vector[parts_max];
  std::size_t count = 0, size = 0;
  for (auto const& part : parts) {
    if (count == parts_max) return failure(storage::storage_error::input_output, EINVAL);
    vector[count++] = {.iov_base = const_cast<std::byte*>(part.data()), .iov_len = part.size()};
    size += part.size();
  }
  auto const written = ::writev(descriptor_, vector, static_cast<int>(count));
  if (written < 0) return failure(storage::storage_error::input_output, errno);
  // The file cannot grow: a disk that is full, or a limit of this process.
  if (static_cast<std::size_t>(written) != size) return failure(storage::storage_error::input_output, ENOSPC);
  return {};
}

}  // namespace morgana::hosted
