// Randomness of the processor: RDRAND where there is one.
#include <cstring>

#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "processor.hpp"

namespace morgana::xen {
namespace {

std::size_t sample_random(std::span<std::byte> into) noexcept {
  std::size_t done = 0;
  while (done < into.size()) {
    std::uint64_t word = 0;
    if (!processor::random(word)) return done;
    auto const size = into.size() - done < sizeof word ? into.size() - done : sizeof word;
    std::memcpy(into.data() + done, &word, size);
    done += size;
  }
  return done;
}

// Half of what Intel says of it: nobody outside can look into it.
constexpr platform::entropy_source_descriptor sources[] = {
    {.name = "RDRAND",
     .kind = platform::entropy_kind::cpu_generator,
     .millibits_per_byte = 4000,
     .sample = sample_random},
};

}  // namespace
}  // namespace morgana::xen

namespace morgana::platform {

std::span<entropy_source_descriptor const> entropy_sources() noexcept {
  if (!xen::machine.has_random_instruction) return {};
  return xen::sources;
}

std::span<std::byte const, 32> boot_secret() noexcept {
  return xen::machine.secret;
}

}  // namespace morgana::platform
