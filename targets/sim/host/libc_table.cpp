#include "libc_table.hpp"

// By their names alone: their types are of no matter here, and some are overloaded in C++.
#define FUNCTION(name) extern "C" void morgana_sim_libc_##name() __asm__(#name);
#include "morgana/sim/libc_functions.inc"
#undef FUNCTION

namespace morgana::sim {
namespace {

#define FUNCTION(name) reinterpret_cast<void const*>(&morgana_sim_libc_##name),
void const* const functions[] = {
#include "morgana/sim/libc_functions.inc"
};
#undef FUNCTION

}  // namespace

std::span<void const* const> libc_table() {
  return functions;
}

}  // namespace morgana::sim
