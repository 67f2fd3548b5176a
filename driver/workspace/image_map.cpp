#include "workspace/image_map.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "workspace/files.hpp"
#include "workspace/layout.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// A line of lld's map: four numbers, then text whose indentation says what it is.
struct map_line {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::size_t indent = 0;  ///< 0 output section, 8 input section, 16 symbol
  std::string_view text;
};

bool parse_number(std::string_view& line, std::uint64_t& value, int base) {
  auto const begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos) return false;
  line.remove_prefix(begin);
  auto const [end, error] = std::from_chars(line.data(), line.data() + line.size(), value, base);
  if (error != std::errc() || end == line.data()) return false;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  return true;
}

bool parse_line(std::string_view line, map_line& out) {
  std::uint64_t load = 0;
  std::uint64_t alignment = 0;
  if (!parse_number(line, out.address, 16) || !parse_number(line, load, 16) ||
      !parse_number(line, out.bytes, 16) || !parse_number(line, alignment, 10) || line.empty()) {
    return false;
  }
  line.remove_prefix(1);
  out.indent = line.find_first_not_of(' ');
  if (out.indent == std::string_view::npos) return false;
  out.text = line.substr(out.indent);
  return true;
}

/// "package_store/NAME/hello.debug.lto.libNAME.a(core_boot.cpp.o at 11514).o" and its kin.
void name_owner(std::string_view object, image_piece& into) {
  if (object == "<internal>") {
    into.package = "(linker)";
    into.file = "(linker)";
    return;
  }
  std::string_view member;
  if (auto const open = object.rfind(".a("); open != std::string_view::npos) {
    member = object.substr(open + 3);
    member = member.substr(0, member.find_first_of(") "));
  }
  if (member.ends_with(".o")) member.remove_suffix(2);
  auto below = [&](std::string_view folder) {
    return object.starts_with(folder) && object.substr(folder.size()).starts_with('/');
  };
  if (below(layout::packages)) {
    auto const rest = object.substr(layout::packages.size() + 1);
    into.package = rest.substr(0, rest.find('/'));
    into.file = member.empty() ? std::string(rest.substr(into.package.size() + 1)) : std::string(member);
    return;
  }
  if (below(layout::objects)) {
    auto file = object.substr(layout::objects.size() + 1);
    // ThinLTO puts "IMAGE.lto." before the last component.
    auto const slash = file.rfind('/');
    auto const last = slash == std::string_view::npos ? 0 : slash + 1;
    std::string name(file.substr(last));
    if (auto const lto = name.find(".lto."); lto != std::string::npos) name.erase(0, lto + 5);
    if (name.ends_with(".o")) name.resize(name.size() - 2);
    into.file = std::string(file.substr(0, last)) + name;
    if (into.file.starts_with(layout::application)) into.file.erase(0, layout::application.size() + 1);
    into.package = "(application)";
    return;
  }
  auto const archive =
      fs::path(object.substr(
                   0, object.find(".a(") == std::string_view::npos ? object.size() : object.find(".a(") + 2))
          .filename()
          .string();
  into.package =
      archive.starts_with("libc++") || archive.starts_with("libunwind") ? "(C++ library)" : "(C library)";
  into.file = member.empty() ? archive : fmt::format("{}({})", archive, member);
}

/// ".text._Z3runv" and ".text.unlikely._Z3runv" to "_Z3runv"; nothing for a section of many functions.
std::string linked_name(std::string_view section) {
  constexpr std::string_view prefixes[] = {".text.unlikely.", ".text.hot.", ".text.startup.", ".text.",
                                           ".data.rel.ro.",   ".rodata.",   ".data.",         ".bss."};
  for (auto const prefix : prefixes) {
    if (section.starts_with(prefix)) return std::string(section.substr(prefix.size()));
  }
  return {};
}

/// "OBJECT:(SECTION)".
void name_input(std::string_view text, image_piece& into) {
  auto const colon = text.rfind(":(");
  name_owner(text.substr(0, colon), into);
  into.symbol = colon == std::string_view::npos ? std::string(text) : std::string(text.substr(colon + 2));
  if (into.symbol.ends_with(')')) into.symbol.pop_back();
  into.linked = linked_name(into.symbol);
}

