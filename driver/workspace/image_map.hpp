// Who owns an image's bytes, from the linker's map and the image itself.
//
// Code that was inlined counts where it ended up: after link-time optimisation there is no other answer. What
// belongs to nobody (headers, padding between sections) is said as such, so that the sum is the file's size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {

/// A piece of the image: one function or object, or what a linker made.
struct image_piece {
  std::string package;      ///< "morgana-core", "(application)", "(C++ library)", "(linker)"
  std::string file;         ///< "core/boot.cpp", "main.gen.cpp", "libc++.a(new.cpp)"
  std::string symbol;       ///< as the map says it, or the section's name
  std::string linked = {};  ///< what the linker calls it, where the input section's name tells
  std::string section;      ///< of the image: ".text"
  std::uint64_t bytes = 0;
};

/// Sections of an ELF file that take room in it.
struct elf_section {
  std::string name;
  std::uint64_t bytes = 0;
};
/// Errors: `unreadable-file` (none, or no ELF file).
[[nodiscard]] outcome<std::vector<elf_section>> read_elf_sections(std::filesystem::path const& file);

/// The pieces that the map names, in its order; those of sections that take no room are left out.
[[nodiscard]] std::vector<image_piece> parse_link_map(std::string_view map,
                                                      std::vector<elf_section> const& sections);

/// All pieces of an image, whose sizes sum up to the file's. Errors: `unreadable-file`.
[[nodiscard]] outcome<std::vector<image_piece>> read_image(std::filesystem::path const& image,
                                                           std::filesystem::path const& map);

/// A symbol as people write it; itself when it is not mangled.
[[nodiscard]] std::string demangled(std::string const& symbol);

}  // namespace morgana::driver
