/* The border between a simulated host (a NAME.sim.so) and the simulator: one function in, one table of functions
 * out. Everything else in the image is hidden, and it needs nothing else of the process it is loaded into.
 *
 *   int morgana_sim_entry(struct morgana_sim_platform const*, uint32_t version);
 *
 * The simulator loads a private copy of the image and calls the entry on a stack of the host's own. It returns only
 * when it does not speak `version`, with the version it speaks; otherwise the host ends in power_off or crash.
 * `wait_until` is where other hosts run. Every function gets `self` first. Times are nanoseconds of monotonic time
 * since this host's boot unless said otherwise. One host, one thread: no function is called while another runs. */
#ifndef MORGANA_SIM_PLATFORM_H
#define MORGANA_SIM_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this header: changed whenever a structure in it is. */
#define MORGANA_SIM_PLATFORM_VERSION 2u

/** The deadline that never comes. */
#define MORGANA_SIM_NEVER INT64_MAX

struct morgana_sim_text {
  char const* data;
  size_t size;
};

struct morgana_sim_part {
  void const* data;
  size_t size;
};

/** What travels beside a frame's bytes: the fields of morgana::net::segment of the same names. */
struct morgana_sim_frame_state {
  uint16_t gso_size; /**< 0: not a super-packet */
  uint8_t gso_kind;  /**< net::segmentation */
  uint8_t checksum;  /**< net::checksum_state */
  uint16_t checksum_start;
  uint16_t checksum_offset;
};

struct morgana_sim_network {
  uint32_t mtu_bytes;
  uint8_t address[6];
  uint8_t has_offloads; /**< completes and says checksums, cuts TCP super-packets */
  uint8_t reserved;
};

struct morgana_sim_disk {
  uint64_t sectors;
  uint32_t sector_bytes;
  uint32_t read_only;
};

/** What the host says of its heap; the simulator only reads it. */
struct morgana_sim_usage {
  uint64_t used_bytes;
  uint64_t peak_bytes;
};

/** Where a crash was called from. */
struct morgana_sim_place {
  uintptr_t program_counter; /**< a return address */
  uintptr_t frame;
  uintptr_t stack;
};

struct morgana_sim_platform {
  void* self;

  /** Functions of the C library that compute and touch nothing but their arguments, in the order of
   * libc_functions.inc. */
  void const* const* libc;
  size_t libc_count;

  /* ---- console */
  void (*console_write)(void* self, void const* bytes, size_t size);
  uint64_t (*console_dropped_bytes)(void* self);
  size_t (*console_read)(void* self, void* into, size_t size);
  int (*console_input_ended)(void* self);

  /* ---- time */
  int64_t (*monotonic_now)(void* self);
  int64_t (*wall_now)(void* self); /**< since 1970-01-01 */
  void (*wait_until)(void* self, int64_t deadline);

  /* ---- boot and end */
  struct morgana_sim_text name;
  struct morgana_sim_text const* arguments;
  size_t argument_count;
  int (*stop_requested)(void* self);
  void (*power_off)(void* self, int status);                                    /**< does not return */
  void (*crash)(void* self, int reason, struct morgana_sim_text message, struct morgana_sim_place const* place);

  /* ---- memory: zeroes, all of it the host's to use */
  void* heap;
  size_t heap_bytes;
  struct morgana_sim_usage* usage;

  /* ---- randomness: the same for the same seed */
  void (*random)(void* self, void* into, size_t size);
  uint8_t boot_secret[32];
  uint64_t (*resume_generation)(void* self);

  /* ---- networks: -1 when there is none of that name */
  int (*find_network)(void* self, struct morgana_sim_text name, struct morgana_sim_network* about);
  /** 1 taken, 0 no room now, -1 the other side is gone. */
  int (*transmit)(void* self, int network, struct morgana_sim_part const* parts, size_t count,
                  struct morgana_sim_frame_state const* state);
  /** The size of the next frame, of which what fits was stored; 0 none now, -1 the other side is gone. */
  ptrdiff_t (*receive)(void* self, int network, void* into, size_t size, struct morgana_sim_frame_state* state);

  /* ---- disks: -1 when there is none of that name; transfers give 0 or an errno. Checked by the caller. */
  int (*find_disk)(void* self, struct morgana_sim_text name, struct morgana_sim_disk* about);
  int (*disk_read)(void* self, int disk, uint64_t sector, void* into, size_t size);
  int (*disk_write)(void* self, int disk, uint64_t sector, void const* from, size_t size);
  int (*disk_flush)(void* self, int disk);

  /* ---- recordings: files that are written from front to back */
  /** A number, or a negative errno. */
  int (*begin_recording)(void* self, struct morgana_sim_text name);
  /** 0 or an errno. */
  int (*append_recording)(void* self, int recording, struct morgana_sim_part const* parts, size_t count);
  void (*end_recording)(void* self, int recording);
};

#ifdef __cplusplus
}
#endif

#endif
