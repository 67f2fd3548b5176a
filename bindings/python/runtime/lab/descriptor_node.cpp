#include "descriptor_node.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace morgana::python {

namespace {
constexpr std::size_t ethernet_bytes = 14;
}

std::unique_ptr<descriptor_node> descriptor_node::open(int descriptor) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return nullptr;
  if (type != SOCK_SEQPACKET && type != SOCK_DGRAM) return nullptr;
  auto const own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  if (own < 0) return nullptr;
  return std::unique_ptr<descriptor_node>(new descriptor_node(own));
}

descriptor_node::~descriptor_node() {
  ::close(descriptor_);
}

bool descriptor_node::read() {
  for (std::size_t i = 0; i < batch_frames; ++i) {
    auto const got = ::recv(descriptor_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    auto const bytes = static_cast<std::size_t>(got);
    if (bytes < ethernet_bytes || bytes > frame_bytes_max) {
      ++dropped_;
      continue;
    }
    sim::frame one;
    one.bytes.assign(buffer_.begin(), buffer_.begin() + got);
    out_.put(0, std::move(one));
  }
  return true;
}

void descriptor_node::receive(std::size_t, sim::frame& arrived, instant) {
  auto const sent =
      ::send(descriptor_, arrived.bytes.data(), arrived.bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) ++dropped_;
}

}  // namespace morgana::python
