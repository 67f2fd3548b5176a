// A guest: a private copy of an image with a heap and a stack of its own, run by whoever simulates its world.
//
//   auto image = sim::image::open("website.sim.so");
//   auto one = sim::guest::load(*image, services, {.name = "one", .boot_secret = ...});
//   while (!one->has_ended()) {
//     one->run(now);                              // until it waits
//     now = std::max(now, one->next_deadline());
//   }
//
// run() switches to the guest's stack; its wait_until, power_off and crash switch back. Destroying a guest is
// pulling its plug: nothing of it runs any more, its memory is gone. What a guest does is a function of what
// its services give it and of the times it is run at; its addresses are the same in every process, where they
// are free.
//
// What it costs: the pages it touches, some 100 KiB for a small one, and a few microseconds to load. A guest
// that faults ends as crashed and leaves the others alone; one that computes for `busy_limit` of processor
// time without waiting, or runs `turns_max` times without time passing, is ended as hung. Faults and busy
// guests are found by handlers of SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGVTALRM, which are this class's while
// there are guests. All guests of a process belong to one thread.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/core/time.hpp"
#include "morgana/sim/image.hpp"
#include "morgana/sim/platform.h"

namespace morgana::sim {

class guest_signals;

/// What a guest asks of the world around it. Called from within run(), on the guest's stack: nothing may be
/// thrown, and a call takes little stack.
class guest_services {
 public:
  virtual ~guest_services() = default;
  virtual void console_write(std::span<std::byte const> bytes) = 0;
  [[nodiscard]] virtual std::uint64_t console_dropped_bytes() { return 0; }
  [[nodiscard]] virtual std::size_t console_read(std::span<std::byte>) { return 0; }
  [[nodiscard]] virtual bool console_input_ended() { return true; }
  [[nodiscard]] virtual wall_time wall_now(instant since_boot) = 0;
  virtual void random(std::span<std::byte> into) = 0;

  /// Networks, disks: see morgana_sim_platform. Checked here: the number is one that find_ gave.
  [[nodiscard]] virtual int find_network(std::string_view, morgana_sim_network&) { return -1; }
  [[nodiscard]] virtual int transmit(int, std::span<morgana_sim_part const>, morgana_sim_frame_state const&) {
    return -1;
  }
  [[nodiscard]] virtual std::ptrdiff_t receive(int, std::span<std::byte>, morgana_sim_frame_state&) {
    return -1;
  }
  [[nodiscard]] virtual int find_disk(std::string_view, morgana_sim_disk&) { return -1; }
  [[nodiscard]] virtual int disk_read(int, std::uint64_t, std::span<std::byte>) { return -1; }
  [[nodiscard]] virtual int disk_write(int, std::uint64_t, std::span<std::byte const>) { return -1; }
  [[nodiscard]] virtual int disk_flush(int) { return 0; }

  /// Recordings: a number that is free, or a negative errno; what was appended is there at once.
  [[nodiscard]] virtual int begin_recording(std::string_view) { return -ENODEV; }
  [[nodiscard]] virtual int append_recording(int, std::span<morgana_sim_part const>) { return ENODEV; }
  virtual void end_recording(int) {}
};

struct guest_settings {
  std::string name = "guest";
  std::vector<std::string> arguments = {};  ///< boot options, "--port=80"
  std::uint64_t memory_bytes = 64u << 20;   ///< of heap; at least 64 KiB, at most 3 GiB
  std::size_t stack_bytes = 256u << 10;
  std::array<std::byte, 32> boot_secret = {};
  duration busy_limit = 10s;  ///< of processor time; real, so only guests that hang reach it
  std::uint64_t turns_max = 1'000'000;
  std::string replay = {};  ///< how to see this again ("seed 7"); stands in crash reports
};

enum class guest_ending : std::uint8_t {
  finished,  ///< power_off; `status` is its own
  crashed,
  out_of_memory,
  hung,  ///< it did not wait, or waited for nothing without end
};

struct guest_end {
  guest_ending how = guest_ending::finished;
  int status = 0;           ///< docs/exit-codes.md; of a hung guest that of a crash
  std::string report = {};  ///< a crash report; it is on the console, too
};

class guest {
 public:
  /// Loads a copy; nothing of it has run yet. `services` outlives it. Errors, in words: no memory or address
  /// space, settings out of range, an image that is broken.
  [[nodiscard]] static std::expected<std::unique_ptr<guest>, std::string> load(
      std::shared_ptr<image const> what, guest_services& services, guest_settings settings);
  ~guest();
  guest(guest const&) = delete;
  guest& operator=(guest const&) = delete;

