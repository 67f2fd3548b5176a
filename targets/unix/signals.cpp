// SIGTERM and SIGINT ask for an orderly shutdown; a second SIGINT ends the process at once, for a person
// whose guest does not stop. SIGPIPE is an error value of write.
#include <signal.h>

#include "morgana/core/platform.hpp"
#include "morgana/hosted/reactor.hpp"
#include "process.hpp"

namespace morgana::hosted {
namespace {

volatile sig_atomic_t stop_wanted = 0;
volatile sig_atomic_t interrupts = 0;

void stop_handler(int signal) {
  stop_wanted = 1;
  if (signal == SIGINT) {
    interrupts = interrupts + 1;
    if (interrupts >= 2) {
      ::signal(SIGINT, SIG_DFL);
      ::raise(SIGINT);  // delivered when this handler returns
    }
  }
  reactor::of_process().interrupt();
}

}  // namespace

void start_signals() {
  static_cast<void>(reactor::of_process());  // open before a handler can need it
  struct sigaction action {};
  action.sa_handler = stop_handler;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace morgana::hosted

namespace morgana::platform {

bool stop_requested() noexcept { return hosted::stop_wanted != 0; }

}  // namespace morgana::platform
