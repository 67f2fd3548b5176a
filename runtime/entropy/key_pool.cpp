#include "morgana/entropy/key_pool.hpp"

#include <sodium/crypto_generichash_blake2b.h>
#include <sodium/crypto_stream_chacha20.h>

#include <algorithm>
#include <cstring>

// What libsodium's files call of the rest of it.
extern "C" {
void sodium_memzero(void* where, std::size_t size) {
  std::memset(where, 0, size);
  asm volatile("" : : "r"(where) : "memory");  // or the compiler sees that nobody reads it
}
[[noreturn]] void sodium_misuse() {
  __builtin_trap();
}
/// Only its functions that make keys call it, which are not used.
void randombytes_buf(void*, std::size_t) {
  __builtin_trap();
}
}

namespace morgana::entropy {
namespace {

constexpr std::size_t key_bytes = crypto_stream_chacha20_KEYBYTES;
static_assert(key_bytes == 32 && key_pool::seed_bits == 8 * key_bytes);

unsigned char* raw(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}

crypto_generichash_blake2b_state& hash_of(std::array<std::byte, 384>& bytes) {
  static_assert(sizeof(crypto_generichash_blake2b_state) == 384 &&
                alignof(crypto_generichash_blake2b_state) <= 64);
  return *reinterpret_cast<crypto_generichash_blake2b_state*>(bytes.data());
}

}  // namespace

key_pool::key_pool() {
  restart();
}

key_pool::~key_pool() {
  sodium_memzero(key_.data(), key_.size());
  sodium_memzero(hash_.data(), hash_.size());
}

/// The key is part of every hash, so that a seeding only adds to what is there.
void key_pool::restart() {
  crypto_generichash_blake2b_init(&hash_of(hash_), raw(key_.data()), key_bytes, key_bytes);
  credit_millibits_ = 0;
}

void key_pool::mix(std::uint32_t source, std::span<std::byte const> sample, std::uint64_t credit_millibits) {
  // With its length, so that two samples are not the same as one.
  std::uint64_t const head[] = {source, sample.size()};
  crypto_generichash_blake2b_update(&hash_of(hash_), reinterpret_cast<unsigned char const*>(head),
                                    sizeof head);
  crypto_generichash_blake2b_update(&hash_of(hash_), reinterpret_cast<unsigned char const*>(sample.data()),
                                    sample.size());
  credit_millibits_ += std::min<std::uint64_t>(credit_millibits, sample.size() * 8000);
  if (credit_millibits_ >= std::uint64_t{seed_bits} * 1000) seed();
}

std::uint64_t key_pool::missing_millibits() const {
  return std::uint64_t{seed_bits} * 1000 - credit_millibits_;
}

void key_pool::seed() {
  crypto_generichash_blake2b_final(&hash_of(hash_), raw(key_.data()), key_bytes);
  restart();
  ++seedings_;
  must_seed_ = false;
}

void key_pool::distrust() {
  credit_millibits_ = 0;  // the other has those samples, too
  must_seed_ = true;
}

result<void> key_pool::fill(std::span<std::byte> into) {
  if (!is_seeded()) return failure(core_error::not_seeded);
  constexpr unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {};  // each key is used once
  std::array<std::byte, key_bytes + 224> stream;
  do {
    auto const count = std::min(into.size(), stream.size() - key_bytes);
    crypto_stream_chacha20(raw(stream.data()), key_bytes + count, nonce, raw(key_.data()));
    std::memcpy(key_.data(), stream.data(), key_bytes);
    if (count != 0) std::memcpy(into.data(), stream.data() + key_bytes, count);
    into = into.subspan(count);
  } while (!into.empty());
  sodium_memzero(stream.data(), stream.size());
  return {};
}

}  // namespace morgana::entropy
