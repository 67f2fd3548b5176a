// Fuzzes the DHCP machines: clients of both versions and a server that talk to each other, with messages of
// the input between theirs. Each record is a command, a length and that many bytes. Whatever comes, deadlines
// pass, transmissions end, a lease is lost before another one is bound, and the server's table keeps to its
// limit.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "morgana/net/dhcp/v4_client.hpp"
#include "morgana/net/dhcp/v4_server.hpp"
#include "morgana/net/dhcp/v6_client.hpp"
#include "morgana/net/wire/bytes.hpp"

using namespace morgana;
using namespace morgana::net;

namespace {

dhcp::v4_client_configuration client_configuration() {
  dhcp::v4_client_configuration made;
  made.hardware = {{2, 0, 0, 0, 0, 2}};
  return made;
}

dhcp::v6_client_configuration client6_configuration() {
  dhcp::v6_client_configuration made;
  made.hardware = {{2, 0, 0, 0, 0, 2}};
  return made;
}

dhcp_limits few_leases() {
  dhcp_limits made;
  made.leases = 4;
  return made;
}

struct machines {
  dhcp_limits limits = few_leases();
  dhcp::v4_client client{client_configuration(), limits, siphash_key{1, 2}};
  dhcp::v6_client client6{client6_configuration(), siphash_key{1, 2}};
  std::optional<dhcp::v4_server> server;
  bool is_bound = false, is_bound6 = false;
  std::vector<std::byte> last, last6;  // what the clients said last
  instant now{};

  machines() {
    dhcp::v4_server_configuration serving;
    serving.address = {{10, 0, 0, 1}};
    serving.subnet = *cidr::parse("10.0.0.0/24");
    serving.first = {{10, 0, 0, 10}};
    serving.last = {{10, 0, 0, 13}};
    serving.lease_length = std::chrono::seconds(1000);
    if (!serving.check(limits)) std::abort();
    server.emplace(serving, limits, siphash_key{3, 4});
    client.start(now);
    client6.start(dhcp::v6_client::mode::stateful, now);
    settle(true);
  }

  void settle(bool connected) {
    for (int steps = 0;; ++steps) {
      if (steps > 200) std::abort();  // they feed each other
      bool moved = false;
      while (auto const out = client.poll_transmit(now)) {
        moved = true;
        last.assign(out->message.begin(), out->message.end());
        if (connected) server->input(last, now);
      }
      while (auto const out = client6.poll_transmit(now)) last6.assign(out->begin(), out->end());
      while (auto const out = server->poll_transmit(now)) {
        std::vector<std::byte> const copy(out->message.begin(), out->message.end());
        if (connected) client.input(copy, now);
        moved = moved || connected;
      }
      while (server->poll_probe()) {
      }
      using kind = dhcp::v4_client::event::kind;
      while (auto const told = client.poll_event()) {
        if ((told->what == kind::bound) == is_bound) std::abort();
        is_bound = told->what != kind::lost;
      }
      using kind6 = dhcp::v6_client::event::kind;
      while (auto const told = client6.poll_event()) {
        if (told->what == kind6::informed) continue;
        if ((told->what == kind6::bound) == is_bound6) std::abort();
        is_bound6 = told->what != kind6::lost;
      }
      if (is_bound != client.lease().has_value() || is_bound6 != client6.lease().has_value()) std::abort();
      if (server->leases().size() > limits.leases) std::abort();
      if (!moved) return;
    }
  }

  void pass(duration length, bool connected) {
    auto const end = now + length;
    for (int steps = 0;; ++steps) {
      if (steps > 100'000) std::abort();  // a deadline that does not pass
      auto const next = std::min({client.next_deadline(), client6.next_deadline(), server->next_deadline()});
      if (next > end) break;
      now = std::max(now, next);
      client.on_deadline(now);
      client6.on_deadline(now);
      server->on_deadline(now);
      settle(connected);
    }
    now = end;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  machines all;
  auto input = std::as_bytes(std::span(data, size));
  while (input.size() >= 3) {
    auto const command = static_cast<std::uint8_t>(input[0]);
    auto const length = std::min<std::size_t>(wire::load16(input, 1) % 700, input.size() - 3);
    std::vector<std::byte> record(input.begin() + 3, input.begin() + 3 + static_cast<std::ptrdiff_t>(length));
    input = input.subspan(3 + length);
    bool const connected = (command & 8) != 0;
    switch (command & 7) {
      case 0:
        all.pass(std::chrono::seconds(length), connected);
        break;
      case 1:
        // With the transaction and the hardware address right, so that the fuzzer need not guess them.
        if (record.size() >= 44 && all.last.size() >= 44)
          std::memcpy(record.data() + 1, all.last.data() + 1, 7);
        if (record.size() >= 44 && all.last.size() >= 44)
          std::memcpy(record.data() + 28, all.last.data() + 28, 16);
        all.client.input(record, all.now);
        break;
      case 2:
        all.server->input(record, all.now);
        break;
      case 3:
        if (record.size() >= 18 && all.last6.size() >= 18)
          std::memcpy(record.data() + 1, all.last6.data() + 1, 17);
        all.client6.input(record, all.now);
        break;
      case 4:
        all.client.conflict(all.now);
        all.client6.conflict(all.now);
        break;
      case 5:
        all.client.release(all.now);
        all.client6.release(all.now);
        all.settle(connected);
        all.client.start(all.now);
        all.client6.start(
            length % 2 != 0 ? dhcp::v6_client::mode::stateless : dhcp::v6_client::mode::stateful, all.now);
        break;
      case 6:
        all.client6.confirm(all.now);
        break;
      default:
        break;
    }
    all.settle(connected);
  }
  return 0;
}