template <class Header, class Section>
bool read_sections(std::string const& bytes, std::vector<elf_section>& out) {
  Header header{};
  if (bytes.size() < sizeof header) return false;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.e_shentsize != sizeof(Section) || header.e_shstrndx >= header.e_shnum) return false;
  std::vector<Section> sections(header.e_shnum);
  auto const size = sections.size() * sizeof(Section);
  if (header.e_shoff > bytes.size() || size > bytes.size() - header.e_shoff) return false;
  std::memcpy(sections.data(), bytes.data() + header.e_shoff, size);
  auto const& names = sections[header.e_shstrndx];
  if (names.sh_offset > bytes.size() || names.sh_size > bytes.size() - names.sh_offset) return false;
  auto const text = std::string_view(bytes).substr(names.sh_offset, names.sh_size);
  for (auto const& section : sections) {
    if (section.sh_type == SHT_NULL || section.sh_type == SHT_NOBITS || section.sh_name >= text.size())
      continue;
    auto const name = text.substr(section.sh_name);
    out.push_back({.name = std::string(name.substr(0, name.find('\0'))), .bytes = section.sh_size});
  }
  return true;
}

}  // namespace

std::string demangled(std::string const& symbol) {
  if (!symbol.starts_with("_Z")) return symbol;
  // Link-time optimisation appends ".llvm.NUMBER" to what it made visible.
  auto const plain = symbol.substr(0, symbol.find(".llvm."));
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> const text(
      abi::__cxa_demangle(plain.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 && text ? std::string(text.get()) : symbol;
}

outcome<std::vector<elf_section>> read_elf_sections(fs::path const& file) {
  auto const bytes = read_file(file);
  std::vector<elf_section> out;
  auto good = bytes && bytes->size() > EI_NIDENT && bytes->starts_with(ELFMAG);
  if (good) {
    good = (*bytes)[EI_CLASS] == ELFCLASS64 ? read_sections<Elf64_Ehdr, Elf64_Shdr>(*bytes, out)
                                            : read_sections<Elf32_Ehdr, Elf32_Shdr>(*bytes, out);
  }
  if (good) return out;
  return fail({.code = "unreadable-file",
               .message = fmt::format("`{}` is no ELF file that can be read", file.string()),
               .where = source_location{.file = file}});
}

std::vector<image_piece> parse_link_map(std::string_view map, std::vector<elf_section> const& sections) {
  std::map<std::string, std::uint64_t, std::less<>> left;
  for (auto const& section : sections) left.emplace(section.name, section.bytes);
  std::vector<image_piece> out;
  std::string section;
  std::optional<image_piece> input;
  std::uint64_t input_left = 0;
  std::uint64_t symbol_end = 0;
  auto close_input = [&] {
    if (input && input_left != 0) {
      input->bytes = input_left;
      out.push_back(*input);
    }
    input.reset();
  };
  while (!map.empty()) {
    auto const end = map.find('\n');
    auto const text = map.substr(0, end);
    map.remove_prefix(end == std::string_view::npos ? map.size() : end + 1);
    map_line line;
    if (!parse_line(text, line)) continue;
    if (line.indent < 8) {
      close_input();
      section = line.text;
    } else if (!left.contains(section)) {
      continue;
    } else if (line.indent < 16) {
      close_input();
      input.emplace();
      name_input(line.text, *input);
      input->section = section;
      // Merged strings and removed relocations make an input larger than what is left of it.
      auto& room = left.find(section)->second;
      input_left = std::min(line.bytes, room);
      room -= input_left;
      symbol_end = line.address;
    } else if (input && line.bytes != 0 && line.address >= symbol_end && line.bytes <= input_left) {
      image_piece one = *input;
      one.symbol = line.text;
      one.bytes = line.bytes;
      out.push_back(std::move(one));
      input_left -= line.bytes;
      symbol_end = line.address + line.bytes;
    }
  }
  close_input();
  for (auto const& [name, bytes] : left) {
    if (bytes == 0) continue;
    out.push_back(
        {.package = "(linker)", .file = "(linker)", .symbol = name, .section = name, .bytes = bytes});
  }
  return out;
}

outcome<std::vector<image_piece>> read_image(fs::path const& image, fs::path const& map) {
  auto const sections = read_elf_sections(image);
  if (!sections) return std::unexpected(sections.error());
  auto const text = read_file(map);
  if (!text) {
    return fail({.code = "unreadable-file",
                 .message = fmt::format("cannot read the link map `{}`", map.string()),
                 .help = {"`morgana build` writes it"}});
  }
  auto out = parse_link_map(*text, *sections);
  std::uint64_t known = 0;
  for (auto const& piece : out) known += piece.bytes;
  std::error_code error;
  auto const size = fs::file_size(image, error);
  if (!error && size > known) {
    out.push_back({.package = "(ELF headers and padding)",
                   .file = "(ELF headers and padding)",
                   .symbol = "(ELF headers and padding)",
                   .section = "",
                   .bytes = size - known});
  }
  return out;
}

}  // namespace morgana::driver
