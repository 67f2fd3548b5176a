// From the PVH entry to C++ as usual: reads what the loader said, chooses where everything is, builds the
// page tables, relocates the image and goes there.
//
// Until go_up() this runs where the image was loaded, under an identity map of the first GiB and before
// relocation: no table of pointers, no virtual function, nothing of the C library but memcpy and its like.
#include <bit>
#include <cstring>
#include <utility>

#include "hypercall.hpp"
#include "machine.hpp"
#include "page_tables.hpp"
#include "processor.hpp"
#include "start_info.hpp"
#include "vectors.hpp"

// Hidden: else these go through a table of pointers, which relocation changes.
#pragma GCC visibility push(hidden)
extern "C" {
// From the linker (image.ld), relative to where the code runs.
extern char const morgana_image_begin[], morgana_code_begin[], morgana_code_end[], morgana_sealed_begin[],
    morgana_data_begin[], morgana_guarded_begin[], morgana_guarded_end[], morgana_image_end[];
extern std::uint64_t morgana_relr_begin[], morgana_relr_end[];
extern std::uint64_t morgana_rela_begin[], morgana_rela_end[];
// entry.S
extern std::uint64_t morgana_boot_root[512];
extern char const morgana_up[];
[[noreturn]] void morgana_go_up(std::uint64_t root, void const* segments, void const* vectors,
                                std::uint64_t stack, std::uint64_t entry, std::uint64_t up);
// start.cpp
[[noreturn]] void morgana_start();
}
#pragma GCC visibility pop

