// Crash reports: what platform::crash and the fault handlers print, without allocating.
//
// The call chain comes from frame pointers; code without them (the C library's, between abort() and us) is
// bridged by looking for return addresses on the stack, and such lines are marked with '?'. Addresses are
// relative to the image, so they fit its symbols whatever the kernel's randomisation did.
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <initializer_list>

#include "morgana/core/boot.hpp"
#include "morgana/core/crash_text.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/text.hpp"
#include "process.hpp"

// Ends of the image's code, from the linker.
extern "C" char const __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" char const etext[];

namespace morgana::hosted {
namespace {

constexpr std::size_t chain_lines_max = 48;
constexpr std::size_t scanned_words_max = 4096;
constexpr std::size_t handler_stack_bytes = 64 * 1024;
/// What the kernel keeps free below a growing stack (stack_guard_gap).
constexpr std::uintptr_t stack_gap_bytes = 1024 * 1024;

volatile sig_atomic_t crashing = 0;
volatile sig_atomic_t crash_status = 0;
/// Where the runner waits for a crash, of which it makes a core (morgana/plugin/crash_line.hpp); -1: nowhere.
constinit int crash_line = -1;

std::uintptr_t image_start() { return reinterpret_cast<std::uintptr_t>(__ehdr_start); }
std::uintptr_t image_code_end() { return reinterpret_cast<std::uintptr_t>(etext); }
bool is_code(std::uintptr_t address) { return address > image_start() + 16 && address <= image_code_end(); }

/// An address above every frame of the main stack: the kernel puts its 16 random bytes there.
std::uintptr_t stack_top() { return ::getauxval(AT_RANDOM) & ~std::uintptr_t{15}; }

/// True when a call instruction stands before `address`.
bool follows_call(std::uintptr_t address) {
#if defined(__x86_64__)
  auto const* const at = reinterpret_cast<unsigned char const*>(address);
  auto const is_indirect = [](unsigned char code, unsigned char operand) {
    return code == 0xff && (operand & 0x38) == 0x10;
  };
  return at[-5] == 0xe8 || is_indirect(at[-2], at[-1]) || is_indirect(at[-3], at[-2]) ||
         is_indirect(at[-4], at[-3]) || is_indirect(at[-6], at[-5]) || is_indirect(at[-7], at[-6]);
#elif defined(__aarch64__)
  std::uint32_t code = 0;
  std::memcpy(&code, reinterpret_cast<void const*>(address - 4), sizeof code);
  return (code & 0xfc000000u) == 0x94000000u || (code & 0xfffffc1fu) == 0xd63f0000u;
#else
  return false;
#endif
}

void say(std::string_view text) { platform::console_write(std::as_bytes(std::span(text))); }

class chain_printer {
 public:
  void line(std::uintptr_t address, bool is_return, bool is_certain) {
    if (lines_ >= chain_lines_max) {
      if (lines_++ == chain_lines_max) say("  ...\n");
      return;
    }
    ++lines_;
    auto const offset = address - image_start();
    fixed_text<512> out;
    out.put(is_certain ? "  " : "? ");
    out.put("+0x");
    out.put_unsigned(offset, 16, 8, '0');
    // A return address may be the first of the next function when the callee does not return.
    auto const found = symbols_.find(is_return ? offset - 1 : offset);
    if (!found.name.empty()) {
      out.put(' ');
      out.put(found.name.substr(0, 440));
    }
    out.put('\n');
    say(out.was_cut() ? std::string_view("  (a name too long)\n") : out.view());
  }
  [[nodiscard]] bool is_full() const { return lines_ > chain_lines_max; }
  [[nodiscard]] std::size_t lines() const { return lines_; }

