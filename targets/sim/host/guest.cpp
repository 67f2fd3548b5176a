#include "morgana/sim/guest.hpp"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fibers.hpp"
#include "libc_table.hpp"
#include "morgana/core/platform.hpp"
#include "signals.hpp"

extern "C" {
void morgana_sim_switch(void** leave, void* enter);
void morgana_sim_begin();
}

namespace morgana::sim {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t guard_bytes = 64 * 1024;
constexpr std::uint64_t heap_bytes_min = 64u << 10;
constexpr std::uint64_t heap_bytes_max = std::uint64_t{3} << 30;
constexpr std::size_t stack_bytes_min = 64u << 10, stack_bytes_max = 64u << 20;
/// Guests live at addresses of their own, one after the other, so that a run's addresses are the next run's,
/// too.
constexpr std::uintptr_t slots_begin = 0x2000'0000'0000;
constexpr std::uintptr_t slot_bytes = std::uintptr_t{4} << 30;
constexpr std::size_t slots_max = 4096;

constexpr std::size_t up(std::size_t bytes) {
  return (bytes + page - 1) & ~(page - 1);
}

/// Which of the addresses are taken.
std::vector<bool>& slots() {
  static std::vector<bool> all;
  return all;
}

std::string_view as_text(morgana_sim_text from) {
  return {from.data, from.size};
}

}  // namespace

// ---- what the image calls ------------------------------------------------------------------------------

struct guest::calls {
  static guest& of(void* self) { return *static_cast<guest*>(self); }
  static guest_services& services(void* self) { return *of(self).services_; }

  static void console_write(void* self, void const* bytes, std::size_t size) {
    services(self).console_write({static_cast<std::byte const*>(bytes), size});
  }
  static std::uint64_t console_dropped_bytes(void* self) { return services(self).console_dropped_bytes(); }
  static std::size_t console_read(void* self, void* into, std::size_t size) {
    return services(self).console_read({static_cast<std::byte*>(into), size});
  }
  static int console_input_ended(void* self) { return services(self).console_input_ended() ? 1 : 0; }

  static std::int64_t monotonic_now(void* self) { return (of(self).now_ - of(self).booted_).count(); }
  static std::int64_t wall_now(void* self) {
    return services(self).wall_now(instant(duration(monotonic_now(self)))).time_since_epoch().count();
  }
  static void wait_until(void* self, std::int64_t deadline) {
    auto& one = of(self);
    one.deadline_ = deadline == MORGANA_SIM_NEVER ? never : after(one.booted_, duration(deadline));
    one.leave();
  }

  static int stop_requested(void* self) { return of(self).stop_ ? 1 : 0; }
  static void power_off(void* self, int status) {
    of(self).finish(guest_ending::finished, status & 0xff);
    of(self).leave();
  }
  static void crash(void* self, int reason, morgana_sim_text message, morgana_sim_place const* place) {
    auto& one = of(self);
    one.crash_ = {.called = true, .reason = reason, .message = as_text(message), .at = {}};
    one.crash_.at.program_counter = place->program_counter;
    one.crash_.at.frame = place->frame;
    one.crash_.at.stack = place->stack;
    one.leave();
  }

  static void random(void* self, void* into, std::size_t size) {
    services(self).random({static_cast<std::byte*>(into), size});
  }
  static std::uint64_t resume_generation(void*) { return 0; }

  static int find_network(void* self, morgana_sim_text name, morgana_sim_network* about) {
    auto const number = services(self).find_network(as_text(name), *about);
    of(self).networks_ = std::max(of(self).networks_, number + 1);
    return number;
  }
  static int transmit(void* self, int network, morgana_sim_part const* parts, std::size_t count,
                      morgana_sim_frame_state const* state) {
    if (network < 0 || network >= of(self).networks_) return -1;
    return services(self).transmit(network, {parts, count}, *state);
  }
  static std::ptrdiff_t receive(void* self, int network, void* into, std::size_t size,
                                morgana_sim_frame_state* state) {
    if (network < 0 || network >= of(self).networks_) return -1;
    return services(self).receive(network, {static_cast<std::byte*>(into), size}, *state);
  }

  static int find_disk(void* self, morgana_sim_text name, morgana_sim_disk* about) {
    auto const number = services(self).find_disk(as_text(name), *about);
    of(self).disks_ = std::max(of(self).disks_, number + 1);
    return number;
  }
  static bool has_disk(void* self, int disk) { return disk >= 0 && disk < of(self).disks_; }
  static int disk_read(void* self, int disk, std::uint64_t sector, void* into, std::size_t size) {
    return has_disk(self, disk)
               ? services(self).disk_read(disk, sector, {static_cast<std::byte*>(into), size})
               : ENODEV;
  }
  static int disk_write(void* self, int disk, std::uint64_t sector, void const* from, std::size_t size) {
    return has_disk(self, disk)
               ? services(self).disk_write(disk, sector, {static_cast<std::byte const*>(from), size})
               : ENODEV;
  }
  static int disk_flush(void* self, int disk) {
    return has_disk(self, disk) ? services(self).disk_flush(disk) : ENODEV;
  }

