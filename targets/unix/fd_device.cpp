#include "morgana/hosted/fd_device.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "morgana/core/log.hpp"
#include "morgana/hosted/reactor.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "linux_interface.hpp"
#include "process.hpp"
#include "vnet_header.hpp"

namespace morgana::hosted {
namespace {

/// What the runner put into MORGANA_NETWORK_<name>: fd:N,mac=...,mtu=N,vnet=0|1.
struct given_network {
  int descriptor = -1;
  bool has_vnet_header = false;
  net::device_capabilities as;
  bool has_address = false;
};

template <class N>
bool parse_number(std::string_view text, N& into) {
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size();
}

bool parse_network(std::string_view text, given_network& into) {
  for (auto first = true;; first = false) {
    auto const comma = text.find(',');
    auto const part = text.substr(0, comma);
    if (first) {
      if (!part.starts_with("fd:") || !parse_number(part.substr(3), into.descriptor)) return false;
    } else if (part.starts_with("mac=")) {
      if (part.size() > 4) {
        auto const address = net::mac_address::parse(part.substr(4));
        if (!address) return false;
        into.as.address = *address;
        into.has_address = true;
      }
    } else if (part.starts_with("mtu=")) {
      // RFC 791: every link carries 68 bytes.
      if (!parse_number(part.substr(4), into.as.mtu_bytes) || into.as.mtu_bytes < 68 || into.as.mtu_bytes > 65535) {
        return false;
      }
    } else if (part == "vnet=1") {
      into.has_vnet_header = true;
    } else if (part != "vnet=0") {
      return false;
    }
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

net::mac_address random_interface_address() {
  net::mac_address address;
  if (::getrandom(address.bytes.data(), address.bytes.size(), 0) != ssize_t{6}) return {{2, 0, 0, 0, 0, 1}};
  // IEEE 802: locally administered, to one station.
  address.bytes[0] = static_cast<std::uint8_t>((address.bytes[0] & 0xfc) | 2);
  return address;
}

struct fd_device_state final : pollable, net::frame_port {
  fd_device_state(int given, net::device_capabilities const& capabilities, bool with_vnet_header)
      : frame_port(capabilities),
        descriptor(given),
        has_vnet_header(with_vnet_header),
        pool(with_vnet_header ? super_buffer_bytes : capabilities.mtu_bytes + ethernet_bytes + vlan_bytes,
             fd_device::buffer_bytes_max),
        rooms_used(with_vnet_header ? rooms.size() : 1) {}
  ~fd_device_state() { ::close(descriptor); }

  void ready(std::uint32_t events) override {
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) room_came();
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
    readable = true;
    frames_came();
  }
  [[nodiscard]] std::size_t take(std::span<net::segment> into) override;

  /// Reads one message into the vector; what does not fit is lost. -1 and errno as recvmsg.
  ssize_t read_message(std::span<iovec> parts) const {
    if (!is_socket) return ::readv(descriptor, parts.data(), static_cast<int>(parts.size()));
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return ::recvmsg(descriptor, &message, MSG_DONTWAIT);
  }
  ssize_t write_message(std::span<iovec> parts) const {
    if (!is_socket) return ::writev(descriptor, parts.data(), static_cast<int>(parts.size()));
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return ::sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  /// The buffers the next message goes into; those it did not reach are there for the one after it. A super-packet
  /// lies in as many as it needs, so that a small frame never holds 64 KiB.
  void refill() {
    rooms_ready = 0;
    for (std::size_t i = 0; i < rooms_used; ++i) {
      if (rooms[i].size() == 0) {
        rooms[i] = pool.take_slice(pool.buffer_bytes());
        if (rooms[i].size() == 0) return;
        vector[1 + i] = {.iov_base = rooms[i].writable().data(), .iov_len = rooms[i].size()};
      }
      ++rooms_ready;
    }
  }
  /// Reads one message; the header apart. -1 and errno as recvmsg.
  ssize_t read_next(vnet_header& header, std::byte& beyond) {
    refill();
    vector[0] = {.iov_base = &header, .iov_len = has_vnet_header ? sizeof header : 0};
    // A byte here: the frame was longer than what there is for it.
    auto const last = vector[1 + rooms_ready];
    vector[1 + rooms_ready] = {.iov_base = &beyond, .iov_len = 1};
    auto const count = read_message(std::span(vector).first(rooms_ready + 2));
    vector[1 + rooms_ready] = last;
    return count;
  }

  /// A page each; a vnet header's super-packet needs 17 of them.
  static constexpr std::size_t super_buffer_bytes = 4096;
  static constexpr std::size_t rooms_max = net::segment_bytes_max / super_buffer_bytes + 1;
  static_assert(rooms_max <= net::segment_slices_max);

  int descriptor;
  bool is_socket = false;
  bool readable = false;
  bool has_vnet_header;
  net::buffer_pool pool;
  std::array<net::slice, rooms_max> rooms;
  std::array<iovec, rooms_max + 2> vector{};
  std::size_t rooms_used;
  std::size_t rooms_ready = 0;
};

namespace {

/// False when the header lies.
bool read_header(vnet_header const& from, net::segment& into) {
  switch (from.segmentation_kind & ~vnet_header::segments_ecn) {
    case vnet_header::segments_none: into.gso_kind = net::segmentation::none; break;
    case vnet_header::segments_tcp_v4: into.gso_kind = net::segmentation::tcp_v4; break;
    case vnet_header::segments_tcp_v6: into.gso_kind = net::segmentation::tcp_v6; break;
    case vnet_header::segments_udp: into.gso_kind = net::segmentation::udp; break;
    default: return false;
  }
  into.gso_size = into.gso_kind == net::segmentation::none ? std::uint16_t{0} : from.segment_bytes;
  if (into.gso_kind != net::segmentation::none && into.gso_size == 0) return false;
  into.checksum = net::checksum_state::unchecked;
  into.checksum_start = into.checksum_offset = 0;
  if ((from.flags & vnet_header::needs_checksum) != 0) {
    // The other side is hostile until shown otherwise: the field must lie within the frame.
    if (std::size_t{from.checksum_start} + from.checksum_offset + 2 > into.size()) return false;
    into.checksum = net::checksum_state::partial;
    into.checksum_start = from.checksum_start;
    into.checksum_offset = from.checksum_offset;
  } else if ((from.flags & vnet_header::data_valid) != 0) {
    into.checksum = net::checksum_state::valid;
  }
  return true;
}

vnet_header write_header(net::segment const& from) {
  vnet_header header{};
  if (from.checksum == net::checksum_state::partial) {
    header.flags = vnet_header::needs_checksum;
    header.checksum_start = from.checksum_start;
    header.checksum_offset = from.checksum_offset;
  } else if (from.checksum == net::checksum_state::valid) {
    header.flags = vnet_header::data_valid;
  }
  switch (from.gso_kind) {
    case net::segmentation::none: header.segmentation_kind = vnet_header::segments_none; break;
    case net::segmentation::tcp_v4: header.segmentation_kind = vnet_header::segments_tcp_v4; break;
    case net::segmentation::tcp_v6: header.segmentation_kind = vnet_header::segments_tcp_v6; break;
    case net::segmentation::udp: header.segmentation_kind = vnet_header::segments_udp; break;
  }
  if (from.gso_kind != net::segmentation::none) {
    header.segment_bytes = from.gso_size;
    // All headers: transport's start, plus TCP's length in its data offset. Linux works it out again itself.
    header.header_bytes = static_cast<std::uint16_t>(std::min<std::size_t>(from.header_size(), UINT16_MAX));
  }
  return header;
}

}  // namespace

// ---- receiving ----------------------------------------------------------------------------------------

std::size_t fd_device_state::take(std::span<net::segment> into) {
  std::size_t taken = 0;
  while (readable && taken < into.size()) {
    vnet_header header{};
    std::byte beyond{};
    auto const count = read_next(header, beyond);
    if (count < 0) {
      if (errno == EINTR) continue;
      // What was taken before an error is given first; the next call meets it again.
      if (errno != EAGAIN) {
        if (taken == 0) ended.emplace(core_error::closed, errno);
        return taken;
      }
      readable = false;
      break;
    }
    if (count == 0) {
      // The end of a SOCK_SEQPACKET connection.
      if (taken == 0) ended.emplace(core_error::closed, EPIPE);
      return taken;
    }
    auto const header_bytes = has_vnet_header ? sizeof header : 0;
    auto const bytes = static_cast<std::size_t>(count);
    // Without a buffer the frame was read all the same, and is lost.
    if (bytes < header_bytes + ethernet_bytes || bytes > header_bytes + rooms_ready * pool.buffer_bytes()) {
      ++counters.dropped_received;
      continue;
    }
    auto& frame = into[taken];
    frame.clear();
    auto left = bytes - header_bytes;
    for (std::size_t i = 0; left != 0; ++i) {
      auto part = std::move(rooms[i]);
      if (part.size() > left) part.drop_back(part.size() - left);
      left -= part.size();
      if (!frame.append(std::move(part))) break;
    }
    if (left != 0 || !read_header(header, frame)) {
      frame.clear();
      ++counters.dropped_received;
      continue;
    }
    ++counters.received_frames;
    ++taken;
  }
  return taken;
}

// ---- sending ------------------------------------------------------------------------------------------

result<std::size_t> fd_device::transmit(std::span<net::segment> from) {
  auto& on = *state_;
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto& frame = from[i];
    if (!on.can_send(frame)) {
      frame.clear();
      continue;
    }
    auto header = write_header(frame);
    iovec vector[2 + net::segment_slices_max];
    std::size_t parts = 0;
    auto const add = [&](void const* bytes, std::size_t size) {
      if (size != 0) vector[parts++] = {.iov_base = const_cast<void*>(bytes), .iov_len = size};
    };
    if (on.has_vnet_header) add(&header, sizeof header);
    add(std::as_const(frame).header().data(), frame.header_size());
    for (auto const& part : frame.slices()) add(part.bytes().data(), part.size());
    ssize_t count;
    do count = on.write_message(std::span(vector).first(parts));
    while (count < 0 && errno == EINTR);
    if (count >= 0) {
      ++on.counters.sent_frames;
    } else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
      on.writable = false;
      return i;
    } else if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN || errno == ECONNREFUSED || errno == EBADFD) {
      return failure(core_error::closed, errno);
    } else {
      ++on.counters.dropped_sent;  // this frame is what is wrong (EMSGSIZE, EINVAL of a tap)
    }
    frame.clear();
  }
  return from.size();
}

// ---- the device ---------------------------------------------------------------------------------------

result<std::unique_ptr<fd_device>> fd_device::open(int descriptor, net::device_capabilities const& as,
                                                   bool has_vnet_header) {
  auto state = std::make_unique<fd_device_state>(descriptor, as, has_vnet_header);
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0) {
    // A stream has no message borders.
    if (type != SOCK_SEQPACKET && type != SOCK_DGRAM) return failure(core_error::invalid_argument);
    state->is_socket = true;
  } else {
    // A tap interface: its O_NONBLOCK is nobody else's.
    auto const flags = ::fcntl(descriptor, F_GETFL);
    if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) {
      return failure(core_error::invalid_argument, errno);
    }
    // What we take of the kernel's: super-packets of TCP, sums that are not finished, or neither. UDP's super-packets
    // are not asked for: a datagram is one packet to us.
    auto const offload = [&](unsigned what) { return ::ioctl(descriptor, linux_interface::set_tun_offload, what) == 0; };
    // Without a header neither may be left on by whoever had a lasting interface before.
    if (has_vnet_header && !offload(linux_interface::tun_checksum_and_tso) && !offload(linux_interface::tun_checksum) &&
        !offload(0)) {
      return failure(core_error::invalid_argument, errno);
    }
    if (!has_vnet_header) (void)offload(0);
  }
  state->as.transmit_checksum = state->as.receive_checksum = has_vnet_header;
  state->as.segmentation_tcp_v4 = state->as.segmentation_tcp_v6 = has_vnet_header;
  state->as.segmentation_udp = false;
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  if (auto const number = reactor::of_process().watch(descriptor, *state, EPOLLIN | EPOLLOUT | EPOLLRDHUP); number != 0) {
    return failure(core_error::invalid_argument, number);
  }
  return std::unique_ptr<fd_device>(new fd_device(std::move(state)));
}

