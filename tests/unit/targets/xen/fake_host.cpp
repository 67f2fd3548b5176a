#include "fake_host.hpp"

// A test has no guest's own.
morgana::xen::driver_host* morgana::xen::driver_host::of_guest() {
  return nullptr;
}
