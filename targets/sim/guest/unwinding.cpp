// What the unwinder asks of a dynamic loader, for libraries that use exceptions: there is one object, this
// image.
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>

// From the linker.
extern "C" ElfW(Ehdr) const __ehdr_start __attribute__((visibility("hidden")));

extern "C" [[gnu::used]] int dl_iterate_phdr(int (*each)(dl_phdr_info*, std::size_t, void*), void* with) {
  auto const base = reinterpret_cast<std::uintptr_t>(&__ehdr_start);
  dl_phdr_info image{};
  image.dlpi_addr = base;
  image.dlpi_name = "";
  image.dlpi_phdr = reinterpret_cast<ElfW(Phdr) const*>(base + __ehdr_start.e_phoff);
  image.dlpi_phnum = __ehdr_start.e_phnum;
  image.dlpi_adds = 1;
  return each(&image, sizeof image, with);
}

extern "C" [[gnu::used]] int dladdr(void const*, Dl_info*) noexcept {
  return 0;
}
extern "C" [[gnu::used]] void* dlsym(void*, char const*) noexcept {
  return nullptr;
}
