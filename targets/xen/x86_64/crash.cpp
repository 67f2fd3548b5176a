// Crash reports: what platform::crash and the processor's exceptions print, without allocating.
//
// The image has no symbols: addresses are those it was linked for, which NAME.debug explains (morgana run
// does it). The call chain comes from frame pointers. Libraries have none; there the stack is searched for
// return addresses, and such lines are marked with '?'.
//
// In every image and run once at most: short rather than fast (minsize).
#include <algorithm>
#include <cstring>

#include "machine.hpp"
#include "morgana/core/boot.hpp"
#include "morgana/core/crash_text.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/core/text.hpp"
#include "page_tables.hpp"
#include "processor.hpp"

// Hidden: else these go through a table of pointers, which relocation changes.
#pragma GCC visibility push(hidden)
extern "C" {
extern char const morgana_code_begin[];
extern char const morgana_code_end[];
extern char const morgana_image_begin[];
extern char const morgana_data_begin[];
extern char const morgana_image_end[];
}
#pragma GCC visibility pop

namespace morgana::xen {
namespace {

constexpr std::size_t chain_lines_max = 48;
constexpr std::size_t searched_words_max = 2048;

constinit int crashing = 0;
constinit int crash_status = 0;

std::uintptr_t address_of(void const* what) {
  return reinterpret_cast<std::uintptr_t>(what);
}
bool is_code(std::uintptr_t address) {
  return address > address_of(morgana_code_begin) + 8 && address <= address_of(morgana_code_end);
}
bool is_image(std::uintptr_t address) {
  return address >= address_of(morgana_image_begin) && address < address_of(morgana_image_end);
}

void say(std::string_view text) {
  platform::console_write(std::as_bytes(std::span(text)));
}

/// A call instruction stands before: direct, or through a register or memory.
bool follows_call(std::uintptr_t address) {
  auto const* const at = reinterpret_cast<unsigned char const*>(address);
  auto const is_indirect = [](unsigned char code, unsigned char operand) {
    return code == 0xff && (operand & 0x38) == 0x10;
  };
  return at[-5] == 0xe8 || is_indirect(at[-2], at[-1]) || is_indirect(at[-3], at[-2]) ||
         is_indirect(at[-4], at[-3]) || is_indirect(at[-6], at[-5]) || is_indirect(at[-7], at[-6]);
}

class chain_printer {
 public:
  [[clang::minsize]] void line(std::uintptr_t address, bool is_certain) {
    if (lines_++ >= chain_lines_max) return;
    fixed_text<32> out;
    out.put(is_certain ? "  +0x" : "? +0x");
    out.put_unsigned(address - machine.slide, 16, 8, '0');
    out.put('\n');
    say(lines_ == chain_lines_max ? std::string_view("  ...\n") : out.view());
  }
  [[nodiscard]] bool is_full() const { return lines_ >= chain_lines_max; }
  [[nodiscard]] bool is_empty() const { return lines_ == 0; }

