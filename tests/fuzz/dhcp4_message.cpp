// Fuzzes DHCPv4 messages: what is read and written again must be read the same.
#include <cstdlib>
#include <vector>

#include "morgana/net/dhcp/v4_message.hpp"

using namespace morgana::net::dhcp;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::vector<std::byte> const message(reinterpret_cast<std::byte const*>(data),
                                       reinterpret_cast<std::byte const*>(data) + size);
  auto const read = v4_message::parse(message);
  if (!read) return 0;
  std::vector<std::byte> into(v4_message::bytes_max);
  auto const again = v4_message::parse(read->emit(into));
  if (!again || again->type != read->type || again->transaction != read->transaction) std::abort();
  if (again->lease_s != read->lease_s || again->server != read->server || again->routers != read->routers)
    std::abort();
  if (again->client_identifier != read->client_identifier || again->domain != read->domain) std::abort();
  if (again->routes.size() != read->routes.size()) std::abort();
  return 0;
}
