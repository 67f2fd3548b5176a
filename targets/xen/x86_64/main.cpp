// The entry of a guest in C++: the loop that blocks.
#include "machine.hpp"
#include "morgana/core/boot.hpp"
#include "morgana/core/platform.hpp"

int main(int, char**) {
  using namespace morgana;
  boot_session session(this_application, platform::arguments());
  for (;;) {
    auto const next = session.run_ready(platform::monotonic_now());
    if (session.is_finished()) platform::power_off(session.status());
    platform::wait_until(next);
  }
}
