/* A plugin of QEMU's emulator (its docs/devel/tcg-plugins.rst): counts the instructions that run from an
 * address on. -plugin count_instructions.so,from=0x102000,out=FILE Debian has no header for plugins: what is
 * used of it is declared here. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static uint64_t executed, executed_before, from;
static char out[4096];

static void begin(unsigned cpu, void* context) {
  (void)cpu, (void)context;
  if (executed_before == 0) executed_before = executed;
}

static void translated(uint64_t plugin, struct block* block) {
  (void)plugin;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    struct instruction* const one = qemu_plugin_tb_get_insn(block, i);
    if (qemu_plugin_insn_vaddr(one) == from) qemu_plugin_register_vcpu_insn_exec_cb(one, begin, 0, NULL);
    qemu_plugin_register_vcpu_insn_exec_inline(one, 0, &executed, 1);
  }
}

static void end(uint64_t plugin, void* context) {
  (void)plugin, (void)context;
  FILE* const file = fopen(out, "w");
  if (file == NULL) return;
  fprintf(file, "%" PRIu64 "\n", executed - executed_before);
  fclose(file);
}

VISIBLE int qemu_plugin_install(uint64_t plugin, void const* about, int count, char** arguments) {
  (void)about;
  for (int i = 0; i < count; ++i) {
    if (strncmp(arguments[i], "from=", 5) == 0) from = strtoull(arguments[i] + 5, NULL, 0);
    if (strncmp(arguments[i], "out=", 4) == 0) snprintf(out, sizeof out, "%s", arguments[i] + 4);
  }
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
  qemu_plugin_register_atexit_cb(plugin, end, NULL);
  return 0;
}
