// Networks, disks and recordings of a simulated host that runs alone: descriptors and files of the runner's.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "process.hpp"

namespace morgana::sim {
namespace {

template <class N>
bool read_number(std::string_view text, N& into) {
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size();
}

bool read_address(std::string_view text, std::uint8_t (&into)[6]) {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < 6; ++i) {
    auto const byte = text.substr(i * 3, 2);
    auto const [end, problem] = std::from_chars(byte.data(), byte.data() + 2, into[i], 16);
    if (problem != std::errc() || end != byte.data() + 2 || (i < 5 && text[i * 3 + 2] != ':')) return false;
  }
  return true;
}

/// The part up to the next comma, which is taken off.
std::string_view next_part(std::string_view& rest) {
  auto const comma = rest.find(',');
  auto const part = rest.substr(0, comma);
  rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  return part;
}

/// The virtio-net header (Virtual I/O Device 1.2, 5.1.6), as it stands before each frame.
struct vnet_header {
  static constexpr std::uint8_t needs_checksum = 1, data_valid = 2;
  std::uint8_t flags = 0;
  std::uint8_t segmentation_kind = 0;
  std::uint16_t header_bytes = 0;
  std::uint16_t segment_bytes = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(vnet_header) == 10);

// net::segmentation in the header's terms, by its number; and net::checksum_state's numbers.
constexpr std::uint8_t segmentation_kinds[] = {0, 1, 4, 5};
constexpr std::uint8_t segments_ecn = 0x80;
constexpr std::uint8_t checksum_valid = 1, checksum_partial = 2;

vnet_header header_of(morgana_sim_frame_state const& from) {
  vnet_header out;
  if (from.checksum == checksum_partial) {
    out.flags = vnet_header::needs_checksum;
    out.checksum_start = from.checksum_start;
    out.checksum_offset = from.checksum_offset;
  } else if (from.checksum == checksum_valid) {
    out.flags = vnet_header::data_valid;
  }
  if (from.gso_kind < std::size(segmentation_kinds))
    out.segmentation_kind = segmentation_kinds[from.gso_kind];
  if (out.segmentation_kind != 0) out.segment_bytes = from.gso_size;
  return out;
}

morgana_sim_frame_state state_of(vnet_header const& from) {
  morgana_sim_frame_state out{};
  auto const kind = static_cast<std::uint8_t>(from.segmentation_kind & ~segments_ecn);
  out.gso_kind = static_cast<std::uint8_t>(std::ranges::find(segmentation_kinds, kind) - segmentation_kinds);
  if (out.gso_kind != 0) out.gso_size = from.segment_bytes;
  if ((from.flags & vnet_header::needs_checksum) != 0) {
    out.checksum = checksum_partial;
    out.checksum_start = from.checksum_start;
    out.checksum_offset = from.checksum_offset;
  } else if ((from.flags & vnet_header::data_valid) != 0) {
    out.checksum = checksum_valid;
  }
  return out;
}

}  // namespace

std::string process::attach() {
  constexpr std::string_view networks = "MORGANA_NETWORK_", disks = "MORGANA_DISK_";
  for (auto* const* variable = environ; *variable != nullptr; ++variable) {
    std::string_view const text(*variable);
    auto const equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    auto const value = text.substr(equals + 1);
    std::string wrong;
    if (text.starts_with(networks)) {
      wrong = attach_network(std::string(text.substr(networks.size(), equals - networks.size())), value);
    } else if (text.starts_with(disks)) {
      wrong = attach_disk(std::string(text.substr(disks.size(), equals - disks.size())), value);
    }
    if (!wrong.empty()) return wrong;
  }
  return {};
}

// ---- networks ------------------------------------------------------------------------------------------

