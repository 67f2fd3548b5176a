// Crash reports of guests, composed by the simulator after the guest was taken off the processor: its memory
// is still there. The same lines as on every other target (docs/exit-codes.md).
#include <signal.h>

#include <cstdio>
#include <cstring>

#include "morgana/core/crash_text.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/sim/guest.hpp"
#include "signals.hpp"

namespace morgana::sim {
namespace {

constexpr std::size_t chain_lines_max = 48;
constexpr std::size_t scanned_words_max = 512;
constexpr int crashed_status = 70, out_of_memory_status = 71;

std::string hex(std::uintptr_t value, int digits = 1) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

void guest::say(std::string_view text) {
  services_->console_write(std::as_bytes(std::span(text)));
}

void guest::end_crashed(int reason, std::string_view message, interruption const& at) {
  auto const is_memory = reason == static_cast<int>(platform::crash_reason::out_of_memory);
  // A copy: what the guest said may be anything.
  std::string text(message.substr(0, 1024));
  report(text_of(static_cast<platform::crash_reason>(reason)), text, at,
         is_memory ? guest_ending::out_of_memory : guest_ending::crashed,
         is_memory ? out_of_memory_status : crashed_status);
}

void guest::end_interrupted() {
  auto const at = interrupted_;
  auto const guard = reinterpret_cast<std::uintptr_t>(stack_);
  if (at.signal == too_busy) {
    report("hung",
           "it computed for " + std::to_string(settings_.busy_limit / 1ms) +
               " ms of processor time without waiting",
           at, guest_ending::hung, crashed_status);
  } else if (at.has_address && at.address < guard && guard - at.address <= 64 * 1024) {
    report("stack overflow", "the stack of " + std::to_string(settings_.stack_bytes) + " bytes is full", at,
           guest_ending::crashed, crashed_status);
  } else if (at.signal == SIGILL) {
    report("assertion", "a check of the compiler's or of the C++ library's failed (trap instruction)", at,
           guest_ending::crashed, crashed_status);
  } else if (at.signal == SIGFPE) {
    report("fault", "an arithmetic fault: a division by zero, or one that overflows", at,
           guest_ending::crashed, crashed_status);
  } else {
    report("fault", "an access to memory that is not there, or not so", at, guest_ending::crashed,
           crashed_status);
  }
}

void guest::report(std::string_view reason, std::string_view message, interruption const& at,
                   guest_ending how, int status) {
  auto const base = reinterpret_cast<std::uintptr_t>(region_);
  std::string text = "reason: ";
  text += reason;
  text += "\nmessage: ";
  for (auto const one : message) text += one == '\n' || one == '\r' ? ' ' : one;
  text +=
      "\nhost: " + settings_.name + ", " + std::to_string((now_ - booted_).count()) + " ns after its boot";
  if (!settings_.replay.empty()) text += ", " + settings_.replay;
  text += "\nregisters: pc ";
  text +=
      is_code(at.program_counter) ? "+0x" + hex(at.program_counter - base) : "0x" + hex(at.program_counter);
  text += " sp 0x" + hex(at.stack) + " fp 0x" + hex(at.frame);
  if (at.has_address) text += " fault address 0x" + hex(at.address);
  text += "\nmemory: " + std::to_string(usage_.used_bytes) + " bytes of heap, " +
          std::to_string(usage_.peak_bytes) + " at most, limit " + std::to_string(settings_.memory_bytes) +
          "\n";
  text += call_chain(at);
  say("\n---- morgana crash report ----\n" + text + "---- end of crash report ----\n");
  end_.report = std::move(text);
  finish(how, status);
}

std::string guest::call_chain(interruption const& at) const {
  std::string out = "call chain, innermost first, by offset in the image:\n";
  auto const base = reinterpret_cast<std::uintptr_t>(region_);
  std::size_t lines = 0;
  auto const line = [&](std::uintptr_t address, bool is_return, bool is_certain) {
    if (++lines > chain_lines_max) return;
    auto const offset = address - base;
    out += is_certain ? "  +0x" : "? +0x";
    out += hex(offset, 8);
    // A return address may be the first of the next function when the callee does not return.
    if (auto const name = image_->function_at(is_return ? offset - 1 : offset); !name.empty()) {
      out += ' ';
      out += name.substr(0, 440);
    }
    out += '\n';
  };
  auto const low = reinterpret_cast<std::uintptr_t>(stack_);
  auto const high = low + settings_.stack_bytes - 16;
  auto const on_stack = [&](std::uintptr_t address) {
    return address >= low && address < high && address % sizeof(std::uintptr_t) == 0;
  };
  auto const word = [](std::uintptr_t address) {
    std::uintptr_t value = 0;
    std::memcpy(&value, reinterpret_cast<void const*>(address), sizeof value);
    return value;
  };
  if (is_code(at.program_counter)) {
    line(at.program_counter, at.signal == 0, true);
  } else {
    // In a function of the simulator's, or nowhere: the first word on the stack that may be a return address.
    for (std::size_t i = 0; i < scanned_words_max && on_stack(at.stack + i * sizeof(std::uintptr_t)); ++i) {
      auto const value = word(at.stack + i * sizeof(std::uintptr_t));
      if (!is_code(value)) continue;
      line(value, true, false);
      break;
    }
  }
  auto previous = at.program_counter;
  for (auto frame = at.frame; on_stack(frame) && lines < chain_lines_max;) {
    auto const caller = word(frame + sizeof(std::uintptr_t));
    if (!is_code(caller)) break;
    if (caller != previous) line(caller, true, true);
    previous = 0;
    auto const next = word(frame);
    if (next <= frame) break;
    frame = next;
  }
  if (lines == 0) out += "  (none found)\n";
  return out;
}

}  // namespace morgana::sim
