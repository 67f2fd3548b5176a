// Fuzzes the boot options: arguments are the lines of the input. What is refused must print as one line
// without control characters; what is accepted must be written and read back as the same value.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "morgana/core/log_levels.hpp"
#include "morgana/core/options.hpp"

using namespace morgana;

namespace {

enum class color { red, green };

struct options {
  std::uint16_t port = 8080;
  std::int64_t offset = 0;
  bool verbose = false;
  std::string_view greeting;
  std::chrono::milliseconds pause{};
  color paint = color::red;
  std::optional<std::uint8_t> limit;
  log_levels log;
};

}  // namespace

template <>
struct morgana::option_names<color> {
  static constexpr std::pair<std::string_view, color> values[] = {{"red", color::red},
                                                                  {"green", color::green}};
};

namespace {

constexpr boot_option table[] = {
    option<&options::port>("port", ""),        option<&options::offset>("offset", ""),
    option<&options::verbose>("verbose", ""),  option<&options::greeting>("greeting", ""),
    option<&options::pause>("pause", ""),      option<&options::paint>("paint", ""),
    option<&options::limit>("disk.limit", ""), option<&options::log>("log", ""),
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<char const*>(data), size);
  std::vector<std::string_view> arguments;
  while (!rest.empty()) {
    auto const end = rest.find('\n');
    arguments.push_back(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  options into;
  auto const assigned = assign_options(table, &into, arguments);
  if (!assigned) {
    fixed_text<512> line;
    write_text(line, assigned.error());
    if (line.view().empty()) std::abort();
    for (char const c : line.view()) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
    }
    return 0;
  }
  for (auto const& one : table) {
    static char first[65'536];
    static char second[65'536];
    text_writer value{std::span(first)};
    one.write_value(value, &into);
    if (value.was_cut() || (one.name == "disk.limit" && value.view().empty())) continue;
    options again;
    if (!one.assign(&again, value.view())) std::abort();
    text_writer back{std::span(second)};
    one.write_value(back, &again);
    if (back.view() != value.view()) std::abort();
  }
  return 0;
}