  /// Runs until it waits or ends. The first call boots it: `now` is then its time zero. Time never goes back
  /// for it. Nothing once it has ended.
  void run(instant now);
  /// When it wants to run again if nothing happens before; `never` when it waits for events only.
  [[nodiscard]] instant next_deadline() const { return deadline_; }
  /// The next run(): platform::stop_requested().
  void request_stop() { stop_ = true; }

  [[nodiscard]] bool has_ended() const { return ended_; }
  [[nodiscard]] guest_end const& end() const { return end_; }
  [[nodiscard]] std::string const& name() const { return settings_.name; }

  struct memory_use {
    std::uint64_t heap_bytes = 0, heap_bytes_max = 0;  ///< as its allocator counts
    std::uint64_t private_bytes = 0;                   ///< pages that are this guest's own, all told
  };
  [[nodiscard]] memory_use memory() const;

  /// A fault's or a busy guest's registers, put aside by a signal handler. For the handlers only.
  struct interruption {
    int signal = 0;
    std::uintptr_t program_counter = 0, stack = 0, frame = 0, address = 0;
    bool has_address = false;
  };

 private:
  friend class guest_signals;
  struct calls;  ///< the functions of morgana_sim_platform

  guest(std::shared_ptr<image const> what, guest_services& services, guest_settings settings);
  [[nodiscard]] std::expected<void, std::string> map();
  static void begin(void* self);
  void leave();  ///< to run()
  void finish(guest_ending how, int status);
  void end_interrupted();
  void end_crashed(int reason, std::string_view message, interruption const& at);
  void report(std::string_view reason, std::string_view message, interruption const& at, guest_ending how,
              int status);
  [[nodiscard]] std::string call_chain(interruption const& at) const;
  [[nodiscard]] bool is_code(std::uintptr_t address) const;
  void say(std::string_view text);

  std::unique_ptr<guest_signals> signals_;
  std::shared_ptr<image const> image_;
  guest_services* services_;
  guest_settings settings_;

  // One reservation of address space: image, thread-local variables, guard, stack, guard, heap.
  std::byte* region_ = nullptr;
  std::size_t region_bytes_ = 0;
  std::byte* stack_ = nullptr;
  std::byte* heap_ = nullptr;
  std::size_t slot_ = 0;

  morgana_sim_platform platform_{};
  morgana_sim_usage usage_{};
  std::vector<morgana_sim_text> arguments_;
  int networks_ = 0, disks_ = 0, recordings_ = 0;  ///< one more than the largest number given out

  void* own_stack_ = nullptr;   ///< where it is while it waits
  void* host_stack_ = nullptr;  ///< where run() is while it runs
  instant booted_{}, now_{};
  instant deadline_ = instant();
  std::uint64_t turns_ = 0;
  bool has_booted_ = false, stop_ = false, ended_ = false;
  interruption interrupted_;  ///< signal != 0: it was taken off the processor
  struct {
    bool called = false;
    int reason = 0;
    std::string_view message;  ///< in the guest's memory
    interruption at;
  } crash_;
  guest_end end_;
  // AddressSanitizer's view of the two stacks.
  void* own_fake_stack_ = nullptr;
  void const* host_stack_begin_ = nullptr;
  std::size_t host_stack_bytes_ = 0;
};

}  // namespace morgana::sim
