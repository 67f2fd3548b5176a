#include "morgana/core/entropy_sources.hpp"

namespace morgana {

std::span<platform::entropy_source_descriptor const> entropy_sources() {
  return platform::entropy_sources();
}

std::uint64_t resume_generation() {
  return platform::resume_generation();
}

}  // namespace morgana