task<result<std::unique_ptr<fd_device>>> fd_device::connect(context& in, device_name name) {
  log_source const log(in.log(), "net");
  auto const variable = "MORGANA_NETWORK_" + std::string(name.text);
  auto text = environment(variable.c_str());
  if (text.empty()) text = environment("MORGANA_NETWORK");
  if (text.empty()) {
    log.error("there is no network `{}`: attach one with `morgana run --network {}=tap`", name.text, name.text);
    co_return failure(core_error::device_missing);
  }
  given_network given;
  if (!parse_network(text, given) || given.descriptor < 0) {
    log.error("{}: `{}` is not fd:N,mac=ADDRESS,mtu=N,vnet=0|1", std::string_view(variable), text);
    co_return failure(core_error::invalid_argument);
  }
  if (::fcntl(given.descriptor, F_GETFD) < 0) {
    log.error("{}: descriptor {} is not open", std::string_view(variable), given.descriptor);
    co_return failure(core_error::invalid_argument, given.descriptor);
  }
  if (!given.has_address) given.as.address = random_interface_address();
  co_return open(given.descriptor, given.as, given.has_vnet_header);
}

fd_device::fd_device(std::unique_ptr<fd_device_state> state) : state_(std::move(state)) {}
fd_device::fd_device(fd_device&& other) noexcept = default;
fd_device::~fd_device() = default;
net::device_capabilities fd_device::capabilities() const { return state_->as; }
net::frame_receive fd_device::receive(std::span<net::segment> into, instant deadline) { return {*state_, into, deadline}; }
net::frame_room fd_device::room(instant deadline) { return {*state_, deadline}; }
net::frame_counters const& fd_device::counters() const { return state_->counters; }

}  // namespace morgana::hosted
