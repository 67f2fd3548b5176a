// The name servers of the host: resolv.conf(5).
#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "morgana/hosted/socket_stack.hpp"

namespace morgana::hosted {
namespace {

/// More is not read; glibc itself uses three servers.
constexpr std::size_t file_bytes_max = 8192;

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view next_word(std::string_view& line) {
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  std::size_t end = 0;
  while (end < line.size() && !is_blank(line[end])) ++end;
  auto const word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

}  // namespace

net::address_list name_servers_of(std::string_view configuration) {
  net::address_list found;
  while (!configuration.empty()) {
    auto const end = configuration.find('\n');
    auto line = configuration.substr(0, end);
    configuration.remove_prefix(end == configuration.npos ? configuration.size() : end + 1);
    if (next_word(line) != "nameserver") continue;
    if (auto const address = net::ip_address::parse(next_word(line))) (void)found.add(*address);
  }
  return found;
}

net::address_list socket_stack::name_servers() const {
  std::array<char, file_bytes_max> text;
  std::size_t size = 0;
  auto const file = ::open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return {};
  while (size < text.size()) {
    auto const count = ::read(file, text.data() + size, text.size() - size);
    if (count <= 0) break;
    size += static_cast<std::size_t>(count);
  }
  ::close(file);
  return name_servers_of({text.data(), size});
}

}  // namespace morgana::hosted
