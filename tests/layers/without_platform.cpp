// That this program links is the test; that it runs, a little more.
#include <cstdio>

#include "morgana/core/options.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/segment.hpp"

int main() {
  using namespace morgana;
  fixed_text<64> out;
  write_text(out, *net::endpoint::parse("[2001:db8::1]:80"));
  net::segment packet;
  bool const good = out.view() == "[2001:db8::1]:80" && packet.push_header(8).size() == 8;
  std::puts(good ? "no platform is needed" : "wrong text");
  return good ? 0 : 1;
}
