// A core file of a guest as gdb wants it beside the image (`gdb NAME.elf.debug CORE`). What QEMU and Xen know of the guest, its
// registers and its memory by the guest's own addresses, is there already; where the image went to is added.
//
// A guest's image stands at another random address each boot. gdb moves the symbols of a position-independent program by the
// entry point that a note of the core, the program's auxiliary vector, tells (System V ABI, AMD64 supplement, 3.4.3): that
// note is added.
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <span>

#include "morgana/plugin/runner.hpp"

namespace morgana::plugin {

class core_file {
 public:
  /// Completes the core at `path`. Errors: it cannot be opened, or is no core; one without the image in it stays as it is.
  [[nodiscard]] static std::expected<void, runner_error> complete(std::string const& path, std::string const& image) {
    core_file core(path);
    if (core.bytes_.empty()) return std::unexpected(runner_error{"the core " + path + " cannot be read again"});
    if (!core.read_header()) return std::unexpected(runner_error{path + " is no core of a guest"});
    core.extend_addresses();
    std::ifstream file(image, std::ios::binary);
    std::string program{std::istreambuf_iterator<char>(file), {}};
    if (auto const entry = core.entry_of(program); entry != 0 && !core.add_entry(entry)) {
      return std::unexpected(runner_error{"cannot write to the core " + path + ": " + std::strerror(errno)});
    }
    return {};
  }

 private:
  static constexpr std::size_t page_bytes = 4096;

  explicit core_file(std::string const& path) : descriptor_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    struct stat about{};
    if (descriptor_ < 0 || ::fstat(descriptor_, &about) != 0 || about.st_size < static_cast<off_t>(sizeof header_)) return;
    auto const size = static_cast<std::size_t>(about.st_size);
    auto* const place = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (place != MAP_FAILED) bytes_ = {static_cast<char*>(place), size};
  }
  core_file(core_file const&) = delete;
  core_file& operator=(core_file const&) = delete;
  ~core_file() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  bool read_header() {
    std::memcpy(&header_, bytes_.data(), sizeof header_);
    return std::memcmp(header_.e_ident, ELFMAG, SELFMAG) == 0 && header_.e_type == ET_CORE &&
           header_.e_phentsize == sizeof(Elf64_Phdr) && header_.e_phoff <= bytes_.size() &&
           header_.e_phnum <= (bytes_.size() - header_.e_phoff) / sizeof(Elf64_Phdr);
  }

  [[nodiscard]] Elf64_Phdr segment(unsigned number) const {
    Elf64_Phdr out{};
    std::memcpy(&out, bytes_.data() + header_.e_phoff + number * sizeof out, sizeof out);
    if (out.p_offset > bytes_.size() || out.p_filesz > bytes_.size() - out.p_offset) out.p_filesz = 0;
    return out;
  }
  void set_segment(unsigned number, Elf64_Phdr const& to) {
    std::memcpy(bytes_.data() + header_.e_phoff + number * sizeof to, &to, sizeof to);
  }

  /// QEMU 7.2 takes every virtual address for one of the upper half: those of the lower half, where guests of ours are, are
  /// written without its sign.
  void extend_addresses() {
    for (unsigned i = 0; i < header_.e_phnum; ++i) {
      auto one = segment(i);
      one.p_vaddr = static_cast<std::uint64_t>(static_cast<std::int64_t>(one.p_vaddr << 16) >> 16);
      set_segment(i, one);
    }
  }

  /// Where the image's entry point is in the guest, by the page that begins with the image's headers, which its constants
  /// hold; 0: not found. Behind it stands the code that ran, or another copy of the image does.
  [[nodiscard]] std::uint64_t entry_of(std::string const& program) const {
    Elf64_Ehdr header{};
    Elf64_Phdr first{};
    if (program.size() < sizeof header) return 0;
    std::memcpy(&header, program.data(), sizeof header);
    auto const size = sizeof header + header.e_phnum * sizeof first;
    if (header.e_phoff != sizeof header || header.e_phnum == 0 || program.size() < size || size > page_bytes) return 0;
    std::memcpy(&first, program.data() + sizeof header, sizeof first);
    for (unsigned i = header_.e_phnum; i-- > 0;) {
      auto const one = segment(i);
      if (one.p_type != PT_LOAD) continue;
      for (std::uint64_t at = 0; at + page_bytes <= one.p_filesz; at += page_bytes) {
        if (std::memcmp(bytes_.data() + one.p_offset + at, program.data(), size) == 0)
          return one.p_vaddr + at + (header.e_entry - first.p_vaddr);
      }
    }
    return 0;
  }

  /// The notes are written once more, behind all else, with one more.
  bool add_entry(std::uint64_t entry) {
    for (unsigned i = 0; i < header_.e_phnum; ++i) {
      auto one = segment(i);
      if (one.p_type != PT_NOTE) continue;
      std::uint64_t const vector[4] = {AT_ENTRY, entry, AT_NULL, 0};
      Elf64_Nhdr const note{.n_namesz = 5, .n_descsz = sizeof vector, .n_type = NT_AUXV};
      std::string notes(bytes_.data() + one.p_offset, one.p_filesz);
      notes.append(reinterpret_cast<char const*>(&note), sizeof note);
      notes.append("CORE\0\0\0", 8);
      notes.append(reinterpret_cast<char const*>(vector), sizeof vector);
      if (::pwrite(descriptor_, notes.data(), notes.size(), static_cast<off_t>(bytes_.size())) !=
          static_cast<ssize_t>(notes.size())) {
        return false;
      }
      one.p_offset = bytes_.size();
      one.p_filesz = one.p_memsz = notes.size();
      set_segment(i, one);
      return true;
    }
    errno = EINVAL;
    return false;
  }

  int descriptor_ = -1;
  std::span<char> bytes_;
  Elf64_Ehdr header_{};
};

}  // namespace morgana::plugin