  static int begin_recording(void* self, morgana_sim_text name) {
    auto const number = services(self).begin_recording(as_text(name));
    of(self).recordings_ = std::max(of(self).recordings_, number + 1);
    return number;
  }
  static bool has_recording(void* self, int recording) {
    return recording >= 0 && recording < of(self).recordings_;
  }
  static int append_recording(void* self, int recording, morgana_sim_part const* parts, std::size_t count) {
    return has_recording(self, recording) ? services(self).append_recording(recording, {parts, count})
                                          : ENODEV;
  }
  static void end_recording(void* self, int recording) {
    if (has_recording(self, recording)) services(self).end_recording(recording);
  }
};

// ---- loading -------------------------------------------------------------------------------------------

guest::guest(std::shared_ptr<image const> what, guest_services& services, guest_settings settings)
    : image_(std::move(what)), services_(&services), settings_(std::move(settings)) {}

std::expected<std::unique_ptr<guest>, std::string> guest::load(std::shared_ptr<image const> what,
                                                               guest_services& services,
                                                               guest_settings settings) {
  settings.memory_bytes &= ~std::uint64_t{page - 1};
  settings.stack_bytes = up(settings.stack_bytes);
  if (settings.memory_bytes < heap_bytes_min || settings.memory_bytes > heap_bytes_max) {
    return std::unexpected("a simulated host's memory must be from 64 KiB to 3 GiB; " +
                           std::to_string(settings.memory_bytes) + " bytes were asked for");
  }
  if (settings.stack_bytes < stack_bytes_min || settings.stack_bytes > stack_bytes_max) {
    return std::unexpected("a simulated host's stack must be from 64 KiB to 64 MiB; " +
                           std::to_string(settings.stack_bytes) + " bytes were asked for");
  }
  std::unique_ptr<guest> out(new guest(std::move(what), services, std::move(settings)));
  if (auto mapped = out->map(); !mapped) return std::unexpected(std::move(mapped.error()));
  return out;
}

std::expected<void, std::string> guest::map() {
  auto const& settings = settings_;
  auto const heap_bytes = static_cast<std::size_t>(settings.memory_bytes);
  region_bytes_ =
      image_->size() + image_->thread_local_size() + settings.stack_bytes + heap_bytes + 3 * guard_bytes;
  auto& taken = slots();
  slot_ = static_cast<std::size_t>(std::ranges::find(taken, false) - taken.begin());
  constexpr auto flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  auto* place = MAP_FAILED;
  if (slot_ < slots_max && region_bytes_ <= slot_bytes) {
    place = ::mmap(reinterpret_cast<void*>(slots_begin + slot_ * slot_bytes), region_bytes_, PROT_NONE,
                   flags | MAP_FIXED_NOREPLACE, -1, 0);
  }
  if (place == MAP_FAILED) place = ::mmap(nullptr, region_bytes_, PROT_NONE, flags, -1, 0);
  if (place == MAP_FAILED) {
    return std::unexpected(settings.name + ": no address space for another host: " + std::strerror(errno));
  }
  if (slot_ == taken.size()) taken.push_back(false);
  taken[slot_] = true;
  region_ = static_cast<std::byte*>(place);
  auto* const thread_local_block = region_ + image_->size();
  stack_ = thread_local_block + image_->thread_local_size() + guard_bytes;
  heap_ = stack_ + settings.stack_bytes + guard_bytes;
  auto const open = [](std::byte* from, std::size_t bytes) {
    return bytes == 0 || ::mprotect(from, bytes, PROT_READ | PROT_WRITE) == 0;
  };
  if (!open(thread_local_block, image_->thread_local_size()) || !open(stack_, settings.stack_bytes) ||
      !open(heap_, heap_bytes)) {
    return std::unexpected(settings.name + ": no memory for another host: " + std::strerror(errno));
  }
  if (auto mapped = image_->map_at(region_, thread_local_block); !mapped) return mapped;

  for (auto const& one : settings_.arguments) arguments_.push_back({.data = one.data(), .size = one.size()});
  auto const table = libc_table();
  platform_ = {.self = this,
               .libc = table.data(),
               .libc_count = table.size(),
               .console_write = calls::console_write,
               .console_dropped_bytes = calls::console_dropped_bytes,
               .console_read = calls::console_read,
               .console_input_ended = calls::console_input_ended,
               .monotonic_now = calls::monotonic_now,
               .wall_now = calls::wall_now,
               .wait_until = calls::wait_until,
               .name = {.data = settings_.name.data(), .size = settings_.name.size()},
               .arguments = arguments_.data(),
               .argument_count = arguments_.size(),
               .stop_requested = calls::stop_requested,
               .power_off = calls::power_off,
               .crash = calls::crash,
               .heap = heap_,
               .heap_bytes = heap_bytes,
               .usage = &usage_,
               .random = calls::random,
               .boot_secret = {},
               .resume_generation = calls::resume_generation,
               .find_network = calls::find_network,
               .transmit = calls::transmit,
               .receive = calls::receive,
               .find_disk = calls::find_disk,
               .disk_read = calls::disk_read,
               .disk_write = calls::disk_write,
               .disk_flush = calls::disk_flush,
               .begin_recording = calls::begin_recording,
               .append_recording = calls::append_recording,
               .end_recording = calls::end_recording};
  std::memcpy(platform_.boot_secret, settings_.boot_secret.data(), sizeof platform_.boot_secret);

  // As morgana_sim_switch leaves a stack: floating-point control as it is now, r15 to rbx, rbp, and where to
  // go.
  auto* top = reinterpret_cast<std::uint64_t*>(stack_ + settings_.stack_bytes) - 2;
  *--top = reinterpret_cast<std::uint64_t>(&morgana_sim_begin);
  *--top = 0;                                                   // rbp
  *--top = 0;                                                   // rbx
  *--top = reinterpret_cast<std::uint64_t>(&guest::begin);      // r12
  *--top = reinterpret_cast<std::uint64_t>(this);               // r13
  *--top = 0;                                                   // r14
  *--top = 0;                                                   // r15
  constexpr std::uint64_t mxcsr = 0x1f80, x87_control = 0x37f;  // the psABI's initial values
  *--top = mxcsr | x87_control << 32;
  own_stack_ = top;
  signals_ = std::make_unique<guest_signals>();
  return {};
}

