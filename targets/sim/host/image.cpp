#include "morgana/sim/image.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

namespace morgana::sim {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t image_bytes_max = std::size_t{1} << 30;

constexpr std::uintptr_t down(std::uintptr_t address) {
  return address & ~(page - 1);
}
constexpr std::uintptr_t up(std::uintptr_t address) {
  return down(address + page - 1);
}

std::expected<std::vector<std::byte>, std::string> read_file(std::string const& path) {
  auto const failed = [&] { return std::unexpected(path + ": " + std::strerror(errno)); };
  auto const file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed();
  struct stat about{};
  std::vector<std::byte> bytes;
  auto good = ::fstat(file, &about) == 0;
  if (good && (!S_ISREG(about.st_mode) || about.st_size > static_cast<off_t>(image_bytes_max))) {
    ::close(file);
    return std::unexpected(path + ": is no file, or larger than 1 GiB");
  }
  bytes.resize(static_cast<std::size_t>(about.st_size));
  std::size_t done = 0;
  while (good && done < bytes.size()) {
    auto const count = ::read(file, bytes.data() + done, bytes.size() - done);
    if (count == 0) bytes.resize(done);
    if (count < 0 && errno != EINTR) good = false;
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  if (!good) {
    auto error = failed();
    ::close(file);
    return error;
  }
  ::close(file);
  return bytes;
}

/// A structure within the file's bytes, copied; nothing when it is not whole there.
template <class T>
std::optional<T> read_at(std::span<std::byte const> bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, bytes.data() + offset, sizeof out);
  return out;
}

}  // namespace

std::expected<std::shared_ptr<image const>, std::string> image::open(std::string const& path) {
  auto bytes = read_file(path);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  auto out = std::shared_ptr<image>(new image);
  out->path_ = path;
  out->bytes_ = *std::move(bytes);
  if (auto parsed = out->parse(); !parsed) {
    return std::unexpected(path + " is no image of a simulated host: " + parsed.error() +
                           "; build one with `morgana build -t sim`");
  }
  out->memory_ = ::memfd_create("morgana-sim-image", MFD_CLOEXEC);
  auto good = out->memory_ >= 0;
  for (std::size_t done = 0; good && done < out->bytes_.size();) {
    auto const count = ::write(out->memory_, out->bytes_.data() + done, out->bytes_.size() - done);
    if (count > 0) done += static_cast<std::size_t>(count);
    good = count > 0 || errno == EINTR;
  }
  if (!good) return std::unexpected(path + ": cannot be copied into memory: " + std::strerror(errno));
  return out;
}

image::~image() {
  if (memory_ >= 0) ::close(memory_);
}

