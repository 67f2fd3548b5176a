// Randomness: the kernel's generator.
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <array>

#include "morgana/core/platform.hpp"
#include "process.hpp"

namespace morgana::hosted {
namespace {

std::array<std::byte, 32> secret;
bool has_secret = false;

/// GRND_NONBLOCK: right after the host's own boot the generator may not be seeded, and then there is no
/// sample yet.
std::size_t sample_kernel(std::span<std::byte> into) noexcept {
  std::size_t done = 0;
  while (done < into.size()) {
    auto const count = ::getrandom(into.data() + done, into.size() - done, GRND_NONBLOCK);
    if (count < 0) {
      if (errno == EINTR) continue;
      return done;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

constexpr platform::entropy_source_descriptor sources[] = {
    {.name = "getrandom",
     .kind = platform::entropy_kind::os_generator,
     .millibits_per_byte = 8000,
     .sample = sample_kernel},
};

}  // namespace

void start_secret() {
  if (has_secret) return;
  std::size_t done = 0;
  while (done < secret.size()) {
    auto const count = ::getrandom(secret.data() + done, secret.size() - done, 0);
    if (count < 0 && errno != EINTR) {
      platform::crash(platform::crash_reason::platform, "getrandom failed");
    }
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  has_secret = true;
}

}  // namespace morgana::hosted

namespace morgana::platform {

std::span<entropy_source_descriptor const> entropy_sources() noexcept { return hosted::sources; }

std::span<std::byte const, 32> boot_secret() noexcept {
  hosted::start_secret();
  return hosted::secret;
}

}  // namespace morgana::platform
