// Fuzzes DNS messages: as a reader sees them, and as the reply to a question of ours. The reader must stay
// within the message, names within their length, and what is written of a name must be read back the same.
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "morgana/net/dns/lookup.hpp"

using namespace morgana;
using namespace morgana::net;

namespace {

void check(dns::name const& one) {
  std::size_t at = 0;
  auto const again = dns::name::read(one.wire_bytes(), at);
  if (!again || !again->is_identical(one) || at != one.wire_bytes().size()) std::abort();
}

void read_all(std::span<std::byte const> message) {
  auto reader = dns::message_reader::open(message);
  if (!reader) return;
  while (auto const asked = reader->next_question()) check(asked->name);
  while (auto const one = reader->next_record()) {
    check(one->owner);
    if (one->data_offset + one->data.size() > message.size()) std::abort();
    (void)dns::message_reader::address_of(*one);
    if (auto const target = reader->name_of(*one)) check(*target);
    (void)reader->authority_of(*one);
  }
}

/// Lookups end, whatever servers say: `message` again and again, with the identifier and the question put
/// right.
void answer_with(std::span<std::byte const> message) {
  resolver_limits const limits;
  dns::counters counted;
  random_stream random({1, 2});
  dns::server_list servers;
  endpoint const server{ip_address(ipv4_address{{192, 0, 2, 53}}), 53};
  servers.set(std::span(&server, 1));
  instant now{};
  dns::lookup one(*dns::name::parse("www.example.org"), dns::record_type::a, servers, limits, random, counted,
                  now);
  for (int steps = 0; !one.result(); ++steps) {
    if (steps > 1000) std::abort();
    std::vector<std::byte> reply(message.begin(), message.end());
    if (auto const out = one.poll_transmit(now)) {
      if (reply.size() >= 2) std::memcpy(reply.data(), out->message.data(), 2);
      auto const question = out->message.subspan(12, 21);
      if (reply.size() >= 12 + question.size())
        std::memcpy(reply.data() + 12, question.data(), question.size());
      one.input(reply, server, now);
      continue;
    }
    now = one.next_deadline();
    one.on_deadline(now);
  }
  if (one.result()->has_value() && one.result()->value().addresses.size() > address_list::addresses_max)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  // In a block of its own size, so that a read beyond it is seen.
  std::vector<std::byte> const message(reinterpret_cast<std::byte const*>(data),
                                       reinterpret_cast<std::byte const*>(data) + size);
  read_all(message);
  answer_with(message);
  return 0;
}