 private:
  symbol_table symbols_;
  std::size_t lines_ = 0;
};

void print_chain(crash_place const& place) {
  say("call chain, innermost first, by offset in the image:\n");
  chain_printer out;
  if (is_code(place.program_counter)) out.line(place.program_counter, place.is_return_address, true);
  auto const top = stack_top();
  auto low = place.stack;
  if (low % sizeof(std::uintptr_t) != 0 || low >= top) {
    say("  (no stack)\n");
    return;
  }
  auto frame = place.frame;
  auto previous = place.program_counter;
  if (frame < low || frame >= top || frame % sizeof(std::uintptr_t) != 0 ||
      !is_code(reinterpret_cast<std::uintptr_t const*>(frame)[1])) {
    // Not at a frame of ours. Whatever looks like a return address into our code is listed, up to the first
    // frame that is saved below one of them: stale ones of calls that are over, and the true ones.
    frame = 0;
    auto const* word = reinterpret_cast<std::uintptr_t const*>(low);
    for (std::size_t i = 0; i < scanned_words_max && reinterpret_cast<std::uintptr_t>(word) < top; ++i, ++word) {
      if (frame != 0 && reinterpret_cast<std::uintptr_t>(word) >= frame) break;
      if (!is_code(*word) || !follows_call(*word)) continue;
      out.line(*word, true, false);
      if (out.is_full()) return;
      auto const above = i == 0 ? 0 : word[-1];
      if (frame == 0 && above > reinterpret_cast<std::uintptr_t>(word) && above < top - 16 && above % 16 == 0 &&
          is_code(reinterpret_cast<std::uintptr_t const*>(above)[1])) {
        frame = above;
      }
    }
  }
  while (frame >= low && frame < top - 16 && frame % sizeof(std::uintptr_t) == 0) {
    auto const* const saved = reinterpret_cast<std::uintptr_t const*>(frame);
    if (!is_code(saved[1])) break;
    // crash() gives its caller as the place, which is also its frame's return address.
    if (saved[1] != previous) out.line(saved[1], true, true);
    previous = 0;
    if (saved[0] <= frame || out.is_full()) break;
    low = frame;
    frame = saved[0];
  }
  if (out.lines() == 0) say("  (none found)\n");
}

/// Ends the process, once the runner has its core.
[[noreturn]] void end_crashed() {
  char byte = 'c';
  if (crash_line >= 0 && ::write(crash_line, &byte, 1) == 1) {
    while (::read(crash_line, &byte, 1) < 0 && errno == EINTR) {
    }
  }
  ::_exit(crash_status);
}

[[noreturn]] void report(platform::crash_reason reason, std::string_view message, crash_place const& place) {
  if (crashing != 0) {
    // The report itself failed: end it in good form.
    say("\n(crashed again in this report)\n---- end of crash report ----\n");
    end_crashed();
  }
  crash_status = reason == platform::crash_reason::out_of_memory ? exit_status::out_of_memory
                                                                : exit_status::crashed;
  crashing = 1;
  say("\n---- morgana crash report ----\nreason: ");
  say(platform::text_of(reason));
  say("\nmessage: ");
  // Application text: keep the report's lines its own.
  for (std::size_t begin = 0; begin < message.size();) {
    auto const end = std::min(message.find_first_of("\r\n", begin), message.size());
    say(message.substr(begin, end - begin));
    if (end < message.size()) say(" ");
    begin = end + 1;
  }
  fixed_text<256> line;
  line.put("\nregisters: pc ");
  if (is_code(place.program_counter)) {
    line.append("+0x{x}", place.program_counter - image_start());
  } else {
    line.append("0x{x}", place.program_counter);
  }
  line.append(" sp 0x{x} fp 0x{x}", place.stack, place.frame);
  if (place.has_fault) line.append(" fault address 0x{x}", place.fault_address);
  // Not platform::memory(): malloc may be what crashed, with its lock held.
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  line.append("\nmemory: {} bytes resident at most, limit {}\n", use.ru_maxrss * 1024, memory_limit_bytes());
  say(line.view());
  print_chain(place);
  say("---- end of crash report ----\n");
  end_crashed();
}

struct registers {
  std::uintptr_t program_counter, frame, stack;
};

registers registers_of(void const* context) {
  auto const& machine = static_cast<ucontext_t const*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return {static_cast<std::uintptr_t>(machine.gregs[REG_RIP]), static_cast<std::uintptr_t>(machine.gregs[REG_RBP]),
          static_cast<std::uintptr_t>(machine.gregs[REG_RSP])};
#elif defined(__aarch64__)
  return {machine.pc, machine.regs[29], machine.sp};
#else
#error "say here where this processor keeps its program counter, frame and stack pointers"
#endif
}

/// The stack ran into its limit: an access at the stack pointer, or just below where the stack may grow to.
bool is_stack_overflow(std::uintptr_t address, std::uintptr_t stack) {
  constexpr std::uintptr_t near = 64 * 1024;
  rlimit limit{};
  auto const top = stack_top();
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= top) return false;
  auto const lowest = top - limit.rlim_cur;
  auto const is_at_end = address < lowest + near && address + stack_gap_bytes + near > lowest;
  auto const is_at_stack = address + near > stack && address < stack + near && stack < lowest + stack_gap_bytes;
  return is_at_end || is_at_stack;
}

bool is_trap_instruction(std::uintptr_t address) {
  if (!is_code(address)) return false;
#if defined(__x86_64__)
  unsigned char code[2];
  std::memcpy(code, reinterpret_cast<void const*>(address), sizeof code);
  return code[0] == 0x0f && code[1] == 0x0b;
#else
  return true;
#endif
}

void fault_handler(int signal, siginfo_t* information, void* context) {
  auto const at = registers_of(context);
  crash_place place{.program_counter = at.program_counter, .frame = at.frame, .stack = at.stack};
  using platform::crash_reason;
  auto const is_ours = information->si_code > 0;  // the kernel's, not kill()'s
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
      if (!is_ours) report(crash_reason::fault, "a fault signal was sent to this process", place);
      place.fault_address = reinterpret_cast<std::uintptr_t>(information->si_addr);
      place.has_fault = true;
      if (signal == SIGSEGV && is_stack_overflow(place.fault_address, place.stack)) {
        report(crash_reason::stack_overflow, "the stack is full", place);
      }
      if (place.fault_address < 4096) report(crash_reason::fault, "access through a null pointer", place);
      report(crash_reason::fault, "invalid memory access", place);
    case SIGILL:
      if (is_trap_instruction(at.program_counter)) {
        report(crash_reason::assertion, "a check failed: a trap of the hardened C++ library or of the compiler",
               place);
      }
      report(crash_reason::fault, "invalid instruction", place);
    case SIGTRAP: report(crash_reason::assertion, "a check failed: a trap instruction", place);
    case SIGFPE: report(crash_reason::fault, "invalid arithmetic, such as a division by zero", place);
    default: report(crash_reason::assertion, "abort() was called", place);
  }
}

}  // namespace