std::string process::attach_network(std::string name, std::string_view text) {
  auto const wrong = [&](std::string_view what) { return "network `" + name + "`: " + std::string(what); };
  network one{.name = name};
  one.about.mtu_bytes = 1500;
  auto rest = text;
  auto const first = next_part(rest);
  if (!first.starts_with("fd:") || !read_number(first.substr(3), one.descriptor) ||
      ::fcntl(one.descriptor, F_GETFD) < 0) {
    return wrong("`" + std::string(text) + "` names no open descriptor");
  }
  auto has_address = false;
  while (!rest.empty()) {
    auto const part = next_part(rest);
    if (part.starts_with("mac=")) {
      has_address = part.size() > 4;
      if (has_address && !read_address(part.substr(4), one.about.address)) {
        return wrong("`" + std::string(part.substr(4)) + "` is no address of an interface");
      }
    } else if (part.starts_with("mtu=")) {
      // RFC 791: every link carries 68 bytes.
      if (!read_number(part.substr(4), one.about.mtu_bytes) || one.about.mtu_bytes < 68 ||
          one.about.mtu_bytes > 65535) {
        return wrong("`" + std::string(part) + "`: an MTU is a number from 68 to 65535");
      }
    } else if (part == "vnet=1") {
      one.has_vnet_header = true;
    }
  }
  if (!has_address) {
    random(std::as_writable_bytes(std::span(one.about.address)));
    // IEEE 802: locally administered, to one station.
    one.about.address[0] = static_cast<std::uint8_t>((one.about.address[0] & 0xfc) | 2);
  }
  int type = 0;
  socklen_t size = sizeof type;
  one.is_socket = ::getsockopt(one.descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  if (one.is_socket && type != SOCK_SEQPACKET && type != SOCK_DGRAM) return wrong("a stream has no frames");
  if (!one.is_socket) {
    ::fcntl(one.descriptor, F_SETFL, ::fcntl(one.descriptor, F_GETFL) | O_NONBLOCK);
    if (one.has_vnet_header &&
        ::ioctl(one.descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
      return wrong(std::string("TUNSETOFFLOAD: ") + std::strerror(errno));
    }
  }
  one.about.has_offloads = one.has_vnet_header ? 1 : 0;
  networks_.push_back(std::move(one));
  return {};
}

int process::find_network(std::string_view name, morgana_sim_network& about) {
  auto const at = std::ranges::find(networks_, name, &network::name);
  if (at == networks_.end()) return -1;
  about = at->about;
  at->is_used = true;
  return static_cast<int>(at - networks_.begin());
}

int process::transmit(int number, std::span<morgana_sim_part const> parts,
                      morgana_sim_frame_state const& state) {
  auto& on = networks_[static_cast<std::size_t>(number)];
  constexpr std::size_t parts_max = 32;
  if (on.is_gone || parts.size() > parts_max) return -1;
  auto header = header_of(state);
  if (state.gso_kind != 0 && !parts.empty()) {
    header.header_bytes = static_cast<std::uint16_t>(std::min<std::size_t>(parts.front().size, UINT16_MAX));
  }
  iovec vector[1 + parts_max];
  std::size_t count = 0;
  if (on.has_vnet_header) vector[count++] = {.iov_base = &header, .iov_len = sizeof header};
  for (auto const& part : parts) {
    vector[count++] = {.iov_base = const_cast<void*>(part.data), .iov_len = part.size};
  }
  msghdr message{};
  message.msg_iov = vector;
  message.msg_iovlen = count;
  for (;;) {
    auto const sent = on.is_socket ? ::sendmsg(on.descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                                   : ::writev(on.descriptor, vector, static_cast<int>(count));
    if (sent >= 0) return 1;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
      on.is_full = true;
      return 0;
    }
    if (errno == EMSGSIZE || errno == EINVAL) return 1;  // this frame is what is wrong: it is lost
    on.is_gone = true;
    return -1;
  }
}

std::ptrdiff_t process::receive(int number, std::span<std::byte> into, morgana_sim_frame_state& state) {
  auto& on = networks_[static_cast<std::size_t>(number)];
  if (on.is_gone) return -1;
  on.has_unread = false;
  vnet_header header{};
  std::byte beyond{};  // a byte here: the frame was longer than the buffer
  auto const header_bytes = on.has_vnet_header ? sizeof header : 0;
  iovec vector[] = {{.iov_base = &header, .iov_len = header_bytes},
                    {.iov_base = into.data(), .iov_len = into.size()},
                    {.iov_base = &beyond, .iov_len = 1}};
  msghdr message{};
  message.msg_iov = vector;
  message.msg_iovlen = std::size(vector);
  for (;;) {
    auto const got = on.is_socket ? ::recvmsg(on.descriptor, &message, MSG_DONTWAIT)
                                  : ::readv(on.descriptor, vector, static_cast<int>(std::size(vector)));
    if (got > static_cast<ssize_t>(header_bytes)) {
      state = state_of(header);
      return got - static_cast<ssize_t>(header_bytes);
    }
    if (got < 0 && errno == EAGAIN) return 0;
    if (got == 0 || (got < 0 && errno != EINTR)) {
      on.is_gone = true;
      return -1;
    }
  }
}

// ---- disks ---------------------------------------------------------------------------------------------

std::string process::attach_disk(std::string name, std::string_view text) {
  // PATH,ro|rw,SECTOR_BYTES, from the end: a path may hold commas.
  auto const wrong = [&](std::string_view what) { return "disk `" + name + "`: " + std::string(what); };
  auto const last = text.rfind(',');
  auto const mode_at = last == std::string_view::npos || last == 0 ? last : text.rfind(',', last - 1);
  disk one{.name = name};
  auto& about = one.about;
  if (mode_at == std::string_view::npos || !read_number(text.substr(last + 1), about.sector_bytes)) {
    return wrong("`" + std::string(text) + "` is not PATH,ro|rw,SECTOR_BYTES");
  }
  if (about.sector_bytes < 512 || about.sector_bytes > 65536 ||
      (about.sector_bytes & (about.sector_bytes - 1)) != 0) {
    return wrong("a sector is a power of two from 512 to 65536 bytes");
  }
  about.read_only = text.substr(mode_at + 1, last - mode_at - 1) == "ro" ? 1 : 0;
  std::string const path(text.substr(0, mode_at));
  // O_NONBLOCK: opening a FIFO by mistake must not hang; files and disks ignore it.
  one.descriptor = ::open(path.c_str(), (about.read_only != 0 ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
  if (one.descriptor < 0) return wrong(path + ": " + std::strerror(errno));
  disks_.push_back(one);
  struct stat file{};
  std::uint64_t bytes = 0;
  if (::fstat(one.descriptor, &file) != 0) return wrong(path + ": " + std::strerror(errno));
  if (S_ISREG(file.st_mode)) {
    bytes = static_cast<std::uint64_t>(file.st_size);
  } else if (!S_ISBLK(file.st_mode) || ::ioctl(one.descriptor, BLKGETSIZE64, &bytes) != 0) {
    return wrong(path + " is neither a file nor a block device");
  }
  if (::flock(one.descriptor, (about.read_only != 0 ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
    return wrong(path + " is in use by another guest");
  }
  disks_.back().about.sectors = bytes / about.sector_bytes;
  return {};
}

int process::find_disk(std::string_view name, morgana_sim_disk& about) {
  auto const at = std::ranges::find(disks_, name, &disk::name);
  if (at == disks_.end()) return -1;
  about = at->about;
  return static_cast<int>(at - disks_.begin());
}

namespace {

/// `move` is pread or pwrite on what is left; gives 0 or an errno.
template <class Bytes, class Move>
int transfer(Bytes* bytes, std::size_t left, std::uint64_t offset, Move const& move) {
  while (left != 0) {
    auto const count = move(bytes, left, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    // Somebody made the file shorter while it was in use.
    if (count == 0) return EIO;
    bytes += count;
    left -= static_cast<std::size_t>(count);
    offset += static_cast<std::uint64_t>(count);
  }
  return 0;
}

}  // namespace

int process::disk_read(int number, std::uint64_t sector, std::span<std::byte> into) {
  auto const& on = disks_[static_cast<std::size_t>(number)];
  return transfer(
      into.data(), into.size(), sector * on.about.sector_bytes,
      [&](std::byte* to, std::size_t size, off_t at) { return ::pread(on.descriptor, to, size, at); });
}

int process::disk_write(int number, std::uint64_t sector, std::span<std::byte const> from) {
  auto const& on = disks_[static_cast<std::size_t>(number)];
  return transfer(from.data(), from.size(), sector * on.about.sector_bytes,
                  [&](std::byte const* with, std::size_t size, off_t at) {
                    return ::pwrite(on.descriptor, with, size, at);
                  });
}

int process::disk_flush(int number) {
  // Not repeated: after a failed fdatasync the kernel has forgotten which pages failed.
  return ::fdatasync(disks_[static_cast<std::size_t>(number)].descriptor) == 0 ? 0 : errno;
}

// ---- recordings ----------------------------------------------------------------------------------------

int process::begin_recording(std::string_view name) {
  constexpr std::size_t recordings_max = 64;
  auto const number = std::ranges::find(recordings_, -1) - recordings_.begin();
  if (static_cast<std::size_t>(number) == recordings_max) return -EMFILE;
  auto const descriptor = ::open(std::string(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return -errno;
  if (static_cast<std::size_t>(number) == recordings_.size()) recordings_.push_back(-1);
  recordings_[static_cast<std::size_t>(number)] = descriptor;
  return static_cast<int>(number);
}

int process::append_recording(int recording, std::span<morgana_sim_part const> parts) {
  auto const descriptor = recordings_[static_cast<std::size_t>(recording)];
  if (descriptor < 0) return EBADF;
  // One call where one does, as it always is with a file.
  iovec vector[32];
  std::size_t count = 0, size = 0;
  for (auto const& part : parts) {
    if (count == std::size(vector)) return EINVAL;
    vector[count++] = {.iov_base = const_cast<void*>(part.data), .iov_len = part.size};
    size += part.size;
  }
  auto const written = ::writev(descriptor, vector, static_cast<int>(count));
  if (written < 0) return errno;
  return static_cast<std::size_t>(written) == size ? 0 : ENOSPC;
}

void process::end_recording(int recording) {
  auto& descriptor = recordings_[static_cast<std::size_t>(recording)];
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

}  // namespace morgana::sim
