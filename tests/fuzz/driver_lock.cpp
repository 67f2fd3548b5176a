// Fuzzes the lock reader; what it accepts must be written and read back as the same value.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "morgana/driver/lock.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace morgana::driver;
  auto const lock = parse_lock(std::string_view(reinterpret_cast<char const*>(data), size), "morgana.lock");
  if (!lock) {
    if (lock.error().empty()) std::abort();
    return 0;
  }
  auto const again = parse_lock(format_lock(*lock), "morgana.lock");
  if (!again || *again != *lock) std::abort();
  return 0;
}
