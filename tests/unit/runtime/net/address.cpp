#include "morgana/net/address.hpp"

#include <arpa/inet.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace morgana;
using namespace morgana::net;

namespace {

template <class T>
std::string text_of(T const& value) {
  fixed_text<64> out;
  write_text(out, value);
  CHECK_FALSE(out.was_cut());
  return std::string(out.view());
}

/// What `text` is read as and written again; "-" when it is refused.
template <class T>
std::string again(std::string_view text) {
  auto const parsed = T::parse(text);
  return parsed ? text_of(*parsed) : "-";
}

}  // namespace

TEST_CASE("IPv4 is four decimal numbers and nothing else") {
  for (auto good : {"0.0.0.0", "10.0.0.2", "255.255.255.255"}) CHECK(again<ipv4_address>(good) == good);
  for (auto bad :
       {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..3.4", "1.2.3.",
        ".1.2.3", "0x1.2.3.4", "-1.2.3.4", "+1.2.3.4", "1.2.3.4a", "99999999999.1.1.1"}) {
    CAPTURE(bad);
    CHECK(again<ipv4_address>(bad) == "-");
  }
}

TEST_CASE("IPv6 is written as RFC 5952 has it") {
  // Sections 4 and 5 of the RFC, and their corners.
  CHECK(again<ipv6_address>("2001:0db8::0001") == "2001:db8::1");
  CHECK(again<ipv6_address>("2001:db8:0:0:0:0:2:1") == "2001:db8::2:1");
  CHECK(again<ipv6_address>("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");
  CHECK(again<ipv6_address>("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");
  CHECK(again<ipv6_address>("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
  CHECK(again<ipv6_address>("2001:DB8::AbCd") == "2001:db8::abcd");
  CHECK(again<ipv6_address>("0:0:0:0:0:0:0:0") == "::");
  CHECK(again<ipv6_address>("0:0:0:0:0:0:0:1") == "::1");
  CHECK(again<ipv6_address>("1:0:0:0:0:0:0:0") == "1::");
  CHECK(again<ipv6_address>("1:2:3:4:5:6:0:0") == "1:2:3:4:5:6::");
  CHECK(again<ipv6_address>("::ffff:192.0.2.1") == "::ffff:192.0.2.1");
  CHECK(again<ipv6_address>("::ffff:c000:0201") == "::ffff:192.0.2.1");
  CHECK(again<ipv6_address>("64:ff9b::192.0.2.33") == "64:ff9b::c000:221");
  CHECK(again<ipv6_address>("1:2:3:4:5:6:1.2.3.4") == "1:2:3:4:5:6:102:304");
  CHECK(again<ipv6_address>("1:2:3:4:5:6:7::") == "1:2:3:4:5:6:7:0");
  CHECK(again<ipv6_address>("::2:3:4:5:6:7:8") == "0:2:3:4:5:6:7:8");
}

TEST_CASE("text that is no IPv6 address is refused") {
  for (auto bad : {"",
                   ":",
                   ":::",
                   "1",
                   "1:2:3:4:5:6:7",
                   "1:2:3:4:5:6:7:8:9",
                   "1:2:3:4:5:6:7:8::",
                   "::1::2",
                   "1::2::3",
                   "12345::",
                   "g::",
                   "::1.2.3",
                   "::1.2.3.4:1",
                   "1.2.3.4::",
                   "::1%eth0",
                   "[::1]",
                   ":1:2:3:4:5:6:7:8",
                   "1:2:3:4:5:6:7:8:",
                   "1:2:3:4:5:6:7:1.2.3.4",
                   "::1 ",
                   "1:::2",
                   "0000:0000:0000:0000:0000:0000:0000:00000"}) {
    CAPTURE(bad);
    CHECK(again<ipv6_address>(bad) == "-");
  }
}

TEST_CASE("what we read and write is what the host's C library reads and writes") {
  auto const seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  constexpr std::string_view letters = "0123456789abcdefABF:::...";
  for (int round = 0; round < 20'000; ++round) {
    ipv6_address address;
    for (auto& byte : address.bytes) byte = random() % 3 == 0 ? static_cast<std::uint8_t>(random()) : 0;
    auto const text = text_of(address);
    in6_addr theirs{};
    REQUIRE(inet_pton(AF_INET6, text.c_str(), &theirs) == 1);
    REQUIRE(std::equal(address.bytes.begin(), address.bytes.end(), theirs.s6_addr));
    REQUIRE(ipv6_address::parse(text) == address);

    std::string mutated = text;
    for (int edits = 0; edits < 2; ++edits)
      mutated[random() % mutated.size()] = letters[random() % letters.size()];
    CAPTURE(mutated);
    auto const ours = ipv6_address::parse(mutated);
    REQUIRE(ours.has_value() == (inet_pton(AF_INET6, mutated.c_str(), &theirs) == 1));
    if (ours) REQUIRE(std::equal(ours->bytes.begin(), ours->bytes.end(), theirs.s6_addr));
  }
}

TEST_CASE("Ethernet addresses have six pairs of digits") {
  CHECK(again<mac_address>("02:00:5E:10:00:01") == "02:00:5e:10:00:01");
  for (auto bad : {"", "02:00:5e:10:00", "02:00:5e:10:00:01:", "02-00-5e-10-00-01", "2:0:5e:10:00:01",
                   "0g:00:5e:10:00:01"}) {
    CHECK(again<mac_address>(bad) == "-");
  }
}

TEST_CASE("endpoints need a port, and brackets around IPv6 only") {
  CHECK(again<endpoint>("10.0.0.2:80") == "10.0.0.2:80");
  CHECK(again<endpoint>("[2001:db8::1]:65535") == "[2001:db8::1]:65535");
  CHECK(again<endpoint>("[::]:0") == "[::]:0");
  for (auto bad : {"", ":80", "10.0.0.2", "10.0.0.2:", "10.0.0.2:65536", "10.0.0.2:080", "::1:80",
                   "[10.0.0.2]:80", "[::1]80", "[::1:80", "[]:80", "10.0.0.2:8x"}) {
    CAPTURE(bad);
    CHECK(again<endpoint>(bad) == "-");
  }
}

TEST_CASE("a prefix contains what agrees with it, of its own family") {
  CHECK(again<cidr>("10.0.0.2/24") == "10.0.0.2/24");
  CHECK(again<cidr>("2001:db8::/32") == "2001:db8::/32");
  for (auto bad : {"10.0.0.2", "10.0.0.2/33", "::/129", "10.0.0.2/", "10.0.0.2/-1", "/8", "10.0.0.2/08"}) {
    CAPTURE(bad);
    CHECK(again<cidr>(bad) == "-");
  }
  auto const in = [](std::string_view prefix, std::string_view address) {
    return cidr::parse(prefix)->contains(*ip_address::parse(address));
  };
  CHECK(in("10.0.0.2/24", "10.0.0.255"));
  CHECK_FALSE(in("10.0.0.2/24", "10.0.1.0"));
  CHECK(in("10.0.0.2/31", "10.0.0.3"));
  CHECK_FALSE(in("10.0.0.2/32", "10.0.0.3"));
  CHECK(in("0.0.0.0/0", "255.1.2.3"));
  CHECK_FALSE(in("0.0.0.0/0", "::1"));
  CHECK(in("2001:db8::/33", "2001:db8:7fff::"));
  CHECK_FALSE(in("2001:db8::/33", "2001:db8:8000::"));
}

TEST_CASE("addresses know what they are for") {
  auto const at = [](std::string_view text) { return *ip_address::parse(text); };
  CHECK(at("0.0.0.0").is_unspecified());
  CHECK(at("::").is_unspecified());
  CHECK_FALSE(at("::1").is_unspecified());
  CHECK(at("127.1.2.3").is_loopback());
  CHECK(at("::1").is_loopback());
  CHECK_FALSE(at("1::1").is_loopback());
  CHECK(at("224.0.0.1").is_multicast());
  CHECK_FALSE(at("240.0.0.1").is_multicast());
  CHECK(at("ff02::1").is_multicast());
  CHECK(at("::ffff:10.0.0.1").is_v6());
}

TEST_CASE("addresses are options, and can be fixed at compile time") {
  static_assert(parse_fixed<ip_address>("10.0.0.2").is_v4());
  static_assert(parse_fixed<endpoint>("[::1]:80").port == 80);
  static_assert(parse_fixed<cidr>("10.0.0.0/8").prefix_bits == 8);
  auto const wrong = option_parser<ip_address>::parse("10.0.0.256");
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().is(net_error::invalid_address));
}
