// The few constants of Linux that no C library has, only the kernel's own headers: an image that brings its C
// library is compiled without those of the host.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>

namespace morgana::hosted::linux_interface {

/// openat2(2).
struct open_how {
  std::uint64_t flags = 0;
  std::uint64_t mode = 0;
  std::uint64_t resolve = 0;
};
inline constexpr std::uint64_t resolve_no_magic_links = 0x02;
inline constexpr std::uint64_t resolve_beneath = 0x08;

/// TUNSETIFF with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR (tuntap.rst).
inline constexpr unsigned long set_tun_interface = _IOW('T', 202, int);
inline constexpr int tun_is_tap = 0x0002;
inline constexpr int tun_without_protocol = 0x1000;
inline constexpr int tun_with_vnet_header = 0x4000;

/// TUNSETOFFLOAD with TUN_F_CSUM, and with TUN_F_TSO4 and TUN_F_TSO6 too.
inline constexpr unsigned long set_tun_offload = _IOW('T', 208, unsigned);
inline constexpr unsigned tun_checksum = 0x01;
inline constexpr unsigned tun_checksum_and_tso = tun_checksum | 0x02 | 0x04;

}  // namespace morgana::hosted::linux_interface
