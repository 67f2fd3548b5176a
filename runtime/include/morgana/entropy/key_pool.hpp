// Where samples of randomness become bytes fit for keys: the state of the generator, without a source of its
// own.
//
// Samples go into a hash (BLAKE2b), each with the credit its source deserves. Nothing comes out before
// `seed_bits` of credit are together; then the hash and the key of before become the new key, at once, so
// that nobody who knew the old key can follow by guessing a few bits at a time. Bytes are the key stream of
// ChaCha20, whose first 32 bytes replace the key: who reads the state later learns nothing of what was given
// before (fast key erasure, Bernstein 2017). Both are libsodium's; why: docs/decisions/random-generator.md.
//
// No I/O, no clock, no allocation: the same mixes give the same bytes. About 450 bytes of state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/core/result.hpp"

namespace morgana::entropy {

class key_pool {
 public:
  /// What a seeding takes.
  static constexpr std::uint32_t seed_bits = 256;

  key_pool();
  key_pool(key_pool const&) = delete;
  key_pool& operator=(key_pool const&) = delete;
  /// Keys do not outlive it in memory.
  ~key_pool();

  /// Takes a sample of the source with that number, of which `credit_millibits` nobody can guess. Does no
  /// harm whatever the sample is.
  void mix(std::uint32_t source, std::span<std::byte const> sample, std::uint64_t credit_millibits);

  [[nodiscard]] bool is_seeded() const { return seedings_ != 0 && !must_seed_; }
  /// What is missing until the next seeding, in thousandths of a bit.
  [[nodiscard]] std::uint64_t missing_millibits() const;
  /// How often a key was made of new randomness.
  [[nodiscard]] std::uint64_t seedings() const { return seedings_; }

  /// Someone else may have this state (a guest that was copied): gives nothing before the next seeding.
  void distrust();

  /// core_error::not_seeded, with `into` untouched, before the first seeding and after distrust().
  [[nodiscard]] result<void> fill(std::span<std::byte> into);

 private:
  void restart();
  void seed();

  alignas(64) std::array<std::byte, 384> hash_;  ///< libsodium's state of BLAKE2b
  std::array<std::byte, 32> key_{};
  std::uint64_t credit_millibits_ = 0;
  std::uint64_t seedings_ = 0;
  bool must_seed_ = false;
};

}  // namespace morgana::entropy
