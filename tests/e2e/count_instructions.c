/* A plugin of QEMU's emulator (its docs/devel/tcg-plugins.rst): counts the instructions that run from an
 * address on, and with low and high only those that lie there: of one guest of Xen, at its fixed layout.
 * -plugin count_instructions.so,from=0x102000,out=FILE[,low=0x8000000000,high=0x8000200000][,live=FILE][,each=FILE]
 * In the file `live` the count stands as eight bytes while the machine runs; in `each` one such number for every
 * address from low to high (tests/bench/xen/profile.py makes functions of them). Debian has no header for plugins: what is
 * used of it is declared here. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct block;
struct instruction;
size_t qemu_plugin_tb_n_insns(struct block const* block);
struct instruction* qemu_plugin_tb_get_insn(struct block const* block, size_t index);
uint64_t qemu_plugin_insn_vaddr(struct instruction const* instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin, void (*call)(uint64_t, struct block*));
void qemu_plugin_register_vcpu_insn_exec_cb(struct instruction* what, void (*call)(unsigned, void*),
                                            int flags, void* context);
void qemu_plugin_register_vcpu_insn_exec_inline(struct instruction* what, int operation, void* counter,
                                                uint64_t by);
void qemu_plugin_register_atexit_cb(uint64_t plugin, void (*call)(uint64_t, void*), void* context);

#define VISIBLE __attribute__((visibility("default")))
VISIBLE int qemu_plugin_version = 1;

static uint64_t executed_here, executed_before, from, low, high = UINT64_MAX;
static uint64_t* executed = &executed_here;
static uint64_t* each;
/* Start-up of a guest runs where it was loaded, below what Linux gives its programs. */
static uint64_t const loaded_low = 0x100000, loaded_high = 0x400000;
static char out[4096];

static void begin(unsigned cpu, void* context) {
  (void)cpu, (void)context;
  if (executed_before == 0) executed_before = *executed;
}

static void translated(uint64_t plugin, struct block* block) {
  (void)plugin;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    struct instruction* const one = qemu_plugin_tb_get_insn(block, i);
    uint64_t const address = qemu_plugin_insn_vaddr(one);
    if (address == from) qemu_plugin_register_vcpu_insn_exec_cb(one, begin, 0, NULL);
    if ((address < low || address >= high) && (low == 0 || address < loaded_low || address >= loaded_high))
      continue;
    qemu_plugin_register_vcpu_insn_exec_inline(one, 0, executed, 1);
    if (each == NULL) continue;
    uint64_t const begin = address < low ? loaded_low : low;
    qemu_plugin_register_vcpu_insn_exec_inline(one, 0, each + (address - begin), 1);
  }
}

static void end(uint64_t plugin, void* context) {
  (void)plugin, (void)context;
  FILE* const file = fopen(out, "w");
  if (file == NULL) return;
  fprintf(file, "%" PRIu64 "\n", *executed - executed_before);
  fclose(file);
}

static uint64_t* shared_file(char const* name, size_t bytes) {
  int const file = open(name, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, (off_t)bytes) != 0) return NULL;
  void* const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

VISIBLE int qemu_plugin_install(uint64_t plugin, void const* about, int count, char** arguments) {
  (void)about;
  for (int i = 0; i < count; ++i) {
    if (strncmp(arguments[i], "from=", 5) == 0) from = strtoull(arguments[i] + 5, NULL, 0);
    if (strncmp(arguments[i], "low=", 4) == 0) low = strtoull(arguments[i] + 4, NULL, 0);
    if (strncmp(arguments[i], "high=", 5) == 0) high = strtoull(arguments[i] + 5, NULL, 0);
    if (strncmp(arguments[i], "live=", 5) == 0) {
      executed = shared_file(arguments[i] + 5, 4096);
      if (executed == NULL) return 1;
    }
    if (strncmp(arguments[i], "each=", 5) == 0) {
      if (low == 0 || high - low > UINT64_C(1) << 24) return 1;
      each = shared_file(arguments[i] + 5, (high - low) * sizeof *each);
      if (each == NULL) return 1;
    }
    if (strncmp(arguments[i], "out=", 4) == 0) snprintf(out, sizeof out, "%s", arguments[i] + 4);
  }
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
  qemu_plugin_register_atexit_cb(plugin, end, NULL);
  return 0;
}
