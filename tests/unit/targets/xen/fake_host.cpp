#include "fake_host.hpp"

// A test has no guest's own.
morgana::xen::driver_host* morgana::xen::driver_host::of_guest() {
  return nullptr;
}

// Pages that a backend keeps mapped stay taken, on purpose: grant_table::stuck() counts them, and tests look at that.
extern "C" char const* __lsan_default_suppressions();
extern "C" char const* __lsan_default_suppressions() {
  return "leak:take_pages\n";
}
