// The "tap" network device: a tap interface of the host that the guest opens by itself, for an image that is
// started without a runner. With a runner, `fd` is the choice and `morgana run --network NAME=tap:INTERFACE`
// opens it.
//
// Offloads: with a virtio-net header before each frame (IFF_VNET_HDR) the kernel completes checksums, cuts
// what is sent and puts together what arrives, in super-packets up to 64 KiB. What the kernel refuses is done
// without: first TCP's segmentation on receipt, then checksums, then the header. UDP is never put together on
// receipt.
//
// The interface must exist and belong to this user, or the process must be allowed to make it
// (CAP_NET_ADMIN); one made this way goes with the process. Its addresses and state are the host's to set.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "morgana/hosted/fd_device.hpp"

namespace morgana::hosted {

struct tap_device_options {
  /// Name of the interface; empty: the device's own name.
  std::string interface;
  /// Leave checksums and segmentation to the kernel, as far as it can.
  bool offloads = true;
  /// Ethernet address of the guest, such as 02:00:00:00:00:02; none: a random one.
  std::optional<net::mac_address> address;
};

class tap_device final : public fd_device {
 public:
  /// Errors: core_error::device_missing (no such interface, no permission; the log says what to run),
  /// core_error::invalid_argument (a name no interface can have).
  [[nodiscard]] static task<result<std::unique_ptr<tap_device>>> connect(context& in, device_name name,
                                                                         tap_device_options const& options);

 private:
  explicit tap_device(fd_device&& opened) : fd_device(std::move(opened)) {}
};

}  // namespace morgana::hosted
