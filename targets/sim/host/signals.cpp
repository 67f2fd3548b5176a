#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <iterator>

#include "fibers.hpp"
#include "signals.hpp"

extern "C" void morgana_sim_resume();

namespace morgana::sim {
namespace {

constexpr int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
constexpr duration tick = 100ms;
constexpr std::size_t handler_stack_bytes = 64 * 1024;

// Signal handlers are the process's: so is this.
struct {
  unsigned users = 0;
  guest* volatile running = nullptr;
  std::uint64_t volatile runs = 0;  ///< counts enter()
  std::uint64_t runs_at_tick = 0;
  std::int64_t busy_ticks = 0;
  struct sigaction before[std::size(faults)]{};
  struct sigaction tick_before{};
  bool has_stack = false;
} state;
alignas(16) std::array<std::byte, handler_stack_bytes> handler_stack;

void set_timer(duration every) {
  auto const microseconds = every / 1us;
  itimerval const timer{.it_interval = {.tv_sec = 0, .tv_usec = microseconds},
                        .it_value = {.tv_sec = 0, .tv_usec = microseconds}};
  ::setitimer(ITIMER_VIRTUAL, &timer, nullptr);
}

}  // namespace

guest_signals::guest_signals() {
  if (state.users++ != 0) return;
  // A guest whose stack is full has none for a handler.
  stack_t now{};
  if (::sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) != 0) {
    stack_t const own{.ss_sp = handler_stack.data(), .ss_flags = 0, .ss_size = handler_stack.size()};
    state.has_stack = ::sigaltstack(&own, nullptr) == 0;
  }
  struct sigaction action{};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < std::size(faults); ++i) ::sigaction(faults[i], &action, &state.before[i]);
  action.sa_sigaction = on_tick;
  action.sa_flags |= SA_RESTART;
  ::sigaction(SIGVTALRM, &action, &state.tick_before);
  set_timer(tick);
}

guest_signals::~guest_signals() {
  if (--state.users != 0) return;
  set_timer(0ns);
  ::sigaction(SIGVTALRM, &state.tick_before, nullptr);
  for (std::size_t i = 0; i < std::size(faults); ++i) ::sigaction(faults[i], &state.before[i], nullptr);
  if (state.has_stack) {
    stack_t const none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    ::sigaltstack(&none, nullptr);
  }
}

void guest_signals::enter(guest& who) {
  state.runs = state.runs + 1;
  state.running = &who;
}

void guest_signals::leave() {
  state.running = nullptr;
}

/// Goes on, when the handler returns, where run() entered the guest.
void guest_signals::take_off(guest& who, int signal, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  who.interrupted_.signal = signal;
  who.interrupted_.program_counter = static_cast<std::uintptr_t>(registers[REG_RIP]);
  who.interrupted_.stack = static_cast<std::uintptr_t>(registers[REG_RSP]);
  who.interrupted_.frame = static_cast<std::uintptr_t>(registers[REG_RBP]);
  state.running = nullptr;
  fibers::abandon(who.host_stack_begin_, who.host_stack_bytes_);
  registers[REG_RIP] = reinterpret_cast<greg_t>(&morgana_sim_resume);
  registers[REG_RSP] = reinterpret_cast<greg_t>(who.host_stack_);
}

void guest_signals::on_fault(int signal, siginfo_t* about, void* context) {
  auto* const who = state.running;
  if (who == nullptr || about->si_code <= 0) {
    // Not a guest's: whoever was here before gets it, when the instruction is tried again.
    for (std::size_t i = 0; i < std::size(faults); ++i) {
      if (faults[i] == signal) ::sigaction(signal, &state.before[i], nullptr);
    }
    if (about->si_code <= 0) ::raise(signal);
    return;
  }
  who->interrupted_.has_address = signal == SIGSEGV || signal == SIGBUS;
  who->interrupted_.address = reinterpret_cast<std::uintptr_t>(about->si_addr);
  take_off(*who, signal, context);
}

void guest_signals::on_tick(int, siginfo_t*, void* context) {
  auto* const who = state.running;
  if (who == nullptr || state.runs != state.runs_at_tick) {
    state.runs_at_tick = state.runs;
    state.busy_ticks = 0;
    return;
  }
  // Within its own code only: what it called of the simulator's holds locks and half-done work.
  auto const& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (++state.busy_ticks * tick >= who->settings_.busy_limit &&
      who->is_code(static_cast<std::uintptr_t>(registers[REG_RIP]))) {
    take_off(*who, too_busy, context);
  }
}

}  // namespace morgana::sim