namespace morgana::xen {

namespace {
[[gnu::section(".sealed")]] constinit machine_description description;
}  // namespace
constinit machine_description const& machine = description;
constinit char command_line[command_line_bytes_max] = {};

namespace {

constexpr std::uint64_t identity_bytes = std::uint64_t{1} << 30;
constexpr std::uint64_t stack_bytes_max = 128 * 1024;
constexpr std::uint64_t exception_stack_bytes = 16 * 1024;
/// Memory beyond is not used: the heap's addresses are those of one entry of the highest table.
constexpr std::uint64_t physical_max = std::uint64_t{256} << 30;
constexpr std::uint64_t interrupt_controller_place = 0xfee0'0000;

std::uint64_t address_of(void const* what) {
  return reinterpret_cast<std::uint64_t>(what);
}
constexpr std::uint64_t page_up(std::uint64_t value) {
  return (value + page_bytes - 1) & ~(page_bytes - 1);
}
constexpr std::uint64_t page_down(std::uint64_t value) {
  return value & ~(page_bytes - 1);
}

/// There is no crash report yet. Says why on the first serial port and ends.
[[noreturn]] void give_up(char const* why) {
  for (auto const* prefix = "boot failed: "; *prefix != '\0'; ++prefix) {
    processor::out8(0x3f8, static_cast<std::uint8_t>(*prefix));
  }
  for (; *why != '\0'; ++why) processor::out8(0x3f8, static_cast<std::uint8_t>(*why));
  processor::out8(0x3f8, '\n');
  end_machine(70);
}

void use_memory(std::uint64_t address, std::uint64_t bytes) {
  auto const end = address + bytes;
  memory_range const usable{.begin = address < page_bytes ? page_bytes : page_up(address),
                            .end = page_down(end < physical_max ? end : physical_max)};
  if (usable.begin >= usable.end || description.memory_count == memory_ranges_max) return;
  description.memory[description.memory_count++] = usable;
  description.memory_bytes += usable.bytes();
}

/// As the first domain we are given the older start info, which has no map.
void ask_for_memory_map() {
  struct [[gnu::packed]] entry {
    std::uint64_t address, bytes;
    std::uint32_t type;
  };
  constexpr std::uint32_t entries_max = 128;
  entry map[entries_max];
  memory_map_query query{.entry_count = entries_max, .entries = map};
  if (hypercall_with(description.is_intel, hypercall_number::memory, query) != 0 ||
      query.entry_count > entries_max) {
    give_up("Xen gives no memory map");
  }
  for (std::uint32_t i = 0; i < query.entry_count; ++i) {
    if (map[i].type == memory_map_entry::ram) use_memory(map[i].address, map[i].bytes);
  }
}

/// Copies what the loader left in memory that will be used for other things.
void read_start_info(start_info const& from) {
  if (from.magic != start_info_magic) give_up("the loader did not enter as PVH does");
  if (from.command_line != 0) {
    if (from.command_line >= identity_bytes - command_line_bytes_max)
      give_up("the command line is too far up");
    // What it says may be secret, and memory that was never used is lent to backends as it is (heap.cpp).
    auto* const text = reinterpret_cast<char*>(from.command_line);
    for (std::size_t i = 0; text[i] != '\0'; ++i) {
      if (i + 1 == command_line_bytes_max) give_up("the command line is longer than 4,095 bytes");
      command_line[i] = std::exchange(text[i], '\0');
    }
  }
  description.is_initial_domain = description.is_xen && (from.flags & start_info::initial_domain) != 0;
  if (from.version < 1 && description.is_xen) {
    ask_for_memory_map();
    return;
  }
  if (from.version < 1 || from.memory_map == 0 || from.memory_map >= identity_bytes / 2) {
    give_up("the loader gave no memory map");
  }
  auto const* const map = reinterpret_cast<memory_map_entry const*>(from.memory_map);
  for (std::uint32_t i = 0; i < from.memory_map_entries; ++i) {
    if (map[i].type == memory_map_entry::ram) use_memory(map[i].address, map[i].bytes);
  }
}

/// Not a generator of random numbers: spreads what the counter and the loader had that nobody else knows.
std::uint64_t mixed(std::uint64_t value) {
  value ^= value >> 32;
  value *= 0xd6e8'feb8'6659'fd93;
  value ^= value >> 32;
  value *= 0xd6e8'feb8'6659'fd93;
  return value ^ value >> 32;
}

std::uint64_t random_word(std::uint64_t salt) {
  std::uint64_t word = 0;
  if (description.has_random_instruction && processor::random(word)) return word;
  return mixed(processor::cycles() + salt * 0x9e37'79b9'7f4a'7c15);
}

bool has_word(char const* text, char const* word) {
  while (*text != '\0') {
    std::size_t i = 0;
    while (word[i] != '\0' && text[i] == word[i]) ++i;
    if (word[i] == '\0' && (text[i] == ' ' || text[i] == '\0')) return true;
    while (*text != '\0' && *text != ' ') ++text;
    while (*text == ' ') ++text;
  }
  return false;
}

/// AVX's registers and what protects ring 0 where the processor has it.
void enable_features() {
  constexpr std::uint32_t xsave = 1u << 26, avx = 1u << 28, random_instruction = 1u << 30;
  auto const basic = processor::identify(1);
  description.has_random_instruction = (basic.c & random_instruction) != 0;
  std::uint64_t control = 0;
  asm volatile("mov %%cr4, %0" : "=r"(control));
  if ((basic.c & xsave) != 0) control |= 1u << 18;
  if (processor::identify(0).a >= 7) {
    auto const more = processor::identify(7);
    if ((more.b & 1u << 7) != 0) control |= 1u << 20;  // no execution of user's pages: there are none
    if ((more.c & 1u << 2) != 0) control |= 1u << 11;
    description.has_seed_instruction = (more.b & 1u << 18) != 0;
  }
  asm volatile("mov %0, %%cr4" : : "r"(control));
  if ((basic.c & xsave) != 0) {
    asm volatile("xsetbv" : : "c"(0), "a"((basic.c & avx) != 0 ? 7 : 3), "d"(0));
  }
  asm volatile("fninit");
}

/// Xen says who it is at one of the leaves that hypervisors have (arch-x86/cpuid.h).
void look_for_xen() {
  constexpr std::uint32_t has_hypervisor = 1u << 31;
  if ((processor::identify(1).c & has_hypervisor) == 0) return;
  for (std::uint32_t leaf = 0x4000'0000; leaf < 0x4001'0000; leaf += 0x100) {
    auto const name = processor::identify(leaf);
    if (name.b == 0x566e'6558 && name.c == 0x6558'4d4d && name.d == 0x4d4d'566e) description.is_xen = true;
    if (description.is_xen || name.a < 0x4000'0000) break;
  }
  description.is_intel = processor::identify(0).b == 0x756e'6547;
}

std::uint64_t hvm_parameter_of(hvm_parameter::name which) {
  hvm_parameter argument{.who = self, .which = which, .value = 0};
  if (hypercall_with(description.is_intel, hypercall_number::hvm, argument, hvm_parameter::get) != 0)
    return 0;
  return argument.value;
}

/// Where the console and xenstore are: outside of the guest's memory, with events on these ports.
void map_rings(page_tables& tables, std::uint64_t window) {
  using enum hvm_parameter::name;
  auto const map = [&](std::uint64_t address, std::uint64_t frame) -> std::uint64_t {
    if (frame == 0 || frame == ~std::uint64_t{0}) return 0;
    return tables.map(address, frame * page_bytes, page_bytes, page_rights::read_write) ? address : 0;
  };
  // Each between pages that are not mapped.
  description.console_page = map(window + 2 * page_bytes, hvm_parameter_of(console_frame));
  description.store_page = map(window + 4 * page_bytes, hvm_parameter_of(store_frame));
  description.console_port = static_cast<std::uint32_t>(hvm_parameter_of(console_port));
  description.store_port = static_cast<std::uint32_t>(hvm_parameter_of(store_port));
}

struct layout {
  std::uint64_t image, stack, exception_stack, window, heap_offset;
};

/// One GiB of an entry of its own in the highest table for the image, its stacks and devices, each at a
/// random page of a part of it; another entry for the heap.
layout choose_layout(bool fixed) {
  constexpr unsigned slots = 254;
  constexpr std::uint64_t slot = std::uint64_t{1} << 39, gib = std::uint64_t{1} << 30, part = gib / 4;
  std::uint64_t words[4] = {};
  if (!fixed) {
    for (std::uint64_t i = 0; i < 4; ++i) words[i] = random_word(i);
  }
  auto const image_slot = 1 + words[0] % slots;
  auto const heap_slot = 1 + (image_slot - 1 + 1 + (words[0] >> 16) % (slots - 1)) % slots;
  auto const base = image_slot * slot + (words[0] >> 32) % 512 * gib;
  auto const page = [&](std::uint64_t word) { return word % (part / page_bytes / 2) * page_bytes; };
  return {.image = base + page(words[1]),
          .stack = base + part + page(words[1] >> 32),
          .exception_stack = base + 2 * part + page(words[2]),
          .window = base + 3 * part + page(words[2] >> 32),
          .heap_offset = heap_slot * slot + words[3] % 0x1'0000 * large_page_bytes};
}

void relocate(std::uint64_t slide) {
  // Relative relocations in packed form: an address, then bits for the 63 words after it (the ELF gABI's
  // RELR).
  std::uint64_t* where = nullptr;
  for (auto const* one = morgana_relr_begin; one < morgana_relr_end; ++one) {
    if ((*one & 1) == 0) {
      where = reinterpret_cast<std::uint64_t*>(*one);
      *where++ += slide;
      continue;
    }
    for (auto bits = *one >> 1; bits != 0; bits &= bits - 1) where[std::countr_zero(bits)] += slide;
    where += 63;
  }
  // And those at odd addresses: offset, kind, addend.
  for (auto const* one = morgana_rela_begin; one + 3 <= morgana_rela_end; one += 3) {
    if (one[1] != 8) give_up("the image has a relocation that is not relative");
    auto const value = one[2] + slide;
    std::memcpy(reinterpret_cast<void*>(one[0]), &value, sizeof value);
  }
}

void map_image(page_tables& tables, std::uint64_t slide) {
  auto const begin = address_of(morgana_image_begin), code = address_of(morgana_code_begin),
             sealed = address_of(morgana_sealed_begin), data = address_of(morgana_data_begin),
             guarded = address_of(morgana_guarded_begin), guarded_end = address_of(morgana_guarded_end),
             end = address_of(morgana_image_end);
  auto const done = tables.map(begin + slide, begin, code - begin, page_rights::read) &&
                    tables.map(code + slide, code, sealed - code, page_rights::read_execute) &&
                    tables.map(sealed + slide, sealed, data - sealed, page_rights::read) &&
                    tables.map(data + slide, data, guarded - data, page_rights::read_write) &&
                    tables.map(guarded_end + slide, guarded_end, end - guarded_end, page_rights::read_write);
  if (!done) give_up("no memory for page tables");
}

/// Maps the image's pages for rings from `window` on, every second page.
bool map_guarded(page_tables& tables, std::uint64_t window) {
  description.guarded.begin = window;
  for (auto page = address_of(morgana_guarded_begin); page < address_of(morgana_guarded_end); page += page_bytes) {
    if (!tables.map(window, page, page_bytes, page_rights::read_write)) return false;
    window += 2 * page_bytes;
  }
  description.guarded.end = window;
  return true;
}

/// Takes [begin, end) out of the memory for the heap.
void take_out(std::uint64_t begin, std::uint64_t end) {
  for (std::size_t i = 0; i < description.memory_count; ++i) {
    auto& range = description.memory[i];
    if (range.end <= begin || range.begin >= end) continue;
    memory_range const above{.begin = end, .end = range.end};
    range.end = begin > range.begin ? begin : range.begin;
    if (above.begin >= above.end) continue;
    if (range.bytes() == 0) {
      range = above;
    } else if (description.memory_count < memory_ranges_max) {
      description.memory[description.memory_count++] = above;
    }
  }
}

}  // namespace

// Once a boot, and in every image: short rather than fast.
extern "C" [[noreturn, gnu::used, clang::minsize]] void morgana_boot(start_info const* from) {
  enable_features();
  look_for_xen();
  read_start_info(*from);

  // Behind the image: stacks, then the tables.
  auto const image_begin = address_of(morgana_image_begin);
  auto const image_end = page_up(address_of(morgana_image_end));
  std::uint64_t memory_end = 0, highest = 0;
  for (std::size_t i = 0; i < description.memory_count; ++i) {
    auto const& range = description.memory[i];
    if (range.begin <= image_begin && range.end > image_end) memory_end = range.end;
    if (range.end > highest) highest = range.end;
  }
  auto stack_bytes = page_down((memory_end - image_end) / 8);
  if (stack_bytes > stack_bytes_max) stack_bytes = stack_bytes_max;
  auto const tables_begin = image_end + stack_bytes + exception_stack_bytes;
  // The highest; two and its tables for the image, stacks and devices, which may lie across a border of 2 MiB; those of the heap, with two for the
  // ends of each range.
  auto const table_count = 1 + 2 + ((image_end - image_begin) / large_page_bytes + 2) + 6 + 1 +
                           ((highest >> 30) + 2) + 2 * (description.memory_count + 1);
  auto const tables_end = tables_begin + table_count * page_bytes;
  if (memory_end == 0 || tables_end >= memory_end) give_up("there is not enough memory for this image");

  auto const where = choose_layout(has_word(command_line, "morgana.layout=fixed"));
  for (std::size_t i = 0; i < sizeof description.secret; i += 8) {
    auto const word = random_word(i + 16);
    std::memcpy(description.secret + i, &word, sizeof word);
  }
  auto const slide = where.image - image_begin;
  description.slide = slide;
  description.heap_offset = where.heap_offset;
  description.stack = {.begin = where.stack, .end = where.stack + stack_bytes};
  description.exception_stack = {.begin = where.exception_stack,
                                 .end = where.exception_stack + exception_stack_bytes};

  page_tables tables(tables_begin, tables_end);
  map_image(tables, slide);
  auto done = tables.map(where.stack, image_end, stack_bytes, page_rights::read_write) &&
              tables.map(where.exception_stack, image_end + stack_bytes, exception_stack_bytes,
                         page_rights::read_write);
  if (description.is_xen) {
    map_rings(tables, where.window);
    done = done && map_guarded(tables, where.window + 6 * page_bytes);
  } else {
    description.interrupt_controller = where.window;
    done = done && tables.map(where.window, interrupt_controller_place, page_bytes, page_rights::device);
  }
  take_out(image_begin, tables_end);
  for (std::size_t i = 0; i < description.memory_count && done; ++i) {
    auto const& range = description.memory[i];
    done = tables.map(range.begin + where.heap_offset, range.begin, range.bytes(), page_rights::read_write);
  }
  if (!done) give_up("no memory for page tables");

  relocate(slide);
  auto const places = fill_descriptors(slide, description.exception_stack.end);
  // The tables in force get the image's new addresses for the moment of the change.
  auto const image_slot = where.image >> 39 & 511;
  morgana_boot_root[image_slot] = reinterpret_cast<std::uint64_t const*>(tables.root())[image_slot];
  morgana_go_up(tables.root(), &places.segments, &places.vectors, where.stack + stack_bytes,
                address_of(reinterpret_cast<void const*>(&morgana_start)) + slide,
                address_of(morgana_up) + slide);
}

}  // namespace morgana::xen