 private:
  std::size_t lines_ = 0;
};

std::uintptr_t word_at(std::uintptr_t address) {
  std::uintptr_t word = 0;
  std::memcpy(&word, reinterpret_cast<void const*>(address), sizeof word);
  return word;
}

[[clang::minsize]] void print_chain(crash_place const& place) {
  constexpr auto step = sizeof(std::uintptr_t);
  say("call chain, innermost first, by address in the image:\n");
  chain_printer out;
  auto const is_here = is_code(place.program_counter);
  if (is_here) out.line(place.program_counter, true);
  auto const top = machine.stack.end;
  // Where the stack is full, what is below it is not there.
  auto const low = std::max<std::uintptr_t>((place.stack + step - 1) & ~(step - 1), machine.stack.begin);
  if (place.stack + page_bytes < machine.stack.begin || low + 2 * step > top) {
    say("  (no stack)\n");
    return;
  }
  // A call of what is no code has not begun: its return address is the last on the stack.
  if (!is_here && is_code(word_at(low))) out.line(word_at(low), true);
  auto const is_frame = [&](std::uintptr_t frame) {
    return frame >= low && frame + 2 * step <= top && frame % step == 0 && is_code(word_at(frame + step));
  };
  auto frame = place.frame;
  if (!is_frame(frame)) {
    frame = 0;
    std::size_t words = 0;
    for (auto at = low; at + step <= top && words < searched_words_max; at += step, ++words) {
      auto const word = word_at(at);
      if (frame != 0 && at >= frame) break;
      if (!is_code(word) || !follows_call(word)) continue;
      out.line(word, false);
      if (out.is_full()) return;
      if (frame == 0 && at > low && word_at(at - step) > at && is_frame(word_at(at - step)))
        frame = word_at(at - step);
    }
  }
  auto previous = place.is_return_address ? place.program_counter : 0;
  while (frame != 0 && is_frame(frame) && !out.is_full()) {
    auto const caller = word_at(frame + step);
    if (caller != previous) out.line(caller, true);
    previous = 0;
    auto const next = word_at(frame);
    if (next <= frame) break;
    frame = next;
  }
  if (out.is_empty()) say("  (none found)\n");
}

[[noreturn, clang::minsize]] void report(platform::crash_reason reason, std::string_view message, crash_place const& place) {
  if (crashing != 0) {
    say("\n(crashed again in this report)\n---- end of crash report ----\n");
    end_machine(crash_status);
  }
  crash_status =
      reason == platform::crash_reason::out_of_memory ? exit_status::out_of_memory : exit_status::crashed;
  crashing = 1;
  say("\n---- morgana crash report ----\nreason: ");
  say(text_of(reason));
  say("\nmessage: ");
  // Application text: keep the report's lines its own.
  for (std::size_t begin = 0; begin < message.size();) {
    auto const end = std::min(message.find_first_of("\r\n", begin), message.size());
    say(message.substr(begin, end - begin));
    if (end < message.size()) say(" ");
    begin = end + 1;
  }
  fixed_text<256> line;
  auto const put = [&](std::string_view name, std::uintptr_t address) {
    line.put(name);
    line.put(is_image(address) ? "+0x" : "0x");
    line.put_unsigned(is_image(address) ? address - machine.slide : address, 16);
  };
  put("\nregisters: pc ", place.program_counter);
  put(" sp ", place.stack);
  put(" fp ", place.frame);
  if (place.has_fault) put(" fault address ", place.fault_address);
  auto const memory = platform::memory();
  line.append("\nmemory: {} bytes used at most, limit {}\n", memory.peak_bytes, memory.limit_bytes);
  say(line.view());
  print_chain(place);
  say("---- end of crash report ----\n");
  end_machine(crash_status);
}

/// What stands on the exception stack: vectors.S's two words, then the processor's.
struct exception_frame {
  std::uint64_t vector, code, program_counter, code_segment, flags, stack, stack_segment;
};

bool is_trap_instruction(std::uintptr_t address) {
  if (!is_code(address)) return false;
  unsigned char code[2];
  std::memcpy(code, reinterpret_cast<void const*>(address), sizeof code);
  return code[0] == 0x0f && code[1] == 0x0b;
}

/// What is wrong with an access, by the bits of a page fault's error code (SDM volume 3, 4.7).
std::string_view text_of_page_fault(std::uint64_t code, std::uintptr_t address) {
  constexpr std::uint64_t was_mapped = 1, was_write = 2, was_execution = 16;
  if (address < page_bytes) return "access through a null pointer";
  if ((code & was_mapped) == 0) {
    // Pages of rings lie between those that are not mapped.
    if (address >= machine.guarded.begin - page_bytes && address < machine.guarded.end)
      return "access past a page that another domain shares";
    return (code & was_execution) != 0 ? "execution where nothing is mapped"
                                       : "access where nothing is mapped";
  }
  if ((code & was_execution) != 0) return "execution of data";
  if ((code & was_write) == 0) return "invalid memory access";
  return is_code(address) ? "write to code" : "write to constant data";
}

}  // namespace

extern "C" [[noreturn, gnu::used, clang::minsize]] void morgana_exception(exception_frame const* frame, std::uintptr_t base) {
  using platform::crash_reason;
  crash_place place{.program_counter = frame->program_counter, .frame = base, .stack = frame->stack};
  constexpr std::uint64_t divide = 0, breakpoint = 3, invalid_instruction = 6, double_fault = 8,
                          protection = 13, page_fault = 14, floating_point = 16, vector_floating_point = 19;
  switch (frame->vector) {
    case page_fault: {
      place.fault_address = processor::fault_address();
      place.has_fault = true;
      auto const below_stack = machine.stack.begin - place.fault_address;
      // A large frame may jump over many pages; what lies below the stack is nobody's for 256 MiB.
      if (below_stack - 1 < std::uint64_t{16} << 20)
        report(crash_reason::stack_overflow, "the stack is full", place);
      report(crash_reason::fault, text_of_page_fault(frame->code, place.fault_address), place);
    }
    case invalid_instruction:
      if (is_trap_instruction(frame->program_counter)) {
        report(crash_reason::assertion,
               "a check failed: a trap of the hardened C++ library or of the compiler", place);
      }
      report(crash_reason::fault, "invalid instruction", place);
    case breakpoint:
      report(crash_reason::assertion, "a check failed: a trap instruction", place);
    case divide:
    case floating_point:
    case vector_floating_point:
      report(crash_reason::fault, "invalid arithmetic, such as a division by zero", place);
    case protection:
      report(crash_reason::fault, "access to an impossible address, or a forbidden instruction", place);
    case double_fault:
      report(crash_reason::platform, "a fault while the processor handled a fault", place);
    default: {
      fixed_text<48> text;
      text.append("processor exception {}", frame->vector);
      report(crash_reason::platform, text.view(), place);
    }
  }
}

}  // namespace morgana::xen

namespace morgana::platform {

[[gnu::noinline]] void crash(crash_reason reason, std::string_view message) noexcept {
  auto const frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  xen::report(reason, message,
              {.program_counter = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)),
               .frame = frame,
               .stack = frame,
               .is_return_address = true});
}

}  // namespace morgana::platform

/// Where the compiler's stack protector goes instead of the C library's silent trap.
extern "C" [[noreturn, gnu::used, gnu::noinline]] void __stack_chk_fail() {
  morgana::platform::crash(morgana::platform::crash_reason::stack_smashed,
                           "a function wrote past the end of a local array");
}
