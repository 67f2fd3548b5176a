#include <catch2/catch.hpp>

#include "morgana/net/dhcp/v4_message.hpp"
#include "test_link.hpp"

namespace morgana::net::testing {
namespace {

using dhcp::v4_message;

ipv4_address v4(std::string_view text) {
  return ipv4_address::parse(text).value();
}

bytes options_of(std::string_view options) {
  bytes message(v4_message::fixed_bytes);
  message[0] = std::byte{2};
  message[1] = std::byte{1};
  message[2] = std::byte{6};
  wire::store32(message, 236, 0x63825363);
  auto const all = std::as_bytes(std::span(options));
  message.insert(message.end(), all.begin(), all.end());
  return message;
}

}  // namespace

TEST_CASE("a DHCPv4 message that was written is read as it was meant", "[dhcp]") {
  v4_message sent;
  sent.type = dhcp::v4_type::ack;
  sent.is_reply = true;
  sent.transaction = 0x12345678;
  sent.elapsed_s = 7;
  sent.wants_broadcast = true;
  sent.client = v4("10.0.0.7");
  sent.yours = v4("10.0.0.8");
  sent.hardware = mac(3);
  sent.subnet_mask = v4("255.255.255.0");
  sent.routers = {v4("10.0.0.1"), v4("10.0.0.2")};
  sent.name_servers = {v4("10.0.0.53")};
  sent.domain.assign(std::string_view("example.org"));
  sent.mtu_bytes = 1400;
  sent.lease_s = 3600;
  sent.renewal_s = 1800;
  sent.rebinding_s = 3150;
  sent.server = v4("10.0.0.1");
  sent.client_identifier = dhcp::client_identifier_of(mac(3));
  sent.routes = {{v4("192.168.0.0"), 16, v4("10.0.0.9")},
                 {v4("0.0.0.0"), 0, v4("10.0.0.1")},
                 {v4("172.16.4.0"), 23, v4("0.0.0.0")}};
  bytes into(v4_message::bytes_max);
  auto const message = sent.emit(into);
  CHECK(message.size() >= v4_message::bytes_min);
  auto const read = v4_message::parse(message);
  REQUIRE(read);
  CHECK(read->type == sent.type);
  CHECK(read->is_reply);
  CHECK(read->transaction == sent.transaction);
  CHECK(read->elapsed_s == 7);
  CHECK(read->wants_broadcast);
  CHECK(read->client == sent.client);
  CHECK(read->yours == sent.yours);
  CHECK(read->hardware == sent.hardware);
  CHECK(read->subnet_mask == sent.subnet_mask);
  CHECK(read->routers == sent.routers);
  CHECK(read->name_servers == sent.name_servers);
  CHECK(read->domain == sent.domain);
  CHECK(read->mtu_bytes == sent.mtu_bytes);
  CHECK(read->lease_s == sent.lease_s);
  CHECK(read->renewal_s == sent.renewal_s);
  CHECK(read->rebinding_s == sent.rebinding_s);
  CHECK(read->server == sent.server);
  CHECK(read->client_identifier == sent.client_identifier);
  CHECK(read->routes == sent.routes);
}

TEST_CASE("a client identifier is an IAID and a DUID made of the link address", "[dhcp]") {
  auto const made = dhcp::client_identifier_of({{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}});
  bytes const expected{std::byte{255},  std::byte{0x22}, std::byte{0x33}, std::byte{0x44}, std::byte{0x55},
                       std::byte{0},    std::byte{3},    std::byte{0},    std::byte{1},    std::byte{0x02},
                       std::byte{0x11}, std::byte{0x22}, std::byte{0x33}, std::byte{0x44}, std::byte{0x55}};
  CHECK(bytes(made.begin(), made.end()) == expected);
}

TEST_CASE("parts of one option are joined, over the file and server name fields, too", "[dhcp]") {
  auto message = options_of(std::string_view("\x35\1\2\x34\1\3\x0f\4exam\xff", 13));
  std::string_view const file("\x0f\3ple\xff", 6), name("\x0f\4.org\xff", 7);
  std::copy_n(std::as_bytes(std::span(file)).begin(), file.size(), message.begin() + 108);
  std::copy_n(std::as_bytes(std::span(name)).begin(), name.size(), message.begin() + 44);
  auto const read = v4_message::parse(message);
  REQUIRE(read);
  CHECK(dhcp::view(read->domain) == "example.org");
}

TEST_CASE("options may be padded, unknown, or without an end", "[dhcp]") {
  auto const read = v4_message::parse(options_of(std::string_view("\0\0\xc8\2ab\x35\1\2", 9)));
  REQUIRE(read);
  CHECK(read->type == dhcp::v4_type::offer);
}

TEST_CASE("malformed DHCPv4 messages are refused", "[dhcp]") {
  using wire::parse_error;
  CHECK(v4_message::parse(bytes(239)).error() == parse_error::too_short);
  auto const good = options_of(std::string_view("\x35\1\2\xff", 4));
  REQUIRE(v4_message::parse(good));
  for (auto const place : {0, 1, 2, 236}) {
    auto wrong = good;
    wrong[static_cast<std::size_t>(place)] = std::byte{9};
    CHECK(v4_message::parse(wrong).error() == parse_error::unsupported);
  }
  auto const error_of = [](std::string_view options) {
    return v4_message::parse(options_of(options)).error();
  };
  CHECK(error_of(std::string_view("\xff", 1)) == parse_error::unsupported);                // no type
  CHECK(error_of(std::string_view("\x35\1\x09\xff", 4)) == parse_error::unsupported);      // nor a known one
  CHECK(error_of(std::string_view("\x35\1\2\x01", 4)) == parse_error::wrong_option);       // no length
  CHECK(error_of(std::string_view("\x35\1\2\x01\4abc", 8)) == parse_error::wrong_option);  // beyond the end
  CHECK(error_of(std::string_view("\x35\1\2\x01\3abc\xff", 9)) ==
        parse_error::wrong_option);  // a mask of three bytes
  CHECK(error_of(std::string_view("\x35\1\2\x03\5abcde", 10)) == parse_error::wrong_option);
  CHECK(error_of(std::string_view("\x35\1\2\x79\2\x21!", 7)) ==
        parse_error::wrong_option);  // a route of 33 bits
  CHECK(error_of(std::string_view("\x35\1\2\x79\3\x10\x0a\0", 8)) == parse_error::wrong_option);
}

TEST_CASE("lists of a message hold so many and no more", "[dhcp]") {
  std::string options("\x35\1\2\x06\x18", 5);
  for (char i = 1; i <= 6; ++i) options += std::string("\x0a\0\0", 3) + i;
  auto const read = v4_message::parse(options_of(options));
  REQUIRE(read);
  CHECK(read->name_servers.size() == v4_message::addresses_max);
  CHECK(read->name_servers[3] == v4("10.0.0.4"));
}

}  // namespace morgana::net::testing
