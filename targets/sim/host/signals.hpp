// The signal handlers that keep a guest's faults and endless loops its own. Private to targets/sim/host.
#pragma once

#include <signal.h>

#include "morgana/sim/guest.hpp"

namespace morgana::sim {

/// A signal number that no handler gives: the guest computed for too long.
inline constexpr int too_busy = -1;

class guest_signals {
 public:
  /// Handlers are there while an object of this class is.
  guest_signals();
  guest_signals(guest_signals const&) = delete;
  guest_signals& operator=(guest_signals const&) = delete;
  ~guest_signals();

  /// Between these the guest's code runs. They cost no system call.
  static void enter(guest& who);
  static void leave();

 private:
  static void on_fault(int signal, siginfo_t* about, void* context);
  static void on_tick(int signal, siginfo_t* about, void* context);
  static void take_off(guest& who, int signal, void* context);
};

}  // namespace morgana::sim
