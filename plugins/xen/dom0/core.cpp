// xen-core DOMAIN FILE PAGES: a domain's memory and its first processor's registers in the form of xl dump-core
// (Xen's docs/misc/dump-core-format.txt), which asks for each of the million pages that a PVH guest could have below
// 4 GiB: some minutes in an emulated dom0. This one asks for the first PAGES, which are the domain's memory, many at
// a time.
//
// A program of the bench's dom0, by the kernel's /dev/xen/privcmd (its include/uapi/xen/privcmd.h) and Xen's
// public/domctl.h alone. The domain is paused, or has ended and is kept. Exit status 1 with a message on standard
// error.
#include <elf.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t batch_pages = 256;
constexpr std::size_t pages_max = 1u << 20;
/// struct vcpu_guest_context of public/arch-x86/xen.h.
constexpr std::size_t context_bytes = 5168;

struct privcmd_hypercall {
  std::uint64_t op;
  std::uint64_t arg[5];
};
struct privcmd_mmapbatch_v2 {
  std::uint32_t num;
  std::uint16_t domain;
  std::uint64_t address;
  std::uint64_t const* frames;
  int* errors;
};
constexpr unsigned long ioctl_hypercall = _IOC(_IOC_NONE, 'P', 0, sizeof(privcmd_hypercall));
constexpr unsigned long ioctl_mmapbatch_v2 = _IOC(_IOC_NONE, 'P', 4, sizeof(privcmd_mmapbatch_v2));

constexpr std::uint64_t hypercall_domctl = 36;
constexpr std::uint32_t domctl_getvcpucontext = 13;
/// Xen refuses any version but its own with EACCES; this operation has been the same in all of these.
constexpr std::uint32_t domctl_version_first = 0x11, domctl_version_last = 0x20;

struct domctl {
  std::uint32_t command = domctl_getvcpucontext;
  std::uint32_t version = 0;
  std::uint16_t domain = 0;
  std::uint16_t padding[3] = {};
  std::uint32_t processor = 0;
  std::uint32_t padding_2 = 0;
  void* context = nullptr;
  char rest[256] = {};
};

/// What the hypervisor writes stands in memory that stays where it is.
alignas(page_bytes) char context[2 * page_bytes];
alignas(page_bytes) domctl request;
std::uint64_t frames[pages_max];

int fail(char const* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  return 1;
}

bool write_all(int file, void const* bytes, std::size_t size) {
  for (auto const* at = static_cast<char const*>(bytes); size != 0;) {
    auto const count = ::write(file, at, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    at += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

bool read_context(int xen, std::uint16_t domain) {
  if (::mlock(context, sizeof context) != 0 || ::mlock(&request, sizeof request) != 0) return false;
  for (auto version = domctl_version_first; version <= domctl_version_last; ++version) {
    request = {.version = version, .domain = domain, .context = context};
    privcmd_hypercall call{.op = hypercall_domctl, .arg = {reinterpret_cast<std::uint64_t>(&request)}};
    if (::ioctl(xen, ioctl_hypercall, &call) == 0) return true;
    if (errno != EACCES) return false;
  }
  return false;
}

/// Writes those of the pages that the domain has, and their numbers into `frames`; how many they are, or -1.
std::int64_t write_pages(int xen, int file, std::uint16_t domain, std::uint64_t pages) {
  auto* const place = ::mmap(nullptr, batch_pages * page_bytes, PROT_READ, MAP_SHARED, xen, 0);
  if (place == MAP_FAILED) return -1;
  std::int64_t written = 0;
  for (std::uint64_t begin = 0; begin < pages; begin += batch_pages) {
    auto const count = pages - begin < batch_pages ? pages - begin : batch_pages;
    std::uint64_t numbers[batch_pages];
    int errors[batch_pages] = {};
    for (std::size_t i = 0; i < count; ++i) numbers[i] = begin + i;
    // A mapping serves once.
    if (::mmap(place, batch_pages * page_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, xen, 0) == MAP_FAILED) return -1;
    privcmd_mmapbatch_v2 const batch{.num = static_cast<std::uint32_t>(count),
                                     .domain = domain,
                                     .address = reinterpret_cast<std::uint64_t>(place),
                                     .frames = numbers,
                                     .errors = errors};
    if (::ioctl(xen, ioctl_mmapbatch_v2, &batch) != 0 && errno != ENOENT) return -1;
    for (std::size_t i = 0; i < count; ++i) {
      if (errors[i] != 0) continue;
      if (!write_all(file, static_cast<char const*>(place) + i * page_bytes, page_bytes)) return -1;
      frames[written++] = begin + i;
    }
  }
  return written;
}

/// The file's first page: its header, and sections for what follows it: registers, pages, their numbers.
struct first_page {
  static constexpr std::size_t names_bytes = 64;
  Elf64_Ehdr header{};
  Elf64_Shdr sections[5] = {};
  char names[names_bytes] = "\0.shstrtab\0.xen_prstatus\0.xen_pages\0.xen_pfn";
  char rest[page_bytes - sizeof(Elf64_Ehdr) - 5 * sizeof(Elf64_Shdr) - names_bytes] = {};
};
static_assert(sizeof(first_page) == page_bytes);
constexpr std::size_t pages_place = page_bytes + sizeof context;

first_page describe(std::uint64_t pages) {
  first_page out;
  auto& header = out.header;
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_shoff = offsetof(first_page, sections);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 5;
  header.e_shstrndx = 1;
  auto const section = [&](unsigned number, std::uint32_t name, std::uint64_t place, std::uint64_t size) {
    out.sections[number].sh_name = name;
    out.sections[number].sh_type = SHT_PROGBITS;
    out.sections[number].sh_offset = place;
    out.sections[number].sh_size = size;
  };
  section(1, 1, offsetof(first_page, names), first_page::names_bytes);
  section(2, 11, page_bytes, context_bytes);
  section(3, 25, pages_place, pages * page_bytes);
  section(4, 36, pages_place + pages * page_bytes, pages * sizeof(std::uint64_t));
  return out;
}

}  // namespace

int main(int count, char** values) {
  auto const pages = count == 4 ? std::strtoull(values[3], nullptr, 10) : 0;
  if (pages == 0 || pages > pages_max) return std::fputs("usage: xen-core DOMAIN FILE PAGES\n", stderr), 1;
  auto const domain = static_cast<std::uint16_t>(std::atoi(values[1]));
  auto const xen = ::open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
  if (xen < 0) return fail("/dev/xen/privcmd");
  auto const file = ::open(values[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return fail(values[2]);
  if (!read_context(xen, domain)) return fail("the domain's registers");
  if (::lseek(file, static_cast<off_t>(pages_place), SEEK_SET) < 0) return fail(values[2]);
  auto const written = write_pages(xen, file, domain, pages);
  if (written < 0) return fail("the domain's memory");
  auto const about = describe(static_cast<std::uint64_t>(written));
  if (!write_all(file, frames, static_cast<std::size_t>(written) * sizeof frames[0]) ||
      ::lseek(file, 0, SEEK_SET) < 0 || !write_all(file, &about, sizeof about) ||
      !write_all(file, context, sizeof context) || ::fsync(file) != 0) {
    return fail(values[2]);
  }
  return 0;
}
