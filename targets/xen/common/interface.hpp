// The part of Xen's interface that guests of ours use: numbers and layouts, the same for 32 and 64 bits but
// where a word is named. Each group says which of Xen's public headers (xen/include/public) has it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace morgana::xen {

using domain = std::uint16_t;
inline constexpr domain self = 0x7ff0;  // DOMID_SELF, xen.h
using event_port = std::uint32_t;

/// xen.h: the numbers of hypercalls.
enum class hypercall_number : std::uint32_t {
  memory = 12,
  console = 18,
  grant_table = 20,
  vcpu = 24,
  schedule = 29,
  event_channel = 32,
  hvm = 34
};

/// event_channel.h
struct bind_virtual_interrupt {
  static constexpr std::uint32_t command = 1;
  std::uint32_t interrupt, vcpu;
  event_port port;  ///< filled in
};
inline constexpr std::uint32_t timer_interrupt = 0, console_interrupt = 2;  // VIRQ_TIMER, VIRQ_CONSOLE, xen.h
struct event_close {
  static constexpr std::uint32_t command = 3;
  event_port port;
};
struct event_send {
  static constexpr std::uint32_t command = 4;
  event_port port;
};
/// A port that the domain `other` may bind to.
struct event_allocate_unbound {
  static constexpr std::uint32_t command = 6;
  domain who, other;
  event_port port;  ///< filled in
};

/// sched.h
struct shutdown {
  static constexpr std::uint32_t command = 2;
  enum class reason : std::uint32_t { power_off = 0, reboot = 1, suspend = 2, crash = 3 } why;
};

/// memory.h
struct add_to_physical_map {
  static constexpr std::uint32_t command = 7;
  enum class space : std::uint32_t { shared_info = 0, grant_table = 1 };
  domain who;
  std::uint16_t size;
  space from;
  std::uintptr_t index, frame;
};

/// memory.h: the memory of a guest whose loader gave no map of it.
struct memory_map_query {
  static constexpr std::uint32_t command = 9;
  std::uint32_t entry_count;  ///< room, then what is there
  void* entries;              ///< of 20 bytes: address, size, and 32 bits of kind, 1 for memory
};

/// xen.h: of the console, which belongs to the initial domain.
enum class console_operation : std::uint32_t { write = 0, read = 1 };

/// vcpu.h: in nanoseconds of Xen's time.
struct single_shot_timer {
  static constexpr std::uint32_t command = 8;
  std::uint64_t deadline_ns;
  std::uint32_t flags;
};

/// hvm/params.h
struct hvm_parameter {
  static constexpr std::uint32_t set = 0, get = 1;
  enum class name : std::uint32_t {
    callback = 0,
    store_frame = 1,
    store_port = 2,
    console_frame = 17,
    console_port = 18
  };
  domain who;
  name which;
  std::uint64_t value;
};
/// Events interrupt by this vector, without a controller.
inline constexpr std::uint64_t callback_by_vector = std::uint64_t{2} << 56;

/// xen.h: how Xen's time is computed from the processor's counter.
struct time_info {
  std::uint32_t version, reserved;
  std::uint64_t counter, system_time_ns;
  std::uint32_t multiplier;
  std::int8_t shift;
  std::uint8_t flags, reserved2[2];
};
static_assert(sizeof(time_info) == 32);

/// xen.h, as it is on x86-64.
struct vcpu_info {
  std::uint8_t is_pending, reserved[7];
  std::uint64_t pending_words;
  std::uint64_t architecture[2];
  time_info time;
};
static_assert(sizeof(vcpu_info) == 64);

struct shared_info {
  vcpu_info vcpus[32];
  std::uint64_t pending[64];
  std::uint64_t mask[64];
  std::uint32_t wall_version, wall_seconds, wall_ns, wall_seconds_high;
};
static_assert(offsetof(shared_info, pending) == 2048 && offsetof(shared_info, wall_version) == 3072);

/// grant_table.h, version 1: a page of ours that another domain may use.
using grant_reference = std::uint32_t;
struct grant_entry {
  std::uint16_t flags;
  domain who;
  std::uint32_t frame;
};
static_assert(sizeof(grant_entry) == 8);
inline constexpr std::uint16_t grant_permits = 1;
inline constexpr std::uint16_t grant_is_read_only = 1 << 2;
/// Set by Xen while the other domain has it mapped.
inline constexpr std::uint16_t grant_is_read = 1 << 3, grant_is_written = 1 << 4;
/// References below are Xen's tools' own (the console, xenstore).
inline constexpr grant_reference grant_references_reserved = 8;

/// A page of a grant, a ring and a hypercall's frame number: this large whatever the processor's are.
inline constexpr std::size_t grant_page_bytes = 4096;

/// io/xenbus.h: how far a frontend or a backend is, in its `state` in xenstore.
enum class device_state : std::uint8_t {
  unknown = 0,
  initialising = 1,
  initialisation_wait = 2,
  initialised = 3,
  connected = 4,
  closing = 5,
  closed = 6,
  reconfiguring = 7,
  reconfigured = 8,
};

/// io/console.h
struct console_page {
  std::byte input[1024], output[2048];
  std::uint32_t input_taken, input_put, output_taken, output_put;
};

/// io/xs_wire.h
struct store_page {
  std::byte requests[1024], replies[1024];
  std::uint32_t requests_taken, requests_put, replies_taken, replies_put;
  std::uint32_t features, connection, error;
};

}  // namespace morgana::xen
