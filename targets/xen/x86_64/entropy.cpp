// Randomness of the processor: RDSEED and RDRAND, each where there is one.
//
// Some processors' instructions have given one value for ever and said that all was well (AMD's after a
// suspend: all ones). So words of one value are refused, and so is a word that comes twice in a row, which
// good randomness does once in 2^64: the source is then not believed any more.
#include <cstring>

#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "processor.hpp"

namespace morgana::xen {
namespace {

/// One instruction's words, and whether they are still believed.
class instruction_source {
 public:
  using instruction = bool (*)(std::uint64_t& into);
  explicit constexpr instruction_source(instruction draw) : draw_(draw) {}

  [[clang::minsize, gnu::noinline]] std::size_t sample(std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size() && is_believed_) {
      std::uint64_t word = 0;
      if (!draw_(word)) break;
      if (word == 0 || word == ~std::uint64_t{0} || word == last_) {
        is_believed_ = false;
        return 0;
      }
      last_ = word;
      auto const size = into.size() - done < sizeof word ? into.size() - done : sizeof word;
      std::memcpy(into.data() + done, &word, size);
      done += size;
    }
    return done;
  }

 private:
  instruction draw_;
  std::uint64_t last_ = 0;
  bool is_believed_ = true;
};

constinit instruction_source seeds(processor::seed);
constinit instruction_source numbers(processor::random);

std::size_t sample_seeds(std::span<std::byte> into) noexcept {
  return seeds.sample(into);
}
std::size_t sample_numbers(std::span<std::byte> into) noexcept {
  return numbers.sample(into);
}

/// When the guest got here: nobody's secret, but different each time.
std::size_t sample_counter(std::span<std::byte> into) noexcept {
  auto const now = processor::cycles();
  auto const size = into.size() < sizeof now ? into.size() : sizeof now;
  std::memcpy(into.data(), &now, size);
  return size;
}

// RDSEED's words are the noise itself; RDRAND's come from a generator that gets new noise every 512 times 128
// bits at the latest (Intel's guide to the digital random number generator, 3.2 and 5.2), so 128 of its bits
// count as one.
constexpr platform::entropy_source_descriptor counter{.name = "the cycle counter",
                                                      .kind = platform::entropy_kind::timing,
                                                      .millibits_per_byte = 0,
                                                      .sample = sample_counter};
constexpr platform::entropy_source_descriptor random_instruction{
    .name = "RDRAND",
    .kind = platform::entropy_kind::cpu_generator,
    .millibits_per_byte = 62,
    .sample = sample_numbers};
constexpr platform::entropy_source_descriptor seed_instruction{.name = "RDSEED",
                                                               .kind = platform::entropy_kind::cpu_generator,
                                                               .millibits_per_byte = 8000,
                                                               .sample = sample_seeds};
// By what there is, from the last on: the counter alone, with RDRAND, with both.
constexpr platform::entropy_source_descriptor sources[] = {seed_instruction, random_instruction, counter};

}  // namespace
}  // namespace morgana::xen

namespace morgana::platform {

std::span<entropy_source_descriptor const> entropy_sources() noexcept {
  auto const all = std::span(xen::sources);
  if (!xen::machine.has_random_instruction) return all.last(1);
  return xen::machine.has_seed_instruction ? all : all.last(2);
}

std::span<std::byte const, 32> boot_secret() noexcept {
  return xen::machine.secret;
}

}  // namespace morgana::platform
