// memcpy and its kin in place of the C library's, which are written for size: sixteen bytes at a time, as every
// x86-64 can. Below sixteen bytes two moves that overlap stand for a loop. memory.cpp gives them the C library's names.
#pragma once

#include <cstddef>
#include <cstdint>

namespace morgana::xen::memory_functions {

// The compiler must not make calls of these functions out of their own bodies.
#define MORGANA_MEMORY_FUNCTION [[gnu::always_inline, clang::no_builtin]] inline

using vector [[gnu::vector_size(16), gnu::aligned(1), gnu::may_alias]] = char;

template <class Word>
[[gnu::always_inline]] inline Word load(void const* from) {
  Word word;
  __builtin_memcpy_inline(&word, from, sizeof word);
  return word;
}

template <class Word>
[[gnu::always_inline]] inline void store(void* to, Word word) {
  __builtin_memcpy_inline(to, &word, sizeof word);
}

/// `bytes` from sizeof(Word) to twice that.
template <class Word>
[[gnu::always_inline]] inline void copy_two(char* to, char const* from, std::size_t bytes) {
  auto const first = load<Word>(from);
  auto const last = load<Word>(from + bytes - sizeof(Word));
  store(to, first);
  store(to + bytes - sizeof(Word), last);
}

[[gnu::always_inline]] inline bool copy_short(char* to, char const* from, std::size_t bytes) {
  if (bytes > 32) return false;
  if (bytes >= 16)
    copy_two<vector>(to, from, bytes);
  else if (bytes >= 8)
    copy_two<std::uint64_t>(to, from, bytes);
  else if (bytes >= 4)
    copy_two<std::uint32_t>(to, from, bytes);
  else if (bytes >= 2)
    copy_two<std::uint16_t>(to, from, bytes);
  else if (bytes == 1)
    *to = *from;
  return true;
}

MORGANA_MEMORY_FUNCTION void* copy(void* __restrict to, void const* __restrict from, std::size_t bytes) {
  auto* out = static_cast<char*>(to);
  auto const* in = static_cast<char const*>(from);
  if (copy_short(out, in, bytes)) return to;
  constexpr std::size_t step = 128;
  auto const copy_64 = [](char* into, char const* of) {
    auto const a = load<vector>(of), b = load<vector>(of + 16), c = load<vector>(of + 32), d = load<vector>(of + 48);
    store(into, a);
    store(into + 16, b);
    store(into + 32, c);
    store(into + 48, d);
  };
  auto const copy_32 = [](char* into, char const* of) {
    auto const a = load<vector>(of), b = load<vector>(of + 16);
    store(into, a);
    store(into + 16, b);
  };
  if (bytes > step) {
    // Both are counted by one number, which is 0 at the end of all whole steps but the last.
    auto const whole = (bytes - 1) & ~(step - 1);
    out += whole, in += whole, bytes -= whole;
    for (auto at = -static_cast<std::ptrdiff_t>(whole); at != 0; at += step) {
      copy_64(out + at, in + at);
      copy_64(out + at + 64, in + at + 64);
    }
  }
  // What is left may be less than the last 32, which were copied before then.
  auto const last0 = load<vector>(in + bytes - 32);
  auto const last1 = load<vector>(in + bytes - 16);
  if (bytes > 64) {
    copy_64(out, in);
    if (bytes > 96) copy_32(out + 64, in + 64);
  } else if (bytes > 32) {
    copy_32(out, in);
  }
  store(out + bytes - 32, last0);
  store(out + bytes - 16, last1);
  return to;
}

MORGANA_MEMORY_FUNCTION void* move(void* to, void const* from, std::size_t bytes) {
  auto* const out = static_cast<char*>(to);
  auto const* const in = static_cast<char const*>(from);
  if (copy_short(out, in, bytes)) return to;
  if (reinterpret_cast<std::uintptr_t>(out) - reinterpret_cast<std::uintptr_t>(in) >= bytes) {
    // Forward is right below the source, but for the end, which memcpy reads first.
    auto const last0 = load<vector>(in + bytes - 32);
    auto const last1 = load<vector>(in + bytes - 16);
    for (std::size_t at = 0; at + 32 < bytes; at += 16) store(out + at, load<vector>(in + at));
    store(out + bytes - 32, last0);
    store(out + bytes - 16, last1);
    return to;
  }
  auto const first = load<vector>(in);
  for (auto at = bytes; at >= 16; at -= 16) store(out + at - 16, load<vector>(in + at - 16));
  store(out, first);
  return to;
}

MORGANA_MEMORY_FUNCTION void* fill(void* to, int value, std::size_t bytes) {
  auto* out = static_cast<char*>(to);
  auto const word = std::uint64_t{0x0101010101010101} * static_cast<unsigned char>(value);
  if (bytes < 16) {
    if (bytes >= 8) {
      store(out, word);
      store(out + bytes - 8, word);
    } else if (bytes >= 4) {
      store(out, static_cast<std::uint32_t>(word));
      store(out + bytes - 4, static_cast<std::uint32_t>(word));
    } else if (bytes != 0) {
      out[0] = out[bytes / 2] = out[bytes - 1] = static_cast<char>(word);
    }
    return to;
  }
  using words [[gnu::vector_size(16)]] = std::uint64_t;
  auto const all = reinterpret_cast<vector>(words{word, word});
  auto* const end = out + bytes;
  for (; end - out >= 64; out += 64) {
    store(out, all);
    store(out + 16, all);
    store(out + 32, all);
    store(out + 48, all);
  }
  for (; end - out >= 16; out += 16) store(out, all);
  store(end - 16, all);
  return to;
}

MORGANA_MEMORY_FUNCTION int compare(void const* left, void const* right, std::size_t bytes) {
  auto const* a = static_cast<unsigned char const*>(left);
  auto const* b = static_cast<unsigned char const*>(right);
  if (bytes >= 16) {
    auto const differ = [&] {
      return ~static_cast<unsigned>(__builtin_ia32_pmovmskb128(load<vector>(a) == load<vector>(b))) & 0xffff;
    };
    auto const* const last = a + bytes - 16;
    auto found = differ();
    while (found == 0 && a < last) {
      // The last sixteen overlap what was found to be the same.
      auto const step = last - a < 16 ? last - a : 16;
      a += step, b += step;
      found = differ();
    }
    return found == 0 ? 0 : a[__builtin_ctz(found)] - b[__builtin_ctz(found)];
  }
  if (bytes >= 8) {
    auto one = load<std::uint64_t>(a), other = load<std::uint64_t>(b);
    if (one == other) one = load<std::uint64_t>(a + bytes - 8), other = load<std::uint64_t>(b + bytes - 8);
    if (one == other) return 0;
    return __builtin_bswap64(one) < __builtin_bswap64(other) ? -1 : 1;
  }
  for (; bytes != 0; ++a, ++b, --bytes) {
    if (*a != *b) return *a - *b;
  }
  return 0;
}

/// The first of `bytes` that is `value`, or null.
MORGANA_MEMORY_FUNCTION void const* find(void const* in, int value, std::size_t bytes) {
  auto const* at = static_cast<char const*>(in);
  auto const wanted = static_cast<char>(value);
  vector const all = {wanted, wanted, wanted, wanted, wanted, wanted, wanted, wanted,
                      wanted, wanted, wanted, wanted, wanted, wanted, wanted, wanted};
  if (bytes >= 16) {
    // The last sixteen overlap those in which there was none.
    for (auto const* const last = at + bytes - 16;; at += 16) {
      if (at > last) at = last;
      auto const found = static_cast<unsigned>(__builtin_ia32_pmovmskb128(load<vector>(at) == all));
      if (found != 0) return at + __builtin_ctz(found);
      if (at == last) return nullptr;
    }
  }
  for (; bytes != 0; ++at, --bytes) {
    if (*at == wanted) return at;
  }
  return nullptr;
}

#undef MORGANA_MEMORY_FUNCTION

}  // namespace morgana::xen::memory_functions
