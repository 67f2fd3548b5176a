// morgana/core/platform.hpp over the simulator's functions.
#include "morgana/core/platform.hpp"

#include <array>

#include "host.hpp"

namespace morgana::sim {

constinit morgana_sim_platform const* simulator = nullptr;

namespace {

constinit pollable* devices = nullptr;

std::size_t sample(std::span<std::byte> into) noexcept {
  simulator->random(simulator->self, into.data(), into.size());
  return into.size();
}

constexpr platform::entropy_source_descriptor sources[] = {
    {.name = "simulator",
     .kind = platform::entropy_kind::os_generator,
     .millibits_per_byte = 8000,
     .sample = sample},
};

/// platform.hpp promises arguments that live for ever, as string views.
struct argument_list {
  std::string_view* texts = nullptr;
  bool is_read = false;
};
constinit argument_list boot_arguments;

}  // namespace

pollable::pollable() : next_(devices) {
  if (devices != nullptr) devices->previous_ = this;
  devices = this;
}

pollable::~pollable() {
  if (next_ != nullptr) next_->previous_ = previous_;
  (previous_ == nullptr ? devices : previous_->next_) = next_;
}

void pollable::deliver_all() {
  for (auto* one = devices; one != nullptr; one = one->next_) one->deliver();
}

}  // namespace morgana::sim

namespace morgana::platform {

using sim::simulator;

void console_write(std::span<std::byte const> bytes) noexcept {
  simulator->console_write(simulator->self, bytes.data(), bytes.size());
}

std::uint64_t console_dropped_bytes() noexcept {
  return simulator->console_dropped_bytes(simulator->self);
}

std::size_t console_read(std::span<std::byte> into) noexcept {
  return into.empty() ? 0 : simulator->console_read(simulator->self, into.data(), into.size());
}

bool console_input_ended() noexcept {
  return simulator->console_input_ended(simulator->self) != 0;
}

instant monotonic_now() noexcept {
  return instant(duration(simulator->monotonic_now(simulator->self)));
}

wall_time wall_now() noexcept {
  return wall_time(duration(simulator->wall_now(simulator->self)));
}

bool wall_clock_is_set() noexcept {
  return true;
}

void wait_until(instant deadline) noexcept {
  simulator->wait_until(simulator->self, deadline.time_since_epoch().count());
  sim::pollable::deliver_all();
}

std::span<std::string_view const> arguments() noexcept {
  auto& list = sim::boot_arguments;
  if (!list.is_read) {
    list.is_read = true;
    list.texts = new std::string_view[simulator->argument_count];
    for (std::size_t i = 0; i < simulator->argument_count; ++i) {
      list.texts[i] = {simulator->arguments[i].data, simulator->arguments[i].size};
    }
  }
  return {list.texts, simulator->argument_count};
}

bool stop_requested() noexcept {
  return simulator->stop_requested(simulator->self) != 0;
}

void power_off(int status) noexcept {
  simulator->power_off(simulator->self, status);
  __builtin_unreachable();
}

[[gnu::noinline]] void crash(crash_reason reason, std::string_view message) noexcept {
  auto const frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  morgana_sim_place const place{
      .program_counter = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)),
      .frame = frame,
      .stack = frame};
  simulator->crash(simulator->self, static_cast<int>(reason), sim::text(message), &place);
  __builtin_unreachable();
}

memory_usage memory() noexcept {
  return {.limit_bytes = sim::heap_limit_bytes(),
          .used_bytes = simulator->usage->used_bytes,
          .peak_bytes = simulator->usage->peak_bytes};
}

std::span<entropy_source_descriptor const> entropy_sources() noexcept {
  return sim::sources;
}

std::span<std::byte const, 32> boot_secret() noexcept {
  return std::as_bytes(std::span(simulator->boot_secret));
}

std::uint64_t resume_generation() noexcept {
  return simulator->resume_generation(simulator->self);
}

}  // namespace morgana::platform