std::expected<void, std::string> image::parse() {
  auto const wrong = [](char const* what) { return std::unexpected(std::string(what)); };
  auto const header = read_at<Elf64_Ehdr>(bytes_, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return wrong("not an ELF file");
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
    return wrong("not for x86-64");
  if (header->e_type != ET_DYN || header->e_entry == 0) return wrong("an ELF file without morgana_sim_entry");
  if (header->e_phentsize != sizeof(Elf64_Phdr)) return wrong("its program headers are broken");
  std::uintptr_t end = 0;
  std::uintptr_t dynamic = 0;
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    auto const one = read_at<Elf64_Phdr>(bytes_, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!one) return wrong("its program headers are cut off");
    segment const here{.address = one->p_vaddr,
                       .memory_bytes = one->p_memsz,
                       .file_bytes = one->p_filesz,
                       .file_offset = one->p_offset,
                       .protection = ((one->p_flags & PF_R) != 0 ? PROT_READ : 0) |
                                     ((one->p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
                                     ((one->p_flags & PF_X) != 0 ? PROT_EXEC : 0)};
    auto const fits = one->p_memsz < image_bytes_max && one->p_vaddr < image_bytes_max &&
                      one->p_filesz <= one->p_memsz && one->p_offset <= bytes_.size() &&
                      one->p_filesz <= bytes_.size() - one->p_offset;
    switch (one->p_type) {
      case PT_LOAD:
        if (!fits || down(here.address) < end || one->p_vaddr % page != one->p_offset % page) {
          return wrong("its segments overlap or lie outside the file");
        }
        if ((here.protection & PROT_WRITE) != 0 && (here.protection & PROT_EXEC) != 0) {
          return wrong("a segment is writable and executable");
        }
        segments_.push_back(here);
        end = up(here.address + here.memory_bytes);
        break;
      case PT_INTERP:
        return wrong("a program, not a simulated host");
      case PT_DYNAMIC:
        if (!fits) return wrong("its dynamic section is broken");
        dynamic = here.file_offset;
        break;
      case PT_GNU_RELRO:
        if (fits) relro_ = here;
        break;
      case PT_TLS:
        if (!fits || one->p_align > 64)
          return wrong("its thread-local variables need more than 64-byte alignment");
        thread_local_ = here;
        thread_local_size_ = up(here.memory_bytes);
        break;
      default:
        break;
    }
  }
  if (segments_.empty() || segments_.front().address != 0 || dynamic == 0)
    return wrong("it has nothing to load");
  size_ = end;
  entry_ = header->e_entry;
  if (!is_code(entry_)) return wrong("its entry is no code");
  for (auto at = dynamic;; at += sizeof(Elf64_Dyn)) {
    auto const one = read_at<Elf64_Dyn>(bytes_, at);
    if (!one) return wrong("its dynamic section is cut off");
    if (one->d_tag == DT_NULL) break;
    if (one->d_tag == DT_NEEDED) return wrong("it needs a shared library");
    if (one->d_tag == DT_RELR || one->d_tag == DT_REL || one->d_tag == DT_JMPREL) {
      return wrong("it has a kind of relocations that is not known here");
    }
    if (one->d_tag == DT_RELA) relocations_ = one->d_un.d_ptr;
    if (one->d_tag == DT_RELASZ) relocations_bytes_ = one->d_un.d_val;
    if (one->d_tag == DT_SYMTAB) symbols_ = one->d_un.d_ptr;
  }
  return {};
}

bool image::is_code(std::uintptr_t offset) const {
  return std::ranges::any_of(segments_, [&](segment const& one) {
    return (one.protection & PROT_EXEC) != 0 && offset >= one.address &&
           offset - one.address < one.memory_bytes;
  });
}

std::size_t image::writable_bytes() const {
  std::size_t out = 0;
  for (auto const& one : segments_) {
    if ((one.protection & PROT_WRITE) != 0) out += up(one.address + one.memory_bytes) - down(one.address);
  }
  return out;
}

std::expected<void, std::string> image::map_at(std::byte* base, std::byte* thread_local_block) const {
  auto const failed = [&] { return std::unexpected(path_ + ": cannot be mapped: " + std::strerror(errno)); };
  for (auto const& one : segments_) {
    auto const begin = down(one.address);
    auto const file_end = one.address + one.file_bytes;
    auto const writable = (one.protection & PROT_WRITE) != 0;
    if (one.file_bytes != 0) {
      if (::mmap(base + begin, file_end - begin, one.protection, MAP_PRIVATE | MAP_FIXED, memory_,
                 static_cast<off_t>(one.file_offset - (one.address - begin))) == MAP_FAILED) {
        return failed();
      }
      // The rest of the last page is zero, not what follows in the file.
      if (writable) std::memset(base + file_end, 0, up(file_end) - file_end);
    }
    auto const zeroes = one.file_bytes != 0 ? up(file_end) : begin;
    auto const end = up(one.address + one.memory_bytes);
    if (end > zeroes &&
        ::mmap(base + zeroes, end - zeroes, one.protection,
               MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
      return failed();
    }
  }
  if (thread_local_.file_bytes != 0) {
    std::memcpy(thread_local_block, bytes_.data() + thread_local_.file_offset, thread_local_.file_bytes);
  }
  if (auto done = relocate(base, thread_local_block); !done) return done;
  if (relro_.memory_bytes != 0 &&
      ::mprotect(base + down(relro_.address),
                 down(relro_.address + relro_.memory_bytes) - down(relro_.address), PROT_READ) != 0) {
    return failed();
  }
  return {};
}

std::expected<void, std::string> image::relocate(std::byte* base, std::byte* thread_local_block) const {
  auto const wrong = [&](char const* what) { return std::unexpected(path_ + ": " + what); };
  // Tables are read where they are mapped: their segment is checked by the address being inside the image.
  auto const inside = [&](std::uint64_t address, std::uint64_t bytes) {
    return address < size_ && bytes <= size_ - address;
  };
  auto const writable = [&](std::uint64_t address) {
    return std::ranges::any_of(segments_, [&](segment const& one) {
      return (one.protection & PROT_WRITE) != 0 && address >= one.address &&
             address - one.address + sizeof(std::uint64_t) <= one.memory_bytes;
    });
  };
  if (!inside(relocations_, relocations_bytes_)) return wrong("its relocations lie outside the image");
  for (std::uint64_t at = 0; at + sizeof(Elf64_Rela) <= relocations_bytes_; at += sizeof(Elf64_Rela)) {
    Elf64_Rela one;
    std::memcpy(&one, base + relocations_ + at, sizeof one);
    if (!writable(one.r_offset)) return wrong("a relocation lies outside its data");
    std::uint64_t symbol = 0;
    if (auto const number = ELF64_R_SYM(one.r_info); number != 0) {
      auto const place = symbols_ + number * sizeof(Elf64_Sym);
      if (!inside(place, sizeof(Elf64_Sym))) return wrong("a relocation names no symbol");
      Elf64_Sym about;
      std::memcpy(&about, base + place, sizeof about);
      // What is undefined is weak, or the linker had refused it: absent.
      if (about.st_shndx != SHN_UNDEF) symbol = reinterpret_cast<std::uint64_t>(base) + about.st_value;
    }
    auto const addend = static_cast<std::uint64_t>(one.r_addend);
    std::uint64_t value = 0;
    switch (ELF64_R_TYPE(one.r_info)) {
      case R_X86_64_RELATIVE:
        value = reinterpret_cast<std::uint64_t>(base) + addend;
        break;
      case R_X86_64_64:
        value = symbol + addend;
        break;
      case R_X86_64_GLOB_DAT:
      case R_X86_64_JUMP_SLOT:
        value = symbol;
        break;
      // guest/libc.S: the block's address stands where a module's number does elsewhere.
      case R_X86_64_DTPMOD64:
        value = reinterpret_cast<std::uint64_t>(thread_local_block);
        break;
      case R_X86_64_DTPOFF64:
        value = addend;
        break;
      default:
        return wrong("a relocation of a kind that is not known here");
    }
    std::memcpy(base + one.r_offset, &value, sizeof value);
  }
  return {};
}

void image::read_functions() const {
  has_functions_ = true;
  for (auto const& path : {path_, path_ + ".debug"}) {
    auto const bytes = read_file(path);
    if (!bytes) continue;
    auto const header = read_at<Elf64_Ehdr>(*bytes, 0);
    if (!header || header->e_shentsize != sizeof(Elf64_Shdr)) continue;
    auto const section = [&](std::uint64_t number) {
      return read_at<Elf64_Shdr>(*bytes, header->e_shoff + number * sizeof(Elf64_Shdr));
    };
    for (unsigned i = 0; i < header->e_shnum; ++i) {
      auto const table = section(i);
      if (!table || table->sh_type != SHT_SYMTAB) continue;
      auto const names = section(table->sh_link);
      if (!names || names->sh_offset > bytes->size() || names->sh_size > bytes->size() - names->sh_offset)
        continue;
      std::string_view const text(reinterpret_cast<char const*>(bytes->data() + names->sh_offset),
                                  names->sh_size);
      for (std::uint64_t at = 0; at < table->sh_size; at += sizeof(Elf64_Sym)) {
        auto const one = read_at<Elf64_Sym>(*bytes, table->sh_offset + at);
        if (!one) break;
        if (ELF64_ST_TYPE(one->st_info) != STT_FUNC || one->st_shndx == SHN_UNDEF ||
            one->st_name >= text.size()) {
          continue;
        }
        auto const name = text.substr(one->st_name);
        functions_.push_back({.begin = one->st_value,
                              .size = one->st_size,
                              .name = std::string(name.substr(0, name.find('\0')))});
      }
    }
    if (!functions_.empty()) break;
  }
  std::ranges::stable_sort(functions_, {}, &function::begin);
}

std::string_view image::function_at(std::uintptr_t offset) const {
  if (!has_functions_) read_functions();
  auto at = std::ranges::upper_bound(functions_, offset, {}, &function::begin);
  while (at != functions_.begin()) {
    --at;
    if (offset - at->begin < at->size) return at->name;
    if (at->size != 0) break;
  }
  return {};
}

}  // namespace morgana::sim
