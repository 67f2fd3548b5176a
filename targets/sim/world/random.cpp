#include "morgana/sim/random.hpp"

#include <bit>

namespace morgana::sim {

namespace {

std::uint64_t mix(std::uint64_t value) {  // SplitMix64's finalizer
  value = (value ^ value >> 30) * 0xbf58'476d'1ce4'e5b9u;
  value = (value ^ value >> 27) * 0x94d0'49bb'1331'11ebu;
  return value ^ value >> 31;
}

std::uint64_t identity_of(std::uint64_t seed, std::string_view name) {
  auto identity = mix(seed + 0x9e37'79b9'7f4a'7c15u);
  for (char const c : name) identity = mix(identity ^ static_cast<unsigned char>(c)) + 0x9e37'79b9'7f4a'7c15u;
  return mix(identity ^ name.size());
}

/// -log2 of a number in (0, 1] with 64 bits behind the point, as 32.32; exact to 16 bits behind the point.
std::uint64_t minus_log2(std::uint64_t fraction) {
  auto const zeros = static_cast<unsigned>(std::countl_zero(fraction | 1));
  auto normal = (fraction << zeros) >> 32;  // [1, 2) with 31 bits behind the point
  std::uint64_t log = 0;
  for (int i = 0; i < 16; ++i) {
    normal = normal * normal >> 31;
    log <<= 1;
    if (normal >> 32 != 0) {
      normal >>= 1;
      log |= 1;
    }
  }
  return ((std::uint64_t{zeros} + 1) << 32) - (log << 16);
}

}  // namespace

random_source::random_source(std::uint64_t seed, std::string_view name) : identity_(identity_of(seed, name)) {
  auto seeding = identity_;
  for (auto& word : state_) word = mix(seeding += 0x9e37'79b9'7f4a'7c15u);
}

random_source random_source::fork(std::string_view name) const {
  return {identity_, name};
}
random_source random_source::fork(std::string_view name, std::uint64_t number) const {
  return {identity_ + mix(number + 1), name};
}

std::uint64_t random_source::next() {
  auto const given = std::rotl(state_[1] * 5, 7) * 9;
  auto const shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return given;
}

std::uint64_t random_source::below(std::uint64_t bound) {
  // Lemire's method: the high half of a product, refusing the few that would be drawn too often.
  auto product = static_cast<unsigned __int128>(next()) * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    auto const refused = -bound % bound;
    while (static_cast<std::uint64_t>(product) < refused)
      product = static_cast<unsigned __int128>(next()) * bound;
  }
  return static_cast<std::uint64_t>(product >> 64);
}

duration random_source::exponential(duration mean) {
  constexpr std::uint64_t ln2 = 0xb172'17f7;  // 0.32
  auto const log = minus_log2(next());
  auto const natural = static_cast<std::uint64_t>(static_cast<unsigned __int128>(log) * ln2 >> 32);
  auto const scaled =
      static_cast<unsigned __int128>(natural) * static_cast<std::uint64_t>(mean.count()) >> 32;
  auto const most = static_cast<unsigned __int128>(mean.count()) * 32;
  return duration(static_cast<duration::rep>(scaled < most ? scaled : most));
}

}  // namespace morgana::sim
