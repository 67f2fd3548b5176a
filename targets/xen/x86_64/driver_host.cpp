// What drivers need, made of hypercalls.
#include "../common/driver_host.hpp"

#include <bit>
#include <cstring>
#include <new>

#include "hypercall.hpp"
#include "hypervisor.hpp"
#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "page_tables.hpp"

#pragma GCC visibility push(hidden)
extern "C" {
extern char const morgana_image_begin[], morgana_image_end[];
}
#pragma GCC visibility pop

namespace morgana::xen {
namespace {

/// Xen puts the table's pages in place of these. As many as the grants that all drivers together may need.
constexpr std::size_t grant_pages = 4;
alignas(page_bytes) constinit grant_entry grant_pages_of_image[grant_pages * page_bytes / sizeof(grant_entry)] = {};

/// For rings. Never used by this address: boot.cpp maps each between pages that are not mapped.
constexpr std::size_t guarded_count = 8;
[[gnu::section(".bss.guarded")]] alignas(page_bytes) constinit std::byte guarded_of_image[guarded_count * page_bytes] =
    {};

class guest_host final : public driver_host {
 public:
  guest_host() : driver_host(xen_control::link()) {
    map_grants();
    grants.start(grant_pages_of_image);
  }

  void map_grants() {
    auto const* const first = reinterpret_cast<std::byte const*>(grant_pages_of_image);
    for (std::size_t i = 0; i < grant_pages; ++i) {
      add_to_physical_map place{.who = self,
                                .size = 0,
                                .from = add_to_physical_map::space::grant_table,
                                .index = i,
                                .frame = frame_of(first + i * page_bytes)};
      if (hypercall_with(machine.is_intel, hypercall_number::memory, place) != 0) {
        platform::crash(platform::crash_reason::platform, "Xen does not give its grant table");
      }
    }
  }

  [[nodiscard]] result<event_port> open_port(domain other) override {
    event_allocate_unbound argument{.who = self, .other = other, .port = 0};
    auto const done = hypercall_with(machine.is_intel, hypercall_number::event_channel, argument);
    if (done != 0) return failure(driver_error::no_port, -done);
    hypervisor::unmask(argument.port);
    return argument.port;
  }
  void close_port(event_port port) override {
    event_close argument{.port = port};
    hypercall_with(machine.is_intel, hypercall_number::event_channel, argument);
  }
  void send_event(event_port port) override { hypervisor::send_event(port); }

  [[nodiscard]] std::span<std::byte> take_pages(std::size_t count) override { return take_page_memory(count); }
  [[nodiscard]] std::span<std::byte> take_guarded() override {
    if (guarded_free_ == 0) return {};
    auto const which = static_cast<unsigned>(std::countr_zero(guarded_free_));
    guarded_free_ &= guarded_free_ - 1;
    return {reinterpret_cast<std::byte*>(machine.guarded.begin + which * 2 * page_bytes), page_bytes};
  }
  [[nodiscard]] bool give_guarded(std::byte* page) override {
    auto const which = guarded_place(reinterpret_cast<std::uint64_t>(page));
    if (which >= guarded_count) return false;
    std::memset(page, 0, page_bytes);
    guarded_free_ |= 1u << which;
    return true;
  }

  [[nodiscard]] std::uint32_t frame_of(void const* page) const override {
    auto const address = reinterpret_cast<std::uint64_t>(page);
    if (auto const which = guarded_place(address); which < guarded_count) {
      auto const first = reinterpret_cast<std::uint64_t>(guarded_of_image) - machine.slide;
      return static_cast<std::uint32_t>(first / page_bytes + which);
    }
    auto const in_image = address >= reinterpret_cast<std::uint64_t>(morgana_image_begin) &&
                          address < reinterpret_cast<std::uint64_t>(morgana_image_end);
    return static_cast<std::uint32_t>((address - (in_image ? machine.slide : machine.heap_offset)) / page_bytes);
  }

 private:
  [[nodiscard]] static std::uint64_t guarded_place(std::uint64_t address) {
    return (address - machine.guarded.begin) / (2 * page_bytes);
  }
  std::uint32_t guarded_free_ = (1u << guarded_count) - 1;
};

alignas(guest_host) constinit std::byte memory[sizeof(guest_host)] = {};
constinit guest_host* the_host = nullptr;

void tell_drivers() {
  the_host->events_came();
}

bool suspend_drivers(hypervisor::suspend_step what) {
  if (what == hypervisor::suspend_step::quiesce) return the_host->quiesce();
  auto const elsewhere = what == hypervisor::suspend_step::elsewhere;
  if (elsewhere) the_host->map_grants();
  the_host->resumed(elsewhere ? resumption::elsewhere : resumption::cancelled);
  return true;
}

}  // namespace

driver_host* driver_host::of_guest() {
  if (the_host == nullptr && machine.is_xen) {
    // For ever: nothing takes it down.
    the_host = new (memory) guest_host();
    hypervisor::on_events = tell_drivers;
    hypervisor::on_suspend = suspend_drivers;
  }
  return the_host;
}

}  // namespace morgana::xen
