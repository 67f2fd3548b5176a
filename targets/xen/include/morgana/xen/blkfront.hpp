// The "blkfront" block device: a disk of the domain, served by a backend in another (io/blkif.h), Linux'
// blkback for instance.
//
// Which disk it is: the one that the runner says has the device's name (xenstore's data/disks/NAME); where
// nobody says, the one at the parameter's place in the domain's configuration, xvda for the first.
// `--NAME.vdev=xvdb` names another.
//
// A write that has ended is on its way to stable storage, and is there once a flush() that began after it has
// ended: by the backend's flush or, where it has only that, its barrier. A backend with neither is said in
// the log: what it answered counts as stored, which is what the protocol says of it.
//
// Costs: data are copied once, into or out of pages that stay granted; requests of up to 256 KiB where the
// backend takes indirect segments, else of 44 KiB, four at once for each read() or write(). No hypercall but
// notifications.
//
// Limits: `pages_max` pages, less in a small guest (a thirty-second of its memory); 32 requests. At either
// what comes later waits. A request that is not answered in `request_time` ends in core_error::timed_out.
//
// The backend is not trusted. When it breaks the protocol or closes, every wait ends in an error, and the log
// says what it did. It is not connected to again then: that is disconnect() and connect(). After a suspend it is
// connected to again by itself, and requests wait until then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/task.hpp"
#include "morgana/storage/block_device.hpp"

namespace morgana::xen {

class driver_host;
struct blkfront_state;

struct blkfront_options {
  /// The disk in the domain's configuration, "xvdb" or its number, when it is not the one at this disk's
  /// place.
  std::string_view vdev = "";
  /// Refuse to write.
  bool read_only = false;
};

class blkfront {
 public:
  static constexpr std::size_t pages_max = 256;
  /// For the backend to be ready, and to let go of our pages.
  static constexpr duration connect_time = std::chrono::seconds(8);
  static constexpr duration disconnect_time = std::chrono::seconds(5);
  static constexpr duration request_time = std::chrono::seconds(60);

  /// Errors: core_error::device_missing (the domain has no such disk, or there is no Xen),
  /// core_error::invalid_argument (what the backend says of the disk cannot be, or the option), driver_error
  /// (the log says which disk, and what its backend did), core_error::out_of_memory.
  [[nodiscard]] static task<result<std::unique_ptr<blkfront>>> connect(context& in, device_name name,
                                                                       blkfront_options const& options);
  /// The same on a host of the caller's.
  [[nodiscard]] static task<result<std::unique_ptr<blkfront>>> connect(context& in, driver_host& on,
                                                                       device_name name,
                                                                       blkfront_options const& options);
  /// Tells the backend and takes all pages back. What it does not let go of within disconnect_time is never
  /// used again, and said in the log.
  task<void> disconnect();
  ~blkfront();

  [[nodiscard]] block_information information() const;
  /// Errors of all: storage_error::out_of_range, misaligned, read_only; storage_error::input_output (the
  /// backend's status), core_error::timed_out, driver_error::backend_lied, driver_error::backend_failed.
  [[nodiscard]] task<result<void>> read(std::uint64_t sector, std::span<std::byte> into);
  [[nodiscard]] task<result<void>> write(std::uint64_t sector, std::span<std::byte const> from);
  [[nodiscard]] task<result<void>> flush();
  /// What was there need not be kept. Errors: core_error::not_supported as well.
  [[nodiscard]] task<result<void>> discard(std::uint64_t sector, std::uint64_t sectors);

 private:
  explicit blkfront(std::unique_ptr<blkfront_state> state);
  std::unique_ptr<blkfront_state> state_;
};

}  // namespace morgana::xen
