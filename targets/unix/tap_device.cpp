#include "morgana/hosted/tap_device.hpp"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

#include "linux_interface.hpp"
#include "morgana/core/log.hpp"
#include "vnet_header.hpp"

namespace morgana::hosted {
namespace {

/// The interface as a descriptor, or -1 and errno.
int attach(ifreq& request, bool with_header) {
  auto const descriptor = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return -1;
  request.ifr_flags = static_cast<short>(linux_interface::tun_is_tap | linux_interface::tun_without_protocol |
                                         (with_header ? linux_interface::tun_with_vnet_header : 0));
  if (::ioctl(descriptor, linux_interface::set_tun_interface, &request) == 0) return descriptor;
  auto const number = errno;
  ::close(descriptor);
  errno = number;
  return -1;
}

/// The interface's MTU; 1500 when the kernel does not say.
std::uint32_t mtu_of(ifreq request) {
  auto const any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  auto const known = any >= 0 && ::ioctl(any, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0;
  if (any >= 0) ::close(any);
  return known ? static_cast<std::uint32_t>(request.ifr_mtu) : 1500;
}

}  // namespace

task<result<std::unique_ptr<tap_device>>> tap_device::connect(context& in, device_name name,
                                                              tap_device_options const& options) {
  log_source const log(in.log(), "net");
  auto const interface = options.interface.empty() ? name.text : std::string_view(options.interface);
  ifreq request{};
  if (interface.size() >= sizeof request.ifr_name || interface.contains('/')) {
    log.error("interface: `{}` is longer than an interface's name may be, or holds a slash", interface);
    co_return failure(core_error::invalid_argument);
  }
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  auto has_header = options.offloads;
  auto descriptor = attach(request, has_header);
  if (descriptor < 0 && has_header && errno == EINVAL) {
    has_header = false;
    descriptor = attach(request, false);
  }
  if (descriptor < 0) {
    auto const number = errno;
    log.error(
        "cannot open the tap interface `{}`: {}; make it with `ip tuntap add dev {} mode tap user $USER`, or "
        "let "
        "`morgana run` attach one to the device `fd`",
        interface, std::string_view(::strerror(number)), interface);
    co_return failure(core_error::device_missing, number);
  }
  net::device_capabilities as{.mtu_bytes = mtu_of(request),
                              .address = options.address ? *options.address : random_interface_address()};
  auto link = open(descriptor, as, has_header);
  if (!link) co_return failure(std::move(link.error()));
  co_return std::unique_ptr<tap_device>(new tap_device(std::move(**link)));
}

}  // namespace morgana::hosted
