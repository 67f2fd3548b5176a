#include "hypervisor.hpp"

#include <atomic>
#include <bit>

#include "hypercall.hpp"
#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "page_tables.hpp"
#include "processor.hpp"
#include "vectors.hpp"

/// Xen puts its page in place of this one.
extern "C" {
[[gnu::visibility("hidden"), gnu::used]] alignas(morgana::xen::page_bytes) constinit std::byte
    morgana_shared_page[morgana::xen::page_bytes] = {};
}

namespace morgana::xen {
namespace {

shared_info& shared() {
  return *reinterpret_cast<shared_info*>(morgana_shared_page);
}

constinit std::uint64_t timers_event = 0;

template <class Argument>
void must(hypercall_number number, Argument& argument, std::string_view refused,
          std::uint32_t command = Argument::command) {
  if (hypercall_with(machine.is_intel, number, argument, command) != 0) {
    platform::crash(platform::crash_reason::platform, refused);
  }
}

}  // namespace

constinit void (*hypervisor::on_events)() = nullptr;
constinit bool (*hypervisor::on_suspend)(suspend_step) = nullptr;

void hypervisor::start() {
  add_to_physical_map place{
      .who = self,
      .size = 0,
      .from = add_to_physical_map::space::shared_info,
      .index = 0,
      .frame = (reinterpret_cast<std::uint64_t>(morgana_shared_page) - machine.slide) / page_bytes};
  must(hypercall_number::memory, place, "Xen does not give its shared page");
  hvm_parameter callback{
      .who = self, .which = hvm_parameter::name::callback, .value = callback_by_vector | event_vector};
  must(hypercall_number::hvm, callback, "Xen does not take an interrupt vector for events",
       hvm_parameter::set);
  timers_event = event_of(bind(timer_interrupt));
}

event_port hypervisor::bind(std::uint32_t virtual_interrupt) {
  bind_virtual_interrupt argument{.interrupt = virtual_interrupt, .vcpu = 0, .port = 0};
  must(hypercall_number::event_channel, argument, "Xen does not give a virtual interrupt");
  unmask(argument.port);
  return argument.port;
}

void hypervisor::send_event(event_port port) {
  event_send argument{.port = port};
  hypercall_with(machine.is_intel, hypercall_number::event_channel, argument);
}

void hypervisor::unmask(event_port port) {
  std::atomic_ref(shared().mask[port / 64 % 64]).fetch_and(~(std::uint64_t{1} << port % 64));
}

bool hypervisor::has_events() {
  // Xen sets it with the first event after the guest had cleared it.
  return std::atomic_ref(shared().vcpus[0].is_pending).load(std::memory_order_relaxed) != 0;
}

std::uint64_t hypervisor::take_events() {
  auto& info = shared().vcpus[0];
  std::atomic_ref(info.is_pending).store(0, std::memory_order_relaxed);
  // Before the words are taken, which is a barrier: what comes later sets it again. Which word has some, then the words.
  std::uint64_t events = 0;
  for (auto words = std::atomic_ref(info.pending_words).exchange(0); words != 0; words &= words - 1) {
    events |= std::atomic_ref(shared().pending[std::countr_zero(words)]).exchange(0);
  }
  return events;
}

std::uint64_t hypervisor::timer_event() {
  return timers_event;
}

void hypervisor::yield() {
  hypercall(machine.is_intel, hypercall_number::schedule, 0);  // SCHEDOP_yield
}

std::uint64_t hypervisor::time_ns() {
  // The counter's rate, and a moment at which both were known. Xen counts the version up before and after it
  // writes.
  auto const* const time = &shared().vcpus[0].time;
  for (;;) {
    std::atomic_ref version(const_cast<std::uint32_t&>(time->version));
    auto const before = version.load(std::memory_order_acquire);
    auto const since = processor::cycles() - *const_cast<std::uint64_t const volatile*>(&time->counter);
    auto const multiplier = *const_cast<std::uint32_t const volatile*>(&time->multiplier);
    auto const shift = *const_cast<std::int8_t const volatile*>(&time->shift);
    auto const base = *const_cast<std::uint64_t const volatile*>(&time->system_time_ns);
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((before & 1) != 0 || version.load(std::memory_order_relaxed) != before) continue;
    auto const scaled = shift < 0 ? since >> -shift : since << shift;
    return base + static_cast<std::uint64_t>(static_cast<unsigned __int128>(scaled) * multiplier >> 32);
  }
}

std::int64_t hypervisor::wall_base_ns() {
  auto& info = shared();
  for (;;) {
    std::atomic_ref version(info.wall_version);
    auto const before = version.load(std::memory_order_acquire);
    auto const seconds = std::uint64_t{*const_cast<std::uint32_t volatile*>(&info.wall_seconds_high)} << 32 |
                         *const_cast<std::uint32_t volatile*>(&info.wall_seconds);
    auto const ns = *const_cast<std::uint32_t volatile*>(&info.wall_ns);
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((before & 1) != 0 || version.load(std::memory_order_relaxed) != before) continue;
    return static_cast<std::int64_t>(seconds) * 1'000'000'000 + ns;
  }
}

[[gnu::noinline]] void hypervisor::set_timer(std::uint64_t deadline_ns) {
  single_shot_timer argument{.deadline_ns = deadline_ns, .flags = 0};
  hypercall(machine.is_intel, hypercall_number::vcpu, single_shot_timer::command, 0,
            reinterpret_cast<std::uint64_t>(&argument));
}

[[clang::minsize]] bool hypervisor::suspend() {
  shutdown argument{.why = shutdown::reason::suspend};
  // 1: called off, or only a copy was made.
  if (hypercall_with(machine.is_intel, hypercall_number::schedule, argument) != 0) return false;
  start();
  return true;
}

[[clang::minsize]] event_port hypervisor::port_of(hvm_parameter::name which) {
  hvm_parameter argument{.who = self, .which = which, .value = 0};
  hypercall_with(machine.is_intel, hypercall_number::hvm, argument, hvm_parameter::get);
  return static_cast<event_port>(argument.value);
}

void hypervisor::end(shutdown::reason why) {
  shutdown argument{.why = why};
  hypercall_with(machine.is_intel, hypercall_number::schedule, argument);
  for (;;) asm volatile("cli\n\thlt");
}

}  // namespace morgana::xen
