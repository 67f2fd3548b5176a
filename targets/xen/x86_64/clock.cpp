// Time. Under Xen it is Xen's. Else, monotonic: the processor's counter where something says its rate, else
// the timer's. Civil: the clock of the old PC, read once.
#include "hypervisor.hpp"
#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "processor.hpp"

namespace morgana::xen {
namespace {

constinit std::uint64_t boot_cycles = 0;
constinit std::uint64_t boot_time_ns = 0;  // Xen's
constinit instant last_read{};
/// Nanoseconds of a cycle, times 2^32; 0: unknown.
constinit std::uint64_t cycle_ns = 0;

/// CPUID leaf 0x15 (SDM), and 0x40000010 of hypervisors (in kHz). The counter must run at one rate always.
std::uint64_t counter_rate_hz() {
  using processor::identify;
  if (identify(0x8000'0000).a < 0x8000'0007 || (identify(0x8000'0007).d & 1u << 8) == 0) return 0;
  if (identify(0).a >= 0x15) {
    auto const ratio = identify(0x15);
    if (ratio.a != 0 && ratio.b != 0 && ratio.c != 0) return std::uint64_t{ratio.c} * ratio.b / ratio.a;
  }
  constexpr std::uint32_t has_hypervisor = 1u << 31;
  if ((identify(1).c & has_hypervisor) == 0 || identify(0x4000'0000).a < 0x4000'0010) return 0;
  return std::uint64_t{identify(0x4000'0010).a} * 1000;
}

std::uint8_t clock_register(std::uint8_t number) {
  processor::out8(0x70, number);
  return processor::in8(0x71);
}

/// Days since 1970 of a date of the Gregorian calendar.
constexpr std::int64_t days_since_1970(std::int64_t year, std::int64_t month, std::int64_t day) {
  year -= month <= 2;
  auto const era_year = year % 400;
  auto const year_day = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return year / 400 * 146'097 + era_year * 365 + era_year / 4 - era_year / 100 + year_day - 719'468;
}
static_assert(days_since_1970(1970, 1, 1) == 0 && days_since_1970(2000, 3, 1) == 11'017);

/// The MC146818's registers; 0 when what it says is no time.
std::int64_t read_clock_seconds() {
  constexpr std::uint8_t status_a = 10, status_b = 11;
  constexpr std::uint8_t places[] = {0, 2, 4, 7, 8, 9, 0x32};
  std::int64_t fields[7] = {};
  // While it counts on, its registers are not to be read: that takes 2 ms at most.
  for (int i = 0; (clock_register(status_a) & 0x80) != 0; ++i) {
    if (i == 100'000) return 0;
  }
  auto const mode = clock_register(status_b);
  for (std::size_t i = 0; i < 7; ++i) {
    auto const value = clock_register(places[i]);
    fields[i] = (mode & 4) != 0 ? value : (value >> 4) * 10 + (value & 15);
  }
  auto const [second, minute, hour, day, month, year, century] = fields;
  if (second > 59 || minute > 59 || hour > 23 || day < 1 || day > 31 || month < 1 || month > 12 || year > 99)
    return 0;
  auto const full_year = year + (century >= 19 && century <= 99 ? century * 100 : 2000);
  return ((days_since_1970(full_year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

constinit std::int64_t wall_at_boot_ns = 0;
constinit bool wall_is_read = false;

[[clang::minsize]] void read_wall_clock() {
  if (wall_is_read) return;
  wall_is_read = true;
  auto const seconds = read_clock_seconds();
  if (seconds > 0)
    wall_at_boot_ns = seconds * 1'000'000'000 - platform::monotonic_now().time_since_epoch().count();
}

}  // namespace

instant last_time() {
  return last_read;
}

std::uint64_t xen_deadline(std::int64_t deadline_ns) {
  return boot_time_ns + static_cast<std::uint64_t>(deadline_ns);
}

[[clang::minsize]] void continue_clock(std::int64_t since_boot_ns) {
  boot_time_ns = hypervisor::time_ns() - static_cast<std::uint64_t>(since_boot_ns);
}

void start_clock() {
  if (machine.is_xen) {
    boot_time_ns = hypervisor::time_ns();
    return;
  }
  timer::start();
  if (auto const rate = counter_rate_hz(); rate != 0) {
    boot_cycles = processor::cycles();
    cycle_ns = (std::uint64_t{1'000'000'000} << 32) / rate;
  }
}

}  // namespace morgana::xen

namespace morgana::platform {

instant monotonic_now() noexcept {
  using namespace xen;
  if (machine.is_xen) {
    return last_read = instant(duration(static_cast<std::int64_t>(hypervisor::time_ns() - boot_time_ns)));
  }
  if (cycle_ns == 0) return instant(duration(timer::now_ns()));
  auto const passed = processor::cycles() - boot_cycles;
  return instant(
      duration(static_cast<std::int64_t>(static_cast<unsigned __int128>(passed) * cycle_ns >> 32)));
}

wall_time wall_now() noexcept {
  if (xen::machine.is_xen) {
    auto const since = static_cast<std::int64_t>(xen::hypervisor::time_ns());
    return wall_time(duration(xen::hypervisor::wall_base_ns() + since));
  }
  xen::read_wall_clock();
  return wall_time(duration(xen::wall_at_boot_ns) + monotonic_now().time_since_epoch());
}

bool wall_clock_is_set() noexcept {
  if (xen::machine.is_xen) return xen::hypervisor::wall_base_ns() != 0;
  xen::read_wall_clock();
  return xen::wall_at_boot_ns != 0;
}

}  // namespace morgana::platform
