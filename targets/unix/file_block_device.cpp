#include "morgana/hosted/file_block_device.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "morgana/core/log.hpp"
#include "morgana/storage/block_check.hpp"
#include "process.hpp"

namespace morgana::hosted {
namespace {

struct disk {
  std::string path;
  bool read_only = false;
  std::uint32_t sector_bytes = 512;
};

/// What the runner put into MORGANA_DISK_<name>: PATH,ro|rw,SECTOR_BYTES, read from its end because a path
/// may hold commas.
bool parse_disk(std::string_view text, disk& into) {
  auto const last = text.rfind(',');
  if (last == std::string_view::npos || last == 0) return false;
  auto const number = text.substr(last + 1);
  auto const [end, problem] = std::from_chars(number.data(), number.data() + number.size(), into.sector_bytes);
  if (problem != std::errc() || end != number.data() + number.size()) return false;
  auto const mode_at = text.rfind(',', last - 1);
  if (mode_at == std::string_view::npos || mode_at == 0) return false;
  auto const mode = text.substr(mode_at + 1, last - mode_at - 1);
  if (mode != "ro" && mode != "rw") return false;
  into.read_only = mode == "ro";
  into.path = text.substr(0, mode_at);
  return true;
}

result<void> io_failure(int number) { return failure(storage::storage_error::input_output, number); }

}  // namespace

task<result<file_block_device>> file_block_device::connect(context& in, device_name name,
                                                           file_block_device_options const& options) {
  log_source const log(in.log(), "disk");
  disk wanted{.path = std::string(options.path), .read_only = options.read_only, .sector_bytes = options.sector_bytes};
  if (wanted.path.empty()) {
    auto const variable = "MORGANA_DISK_" + std::string(name.text);
    auto const given = environment(variable.c_str());
    if (given.empty()) {
      log.error("there is no disk `{}`: attach a file with `morgana run --disk {}=FILE`, or give --{}.path=FILE",
                name.text, name.text, name.text);
      co_return failure(core_error::device_missing);
    }
    if (!parse_disk(given, wanted)) {
      log.error("{}: `{}` is not PATH,ro|rw,SECTOR_BYTES", std::string_view(variable), given);
      co_return failure(core_error::invalid_argument);
    }
    wanted.read_only = wanted.read_only || options.read_only;
  }
  auto const sector = wanted.sector_bytes;
  if (sector < 512 || sector > 65536 || (sector & (sector - 1)) != 0) {
    log.error("disk `{}`: a sector is a power of two from 512 to 65536 bytes, not {}", name.text, sector);
    co_return failure(core_error::invalid_argument, sector);
  }
  // O_NONBLOCK: opening a FIFO by mistake must not hang; files and disks ignore it.
  auto const descriptor =
      ::open(wanted.path.c_str(), (wanted.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    auto const number = errno;
    log.error("disk `{}`: cannot open {} (errno {})", name.text, std::string_view(wanted.path), number);
    co_return failure(storage::storage_error::input_output, number);
  }
  file_block_device device(descriptor, {.sector_bytes = sector, .sectors = 0, .read_only = wanted.read_only});
  struct stat about {};
  std::uint64_t bytes = 0;
  if (::fstat(descriptor, &about) != 0) co_return failure(storage::storage_error::input_output, errno);
  if (S_ISREG(about.st_mode)) {
    bytes = static_cast<std::uint64_t>(about.st_size);
  } else if (!S_ISBLK(about.st_mode) || ::ioctl(descriptor, BLKGETSIZE64, &bytes) != 0) {
    log.error("disk `{}`: {} is neither a file nor a block device", name.text, std::string_view(wanted.path));
    co_return failure(core_error::not_supported);
  }
  // Locks go with the open file: they end with the guest, however it ends.
  if (::flock(descriptor, (wanted.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
    auto const number = errno;
    log.error("disk `{}`: {} is in use by another guest", name.text, std::string_view(wanted.path));
    co_return failure(core_error::limit_reached, number);
  }
  if (bytes % sector != 0) {
    log.warning("disk `{}`: the last {} bytes are no whole sector and are not used", name.text, bytes % sector);
  }
  device.information_.sectors = bytes / sector;
  co_return device;
}

file_block_device::~file_block_device() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

storage::immediate<result<void>> file_block_device::read(std::uint64_t sector, std::span<std::byte> into) {
  auto checked = storage::check_transfer(information_, storage::transfer::read, sector, into.size());
  if (!checked) return checked;
  auto offset = static_cast<off_t>(sector * information_.sector_bytes);
  while (!into.empty()) {
    auto const count = ::pread(descriptor_, into.data(), into.size(), offset);
    if (count < 0) {
      if (errno == EINTR) continue;
      return io_failure(errno);
    }
    // Somebody made the file shorter while it was in use.
    if (count == 0) return io_failure(EIO);
    into = into.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
  return checked;
}

storage::immediate<result<void>> file_block_device::write(std::uint64_t sector, std::span<std::byte const> from) {
  auto checked = storage::check_transfer(information_, storage::transfer::write, sector, from.size());
  if (!checked) return checked;
  auto offset = static_cast<off_t>(sector * information_.sector_bytes);
  while (!from.empty()) {
    auto const count = ::pwrite(descriptor_, from.data(), from.size(), offset);
    if (count < 0) {
      if (errno == EINTR) continue;
      return io_failure(errno);
    }
    from = from.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
  return checked;
}

storage::immediate<result<void>> file_block_device::flush() {
  // Not repeated on EINTR-like errors: after a failed fdatasync the kernel has forgotten which pages failed,
  // and a second call would say all is well.
  if (::fdatasync(descriptor_) != 0) return io_failure(errno);
  return result<void>();
}

}  // namespace morgana::hosted
