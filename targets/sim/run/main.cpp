// sim-host: runs one simulated host under virtual time. Started by sim-runner, which speaks to the driver.
//
//   sim-host IMAGE [ARGUMENT...]
//
// With MORGANA_WORLD, a file, it runs the world that is described there, in which IMAGE is the default of
// hosts.
#include <sys/random.h>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "process.hpp"
#include "world_file.hpp"

namespace {

std::string_view environment(char const* name) {
  auto const* const text = std::getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

bool read_number(std::string_view text, std::uint64_t& into) {
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size();
}

}  // namespace

int main(int count, char** values) {
  using namespace morgana::sim;
  if (count < 2) return refuse("no image was named; `morgana run -t sim` runs one");
  process_settings settings;
  settings.image = values[1];
  settings.arguments.assign(values + 2, values + count);
  if (auto const name = environment("MORGANA_NAME"); !name.empty()) settings.name = name;
  if (auto const memory = environment("MORGANA_MEMORY_BYTES");
      !memory.empty() && !read_number(memory, settings.memory_bytes)) {
    return refuse("MORGANA_MEMORY_BYTES is not a number of bytes");
  }
  std::uint64_t line = 0;
  if (read_number(environment("MORGANA_CRASH_LINE"), line)) settings.crash_line = static_cast<int>(line);
  auto const seed = environment("MORGANA_SEED");
  if (seed.empty() || seed == "random") {
    // Kept small, so that a person can type it again.
    std::uint32_t drawn = 0;
    if (::getrandom(&drawn, sizeof drawn, 0) != static_cast<ssize_t>(sizeof drawn))
      return refuse("getrandom failed");
    settings.seed = drawn;
  } else if (!read_number(seed, settings.seed)) {
    return refuse("the seed `" + std::string(seed) + "` is neither a number from 0 to 2^64 - 1 nor `random`");
  }
  if (auto const path = environment("MORGANA_WORLD"); !path.empty()) {
    auto const all = read_world(std::string(path));
    return all ? run_world(*all, settings.image, settings.seed) : refuse(all.error());
  }
  return process(std::move(settings)).run();
}