void start_crash_handlers() {
  // A guard page below; an overflow of the main stack must still be reportable.
  auto const page = static_cast<std::size_t>(::getauxval(AT_PAGESZ));
  auto* const memory = static_cast<char*>(::mmap(nullptr, handler_stack_bytes + page, PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0));
  if (memory == MAP_FAILED || ::mprotect(memory, page, PROT_NONE) != 0) {
    platform::crash(platform::crash_reason::platform, "no memory for the crash handlers' stack");
  }
  stack_t const stack{.ss_sp = memory + page, .ss_flags = 0, .ss_size = handler_stack_bytes};
  ::sigaltstack(&stack, nullptr);

  // A stack without a limit would take the host's memory instead of overflowing.
  constexpr rlim_t stack_bytes_max = 64 * 1024 * 1024;
  rlimit limit{};
  if (::getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur > stack_bytes_max) {
    limit.rlim_cur = stack_bytes_max;
    ::setrlimit(RLIMIT_STACK, &limit);
  }

  auto const line = environment("MORGANA_CRASH_LINE");
  if (std::from_chars(line.data(), line.data() + line.size(), crash_line).ec != std::errc()) crash_line = -1;

  struct sigaction action {};
  action.sa_sigaction = fault_handler;
  // Not deferred: a fault inside the handler comes here again, and ends the report in good form.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  ::sigemptyset(&action.sa_mask);
  for (int const signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP}) {
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace morgana::hosted

namespace morgana::platform {

[[gnu::noinline]] void crash(crash_reason reason, std::string_view message) noexcept {
  auto const frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  hosted::report(reason, message,
                 {.program_counter = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)),
                  .frame = frame,
                  .stack = frame,
                  .is_return_address = true});
}

}  // namespace morgana::platform

/// Where the compiler's stack protector goes instead of the C library's message on a terminal.
extern "C" [[noreturn, gnu::used, gnu::noinline]] void __stack_chk_fail() {
  morgana::platform::crash(morgana::platform::crash_reason::stack_smashed,
                           "a function wrote past the end of a local array");
}
