// Names for a crash report, from the symbol table of the image's own file, or of NAME.debug beside it.
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "process.hpp"

namespace morgana::hosted {

symbol_table::symbol_table() {
  if (open("/proc/self/exe")) return;
  char path[4096];
  constexpr std::string_view suffix = ".debug";
  auto const size = ::readlink("/proc/self/exe", path, sizeof path - suffix.size() - 1);
  if (size <= 0) return;
  std::memcpy(path + size, suffix.data(), suffix.size());
  path[static_cast<std::size_t>(size) + suffix.size()] = '\0';
  open(path);
}

bool symbol_table::open(char const* path) {
  auto const file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  struct stat about {};
  auto const known = ::fstat(file, &about) == 0 && about.st_size > static_cast<off_t>(sizeof(ElfW(Ehdr)));
  auto const size = known ? static_cast<std::size_t>(about.st_size) : 0;
  // Mapped for the rest of the process, which is short.
  void* const mapped = known ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  ::close(file);
  if (mapped == MAP_FAILED) return false;
  auto const* const bytes = static_cast<unsigned char const*>(mapped);
  // The file could have been replaced since it was started: nothing in it is believed unchecked.
  auto const inside = [size](std::uint64_t offset, std::uint64_t length) {
    return offset <= size && length <= size - offset;
  };
  auto const& header = *reinterpret_cast<ElfW(Ehdr) const*>(bytes);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_shentsize != sizeof(ElfW(Shdr)) ||
      header.e_shoff % alignof(ElfW(Shdr)) != 0 ||
      !inside(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(ElfW(Shdr)))) {
    return false;
  }
  std::span const sections(reinterpret_cast<ElfW(Shdr) const*>(bytes + header.e_shoff), header.e_shnum);
  for (auto const& section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    auto const& names = sections[section.sh_link];
    if (section.sh_offset % alignof(ElfW(Sym)) != 0 || !inside(section.sh_offset, section.sh_size) ||
        !inside(names.sh_offset, names.sh_size)) {
      continue;
    }
    symbols_ = bytes + section.sh_offset;
    symbol_count_ = section.sh_size / sizeof(ElfW(Sym));
    names_ = {reinterpret_cast<char const*>(bytes + names.sh_offset), names.sh_size};
    return true;
  }
  return false;
}

symbol_table::found symbol_table::find(std::uintptr_t offset) const {
  for (auto const& symbol : std::span(static_cast<ElfW(Sym) const*>(symbols_), symbol_count_)) {
    if ((symbol.st_info & 0xf) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    if (offset < symbol.st_value || offset - symbol.st_value >= symbol.st_size) continue;
    if (symbol.st_name >= names_.size()) continue;
    auto name = names_.substr(symbol.st_name);
    name = name.substr(0, name.find('\0'));
    return {.name = name, .offset = offset - symbol.st_value};
  }
  return {};
}

}  // namespace morgana::hosted
