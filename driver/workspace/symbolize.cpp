#include "workspace/symbolize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

#include "morgana/driver/workspace.hpp"
#include "package/process.hpp"

namespace morgana::driver {

std::string symbolize_report(std::string_view report, std::filesystem::path const& debug_file) {
  // A line of the call chain is "  +0x00007ebf NAME", or begins with '?' where the stack was only searched.
  // All but the first are return addresses, which may stand on the line after the call, or in the next
  // function.
  constexpr std::string_view mark = " +0x";
  constexpr std::size_t frames_max = 64;
  std::vector<std::string> addresses;
  for (std::string_view rest = report; !rest.empty() && addresses.size() < frames_max;) {
    auto const line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.empty() || (line.front() != ' ' && line.front() != '?')) continue;
    if (!line.substr(1).starts_with(mark)) continue;
    auto const digits = line.substr(1 + mark.size());
    std::uint64_t address = 0;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address, 16);
    if (error != std::errc() || address == 0) continue;
    addresses.push_back(fmt::format("{:#x}", addresses.empty() ? address : address - 1));
  }
  if (addresses.empty()) return {};
  auto const tool = find_llvm_tool("llvm-symbolizer");
  if (!tool) return {};
  package_detail::process_call call;
  call.arguments = {tool->string(),   "--obj=" + debug_file.string(),
                    "--functions",    "--demangle",
                    "--pretty-print", "--no-inlines"};
  call.arguments.insert(call.arguments.end(), addresses.begin(), addresses.end());
  std::string out = "where it was:\n";
  std::size_t frame = 0;
  // "FUNCTION at ./unikernel.hpp:69:3": the application's folder is written as a dot.
  constexpr std::string_view place = " at ./";
  call.line = [&](std::string_view line) {
    if (line.empty()) return;
    auto const at = line.rfind(place);
    out += at == line.npos
               ? fmt::format("  #{} {}\n", frame++, line)
               : fmt::format("  #{} {} at {}\n", frame++, line.substr(0, at), line.substr(at + place.size()));
  };
  if (!package_detail::run_process(call).good()) return {};
  out.pop_back();
  return out;
}

}  // namespace morgana::driver
