// Tap interfaces for a runner: one that is there, or one made for the guest, with the host's end of it set
// up. What is made belongs to its descriptor: it goes when the last process that holds it ends, however it
// ends. A user who may make none on the host gets it in user and network namespaces of the runner's own, where the
// kernel has them for everyone.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <expected>
#include <optional>
#include <string>

#include "morgana/plugin/runner.hpp"

namespace morgana::plugin {

struct open_tap_interface {
  int descriptor = -1;
  std::string name = {};     ///< "tap0"
  bool vnet_header = false;  ///< a virtio_net_hdr stands before each frame
  std::uint32_t mtu = 1500;
  std::string note = {};     ///< what the user should know: how the guest is reached
};

namespace detail {

/// Moves this process, which has one thread, into namespaces in which it may make interfaces: the same user and
/// group, a network of its own. 0 or errno; after a failure nothing has changed.
[[nodiscard]] inline int enter_own_namespaces() {
  auto const user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return errno;
  auto const put = [](char const* path, std::string const& text) {
    auto const file = ::open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    [[maybe_unused]] auto const written = ::write(file, text.data(), text.size());
    ::close(file);
  };
  // user_namespaces(7): without privileges one maps oneself, and no groups can be dropped any more. Where that is
  // refused files belong to nobody, and the network works all the same.
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", user + " " + user + " 1");
  put("/proc/self/gid_map", group + " " + group + " 1");
  return 0;
}

/// A socket for interface requests.
struct control_socket {
  int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  control_socket() = default;
  control_socket(control_socket const&) = delete;
  control_socket& operator=(control_socket const&) = delete;
  ~control_socket() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

struct ipv4_network {
  in_addr address{};
  in_addr mask{};
};

[[nodiscard]] inline std::optional<ipv4_network> parse_ipv4_network(std::string const& text) {
  auto const slash = text.find('/');
  ipv4_network out;
  if (slash == std::string::npos || ::inet_pton(AF_INET, text.substr(0, slash).c_str(), &out.address) != 1) {
    return std::nullopt;
  }
  auto const digits = text.substr(slash + 1);
  if (digits.empty() || digits.size() > 2 || digits.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  auto const bits = std::stoi(digits);
  if (bits < 1 || bits > 32) return std::nullopt;
  out.mask.s_addr = htonl(~0u << (32 - bits));
  return out;
}

/// The interface whose network overlaps, if there is one.
[[nodiscard]] inline std::optional<std::string> overlapping_interface(ipv4_network const& with) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return std::nullopt;
  std::optional<std::string> found;
  for (auto const* one = all; one != nullptr && !found; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET || one->ifa_netmask == nullptr)
      continue;
    sockaddr_in address{}, mask{};
    std::memcpy(&address, one->ifa_addr, sizeof address);
    std::memcpy(&mask, one->ifa_netmask, sizeof mask);
    auto const common = mask.sin_addr.s_addr & with.mask.s_addr;
    if (((address.sin_addr.s_addr ^ with.address.s_addr) & common) == 0) found = one->ifa_name;
  }
  ::freeifaddrs(all);
  return found;
}

/// 0, or the errno of the first request that failed: address, MTU, up.
[[nodiscard]] inline int set_up_interface(std::string const& name, ipv4_network const& as,
                                          std::uint32_t mtu) {
  control_socket const control;
  if (control.descriptor < 0) return errno;
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
  auto const ask = [&](unsigned long what) { return ::ioctl(control.descriptor, what, &request) == 0; };
  auto const put = [&](in_addr const& value) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr = value;
    std::memcpy(&request.ifr_addr, &address, sizeof address);
  };
  put(as.address);
  if (!ask(SIOCSIFADDR)) return errno;
  put(as.mask);
  if (!ask(SIOCSIFNETMASK)) return errno;
  request.ifr_mtu = static_cast<int>(mtu);
  if (!ask(SIOCSIFMTU)) return errno;
  if (!ask(SIOCGIFFLAGS)) return errno;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return ask(SIOCSIFFLAGS) ? 0 : errno;
}

}  // namespace detail

