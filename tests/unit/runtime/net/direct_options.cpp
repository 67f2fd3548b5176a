// What the direct stack is told at boot: how it is read, and what is refused.
#include <algorithm>

#include "direct_hosts.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using namespace morgana::test;

TEST_CASE("options that cannot be are refused with one line that says why") {
  struct wrong {
    void (*make)(direct_stack_options&);
    char const* said;
  };
  wrong const all[] = {
      {[](auto& o) { o.ipv4 = *ipv4_setting::parse("10.0.0.0/24"); },
       "ipv4: 10.0.0.0/24 is no address that a host"},
      {[](auto& o) { o.ipv4 = *ipv4_setting::parse("10.0.0.255/24"); }, "ipv4: 10.0.0.255/24 is no address"},
      {[](auto& o) { o.ipv4 = *ipv4_setting::parse("224.0.0.5/24"); }, "ipv4: 224.0.0.5/24 is no address"},
      {[](auto& o) { o.ipv6 = *ipv6_setting::parse("ff02::1/64"); }, "ipv6: ff02::1/64 is no address"},
      {[](auto& o) { o.gateway = *ipv4_address::parse("10.0.1.1"); },
       "gateway: 10.0.1.1 is on none of the networks"},
      {[](auto& o) { o.ipv6_gateway = *ipv6_address::parse("2001:db9::1"); },
       "ipv6-gateway: 2001:db9::1 is on none"},
      {[](auto& o) { o.mtu = 9000; }, "mtu: 9000 is not between 1280 and 1500"},
      {[](auto& o) { o.mtu = 1000; }, "mtu: 1000 is not between 1280 and 1500"},
      {[](auto& o) { o.vlan = 4095; }, "vlan: 4095 is not between 1 and 4094"},
      {[](auto& o) { o.buffers_mib = 0; }, "buffers-mib"},
      {[](auto& o) { o.ipv4 = {}, o.ipv6 = {}, o.accept_ra = false; }, "without any address"},
  };
  for (auto const& one : all) {
    world w;
    cable_end end(capabilities(1, false));
    auto options = host(1);
    one.make(options);
    INFO(one.said);
    auto made = w.run(network::connect(w.context(), end, options));
    REQUIRE((made && !made->has_value()));
    CHECK(made->error().is(core_error::invalid_argument));
    CHECK(w.log().find(one.said) != std::string::npos);
    CHECK(std::count(w.log().begin(), w.log().end(), '\n') == 1);
  }
}

TEST_CASE("address options are read and written as people write them") {
  for (auto const* text : {"none", "dhcp", "10.1.2.3/8"}) {
    fixed_text<64> out;
    write_text(out, ipv4_setting::parse(text).value());
    CHECK(out.view() == text);
  }
  for (auto const* text : {"none", "2001:db8::1/64", "fd00::1/48,2001:db8::2/64"}) {
    fixed_text<128> out;
    write_text(out, ipv6_setting::parse(text).value());
    CHECK(out.view() == text);
  }
  for (auto const* text : {"", "10.0.0.1", "10.0.0.1/33", "::1/64", "DHCP", "10.0.0.1/24,10.0.0.2/24"}) {
    CHECK_FALSE(ipv4_setting::parse(text));
  }
  for (auto const* text : {"", "10.0.0.1/24", "::1", "::1/64,", "a::1/64,a::2/64,a::3/64,a::4/64,a::5/64"}) {
    CHECK_FALSE(ipv6_setting::parse(text));
  }
}
