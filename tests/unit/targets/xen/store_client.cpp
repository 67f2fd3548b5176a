#include "common/store_client.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace morgana::xen;
using namespace std::string_view_literals;

/// The two rings, and a xenstore that does as it is told.
struct fake_store {
  std::array<std::byte, 1024> requests{}, replies{};
  std::uint32_t requests_taken = 0, requests_put = 0, replies_taken = 0, replies_put = 0;
  byte_ring to_store{requests, requests_put, requests_taken};
  byte_ring from_client{requests, requests_taken, requests_put};
  byte_ring to_client{replies, replies_put, replies_taken};
  byte_ring from_store{replies, replies_taken, replies_put};
  store_client client;
  std::string arrived;

  struct message {
    store_header header;
    std::string payload;
  };

  /// The next whole request.
  std::vector<message> take() {
    do {
      char piece[256];
      auto const size = from_client.read(std::as_writable_bytes(std::span(piece)));
      arrived.append(piece, size);
      if (size == 0 && !client.transmit(to_store)) break;
    } while (true);
    std::vector<message> out;
    while (arrived.size() >= sizeof(store_header)) {
      message one{};
      std::memcpy(&one.header, arrived.data(), sizeof one.header);
      if (arrived.size() < sizeof one.header + one.header.bytes) break;
      one.payload = arrived.substr(sizeof one.header, one.header.bytes);
      arrived.erase(0, sizeof one.header + one.header.bytes);
      out.push_back(one);
    }
    return out;
  }

  void answer(store_operation what, std::uint32_t request, std::string_view payload) {
    store_header const header{static_cast<std::uint32_t>(what), request, 0,
                              static_cast<std::uint32_t>(payload.size())};
    send({reinterpret_cast<char const*>(&header), sizeof header});
    send(payload);
  }

  void send(std::string_view bytes) {
    REQUIRE(to_client.write(std::as_bytes(std::span(bytes))) == bytes.size());
  }
};

}  // namespace

TEST_CASE("requests are what xenstore's protocol says", "[store_client]") {
  fake_store on;
  REQUIRE(on.client.read(1, 0, "control/shutdown"));
  REQUIRE(on.client.write(2, 9, "data/a", "b c"));
  REQUIRE(on.client.write(3, 0, "data/empty", {}));
  REQUIRE(on.client.watch(4, "device", "token"));
  REQUIRE(on.client.transaction_start(5));
  REQUIRE(on.client.transaction_end(6, 77, store_client::end::abort));
  auto const came = on.take();
  REQUIRE(came.size() == 6);
  CHECK(came[0].header.operation == 2);
  CHECK(came[0].header.request == 1);
  CHECK(came[0].payload == "control/shutdown\0"sv);
  CHECK(came[1].header.operation == 11);
  CHECK(came[1].header.transaction == 9);
  CHECK(came[1].payload == "data/a\0b c"sv);
  CHECK(came[2].payload == "data/empty\0"sv);
  CHECK(came[3].header.operation == 4);
  CHECK(came[3].payload == "device\0token\0"sv);
  CHECK(came[4].header.operation == 6);
  CHECK(came[4].payload == "\0"sv);
  CHECK(came[5].header.transaction == 77);
  CHECK(came[5].payload == "F\0"sv);
}

TEST_CASE("replies, errors and watches arrive with their numbers, in any order", "[store_client]") {
  fake_store on;
  on.answer(store_operation::error, 2, "ENOENT\0"sv);
  on.answer(store_operation::watch_event, 0, "control/shutdown\0stop\0"sv);
  on.answer(store_operation::read, 1, "poweroff");
  auto one = on.client.receive(on.from_store);
  REQUIRE(one);
  CHECK(one->what == store_event::kind::error);
  CHECK(one->request == 2);
  CHECK(one->text == "ENOENT");
  one = on.client.receive(on.from_store);
  REQUIRE(one);
  CHECK(one->what == store_event::kind::watch);
  CHECK(one->text == "control/shutdown");
  CHECK(one->token == "stop");
  one = on.client.receive(on.from_store);
  REQUIRE(one);
  CHECK(one->what == store_event::kind::reply);
  CHECK(one->text == "poweroff");
  CHECK_FALSE(on.client.receive(on.from_store));
  CHECK_FALSE(on.client.is_broken());
}

TEST_CASE("a message that comes byte by byte is one event", "[store_client]") {
  fake_store on;
  store_header const header{2, 5, 0, 3};
  std::string whole(reinterpret_cast<char const*>(&header), sizeof header);
  whole += "abc";
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
    on.send(std::string_view(whole).substr(i, 1));
    REQUIRE_FALSE(on.client.receive(on.from_store));
  }
  on.send("c");
  auto const one = on.client.receive(on.from_store);
  REQUIRE(one);
  CHECK(one->text == "abc");
}

TEST_CASE("a request longer than the ring goes in pieces, and a reply comes so", "[store_client]") {
  fake_store on;
  std::string const value(4000, 'v');
  REQUIRE(on.client.write(1, 0, "data/long", value));
  auto const came = on.take();
  REQUIRE(came.size() == 1);
  CHECK(came[0].payload == std::string("data/long\0"sv) + value);
  CHECK_FALSE(on.client.has_waiting());
}

TEST_CASE("what xenstore would not take is refused, and so is what does not fit", "[store_client]") {
  fake_store on;
  CHECK_FALSE(on.client.read(1, 0, std::string(store_payload_bytes_max, 'p')));
  CHECK_FALSE(on.client.read(1, 0, "a\0b"sv));
  CHECK_FALSE(on.client.watch(1, "path", "a\0b"sv));
  std::string const value(3000, 'v');
  CHECK(on.client.write(1, 0, "a", value));
  CHECK(on.client.write(1, 0, "a", value));
  CHECK_FALSE(on.client.write(1, 0, "a", value));
  CHECK(on.take().size() == 2);
  CHECK(on.client.write(1, 0, "a", value));
}

TEST_CASE("a reply that is too long breaks the client", "[store_client]") {
  fake_store on;
  store_header const header{2, 1, 0, 4097};
  on.send({reinterpret_cast<char const*>(&header), sizeof header});
  CHECK_FALSE(on.client.receive(on.from_store));
  CHECK(on.client.is_broken());
}

TEST_CASE("a watch event without its two texts breaks the client", "[store_client]") {
  fake_store on;
  on.answer(store_operation::watch_event, 0, "no token\0"sv);
  CHECK_FALSE(on.client.receive(on.from_store));
  CHECK(on.client.is_broken());
}

TEST_CASE("an impossible index of xenstore's breaks the client", "[store_client]") {
  fake_store on;
  on.replies_put = 5000;
  CHECK_FALSE(on.client.receive(on.from_store));
  CHECK(on.client.is_broken());
}