/// Opens the tap interface of `network`, one Ethernet frame per read and write; makes it when the network
/// names none but has a `host_address`. Without IFF_VNET_HDR where the kernel has none.
[[nodiscard]] inline std::expected<open_tap_interface, runner_error> open_tap(guest_network const& network) {
  auto const is_made = network.tap.empty();
  auto const shown = network.name.empty() ? std::string("the network") : "network `" + network.name + "`";
  auto const flag = network.name.empty() ? std::string() : network.name + "=";
  auto const fail = [&](std::string what, std::vector<std::string> help) {
    return std::unexpected(runner_error{shown + ": " + std::move(what), std::move(help)});
  };
  std::optional<detail::ipv4_network> host;
  if (is_made) {
    host = detail::parse_ipv4_network(network.host_address);
    if (!host) {
      return fail("`" + network.host_address + "` is no IPv4 address with a prefix",
                  {"write for example --network " + flag + "tap,host=10.0.0.1/24"});
    }
    if (auto const other = detail::overlapping_interface(*host)) {
      return fail("the host has addresses of " + network.host_address + " on `" + *other + "` already",
                  {"choose another network: --network " + flag +
                       "tap,host=10.77.0.1/24 ... -- --network.ipv4=10.77.0.2/24",
                   "or connect the guest to an interface of yours: --network " + flag + "tap:INTERFACE"});
    }
  }

  open_tap_interface out;
  ifreq request{};
  auto const wanted = is_made ? std::string("morgana%d") : network.tap;
  if (wanted.size() >= sizeof request.ifr_name) {
    return fail("cannot open tap interface `" + wanted + "`: " + std::strerror(ENAMETOOLONG),
                {"create it for this user: ip tuntap add dev NAME mode tap user $USER"});
  }
  auto problem = 0;
  auto const attach = [&] {
    out.descriptor = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    problem = out.descriptor < 0 ? errno : 0;
    for (auto const header : {network.vnet_header, false}) {
      if (out.descriptor < 0) break;
      request = {};
      std::memcpy(request.ifr_name, wanted.data(), wanted.size());
      request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (header ? IFF_VNET_HDR : 0));
      problem = ::ioctl(out.descriptor, TUNSETIFF, &request) == 0 ? 0 : errno;
      out.vnet_header = header;
      if (problem != EINVAL) break;
    }
  };
  attach();
  if (is_made && problem == EPERM && detail::enter_own_namespaces() == 0) {
    ::close(out.descriptor);   // it is of the network it was opened in
    attach();
    out.note = shown + " is in a namespace of its own, with " + network.host_address +
               " as its other end; reach it with\n  nsenter --preserve-credentials -U -n -t " +
               std::to_string(::getpid()) + " curl http://...";
  }
  if (problem == 0) {
    out.name = request.ifr_name;
    out.mtu = network.mtu;
    if (is_made) {
      problem = detail::set_up_interface(out.name, *host, network.mtu);
    } else if (detail::control_socket const control; ::ioctl(control.descriptor, SIOCGIFMTU, &request) == 0) {
      out.mtu = static_cast<std::uint32_t>(request.ifr_mtu);
    }
  }
  if (problem == 0) return out;
  if (out.descriptor >= 0) ::close(out.descriptor);
  if (!is_made) {
    return fail("cannot open tap interface `" + network.tap + "`: " + std::strerror(problem),
                {"create it for this user: ip tuntap add dev " + network.tap + " mode tap user $USER",
                 "or run the guest with a network of descriptors, which needs no privileges"});
  }
  return fail(std::string("cannot make a tap interface: ") + std::strerror(problem),
              {"run it as root; or make one for your user, once:\n"
               "  sudo ip tuntap add dev morgana0 mode tap user $USER\n"
               "  sudo ip address add " +
                   network.host_address +
                   " dev morgana0\n"
                   "  sudo ip link set morgana0 up" +
                   (problem == EACCES ? "\n  sudo chmod 0666 /dev/net/tun" : ""),
               "and use it: --network " + flag + "tap:morgana0",
               "or let it stay in a namespace of its own, which is tried first and needs that /dev/net/tun is "
               "everyone's and the kernel gives everyone user namespaces (sysctl user.max_user_namespaces)"});
}

}  // namespace morgana::plugin
