#include "workspace/symbolize.hpp"

#include <fmt/format.h>

#include <vector>

#include "morgana/driver/workspace.hpp"
#include "package/process.hpp"

namespace morgana::driver {

std::string symbolize_report(std::string_view report, std::filesystem::path const& debug_file) {
  constexpr std::string_view mark = "image+0x";
  constexpr std::size_t frames_max = 64;
  std::vector<std::string> addresses;
  for (auto at = report.find(mark); at != std::string_view::npos && addresses.size() < frames_max;
       at = report.find(mark, at + mark.size())) {
    auto const begin = at + mark.size();
    auto const end = report.find_first_not_of("0123456789abcdefABCDEF", begin);
    auto const digits = report.substr(begin, end == std::string_view::npos ? end : end - begin);
    if (!digits.empty() && digits.size() <= 16) addresses.push_back("0x" + std::string(digits));
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
  call.line = [&](std::string_view line) {
    if (!line.empty()) out += fmt::format("  #{} {}\n", frame++, line);
  };
  if (!package_detail::run_process(call).good()) return {};
  out.pop_back();
  return out;
}

}  // namespace morgana::driver
