// Fuzzes the address parsers: what they accept must be written, and read back as the same value.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "morgana/net/address.hpp"

using namespace morgana::net;

namespace {

template <class T>
void check(std::string_view text) {
  auto const parsed = T::parse(text);
  if (!parsed) return;
  morgana::fixed_text<64> out;
  write_text(out, *parsed);
  if (out.was_cut()) std::abort();
  auto const again = T::parse(out.view());
  if (!again || *again != *parsed) std::abort();
  // The canonical text is a fixed point (RFC 5952, 1: one address, one text).
  morgana::fixed_text<64> twice;
  write_text(twice, *again);
  if (twice.view() != out.view()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const text(reinterpret_cast<char const*>(data), size);
  check<mac_address>(text);
  check<ipv4_address>(text);
  check<ipv6_address>(text);
  check<ip_address>(text);
  check<endpoint>(text);
  check<cidr>(text);
  return 0;
}