guest::~guest() {
  if (region_ == nullptr) return;
  if (stack_ != nullptr) fibers::forget(stack_, settings_.stack_bytes);
  ::munmap(region_, region_bytes_);
  slots()[slot_] = false;
}

// ---- running -------------------------------------------------------------------------------------------

void guest::begin(void* self) {
  auto& one = *static_cast<guest*>(self);
  fibers::arrive(nullptr, &one.host_stack_begin_, &one.host_stack_bytes_);
  auto const entry = reinterpret_cast<int (*)(morgana_sim_platform const*, std::uint32_t)>(
      one.region_ + one.image_->entry());
  [[maybe_unused]] auto const speaks = entry(&one.platform_, MORGANA_SIM_PLATFORM_VERSION);
  one.crash_ = {.called = true,
                .reason = static_cast<int>(platform::crash_reason::platform),
                .message = "the image was built for another version of the simulator; build it again",
                .at = {}};
  one.leave();
}

void guest::leave() {
  fibers::leave(&own_fake_stack_, host_stack_begin_, host_stack_bytes_);
  morgana_sim_switch(&own_stack_, host_stack_);
  fibers::arrive(own_fake_stack_, &host_stack_begin_, &host_stack_bytes_);
}

void guest::run(instant now) {
  if (ended_) return;
  if (!has_booted_) {
    has_booted_ = true;
    booted_ = now_ = now;
  }
  if (now > now_) {
    now_ = now;
    turns_ = 0;
  } else if (++turns_ > settings_.turns_max) {
    report("hung", "it ran " + std::to_string(settings_.turns_max) + " times without time passing", {},
           guest_ending::hung, 70);
    return;
  }
  void* fake_stack = nullptr;
  guest_signals::enter(*this);
  fibers::leave(&fake_stack, stack_, settings_.stack_bytes);
  morgana_sim_switch(&host_stack_, own_stack_);
  fibers::arrive(fake_stack, nullptr, nullptr);
  guest_signals::leave();
  if (interrupted_.signal != 0) {
    end_interrupted();
  } else if (crash_.called) {
    end_crashed(crash_.reason, crash_.message, crash_.at);
  }
}

void guest::finish(guest_ending how, int status) {
  ended_ = true;
  deadline_ = never;
  end_.how = how;
  end_.status = status;
}

bool guest::is_code(std::uintptr_t address) const {
  auto const base = reinterpret_cast<std::uintptr_t>(region_);
  return address >= base && image_->is_code(address - base);
}

namespace {

std::uint64_t resident_bytes(std::byte* from, std::size_t bytes) {
  std::vector<unsigned char> pages(bytes / page);
  if (::mincore(from, bytes, pages.data()) != 0) return 0;
  return static_cast<std::uint64_t>(std::ranges::count_if(pages, [](auto one) { return (one & 1) != 0; })) *
         page;
}

}  // namespace

guest::memory_use guest::memory() const {
  return {.heap_bytes = usage_.used_bytes,
          .heap_bytes_max = usage_.peak_bytes,
          .private_bytes = image_->writable_bytes() + image_->thread_local_size() +
                           resident_bytes(stack_, settings_.stack_bytes) +
                           resident_bytes(heap_, static_cast<std::size_t>(settings_.memory_bytes))};
}

}  // namespace morgana::sim
