// Fuzzes DHCPv6 messages: what is read and written again must be read the same.
#include <cstdlib>
#include <vector>

#include "morgana/net/dhcp/v6_message.hpp"

using namespace morgana::net::dhcp;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::vector<std::byte> const message(reinterpret_cast<std::byte const*>(data),
                                       reinterpret_cast<std::byte const*>(data) + size);
  auto const read = v6_message::parse(message);
  if (!read) return 0;
  std::vector<std::byte> into(v6_message::bytes_max);
  auto const again = v6_message::parse(read->emit(into));
  if (!again || again->type != read->type || again->transaction != read->transaction) std::abort();
  if (again->client != read->client || again->server != read->server) std::abort();
  if (again->association != read->association || again->status != read->status) std::abort();
  if (again->name_servers != read->name_servers || again->rapid_commit != read->rapid_commit) std::abort();
  return 0;
}
