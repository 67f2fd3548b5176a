// The entry of a hosted guest: the loop that blocks.
#include "morgana/core/boot.hpp"
#include "morgana/core/platform.hpp"
#include "process.hpp"

int main(int argument_count, char** argument_values) {
  using namespace morgana;
  hosted::start_process(argument_count, argument_values);
  boot_session session(this_application, platform::arguments());
  for (;;) {
    auto const next = session.run_ready(platform::monotonic_now());
    if (session.is_finished()) platform::power_off(session.status());
    platform::wait_until(next);
  }
}
