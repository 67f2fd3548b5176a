#include "morgana/net/wire/checksum.hpp"

#include <cstring>

#include "long_sums.hpp"

namespace morgana::net::wire {
namespace {

/// Apart, so that short ones need no frame.
[[gnu::noinline]] std::uint64_t long_sum(std::span<std::byte const> bytes) {
  auto const whole = bytes.size() & ~std::size_t{7};
  auto const rest = bytes.subspan(whole);
#if MORGANA_HAS_WIDE_SUM
  auto const sum = has_wide_long_sum() ? wide_long_sum(bytes.data(), whole) : plain_long_sum(bytes.data(), whole);
#else
  auto const sum = plain_long_sum(bytes.data(), whole);
#endif
  return rest.empty() ? sum : sum + sum_words(rest);
}

/// Less than that is not worth a loop with several words at once.
constexpr std::size_t many_bytes = 256;

}  // namespace

std::uint64_t sum_words(std::span<std::byte const> bytes) {
  if (bytes.size() >= many_bytes) return long_sum(bytes);
  auto const* rest = bytes.data();
  auto left = bytes.size();
  unsigned long long all = 0;
  unsigned long long carry = 0;
  for (; left >= 32; left -= 32, rest += 32) {
    all = __builtin_addcll(all, load_word(rest), 0, &carry);
    all = __builtin_addcll(all, load_word(rest + 8), carry, &carry);
    all = __builtin_addcll(all, load_word(rest + 16), carry, &carry);
    all = __builtin_addcll(all, load_word(rest + 24), carry, &carry);
    all += carry;  // it comes around, and cannot carry once more: a sum that did is less than all ones
  }
  for (; left >= 8; left -= 8, rest += 8) {
    all = __builtin_addcll(all, load_word(rest), 0, &carry);
    all += carry;
  }
  auto sum = fold32(all);
  if ((left & 4) != 0) {
    std::uint32_t word;
    std::memcpy(&word, rest, sizeof word);
    sum += word;
    rest += sizeof word;
  }
  if ((left & 2) != 0) {
    std::uint16_t word;
    std::memcpy(&word, rest, sizeof word);
    sum += word;
    rest += sizeof word;
  }
  if ((left & 1) != 0) {
    auto const last = static_cast<std::uint16_t>(*rest);
    sum += std::endian::native == std::endian::little ? last : static_cast<std::uint16_t>(last << 8);
  }
  return sum;
}

std::uint64_t copy_and_sum(std::byte* to, std::span<std::byte const> from) {
#if MORGANA_HAS_WIDE_SUM
  if (from.size() >= many_bytes && has_wide_long_sum()) {
    auto const whole = from.size() & ~std::size_t{7};
    auto const sum = wide_long_copy(to, from.data(), whole);
    auto const rest = from.subspan(whole);
    if (rest.empty()) return sum;
    std::memcpy(to + whole, rest.data(), rest.size());
    return sum + sum_words(rest);
  }
#endif
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
  return sum_words(from);
}

bool sums_while_copying() {
#if MORGANA_HAS_WIDE_SUM
  return has_wide_long_sum();
#else
  return false;
#endif
}

}  // namespace morgana::net::wire
