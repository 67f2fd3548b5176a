#include <algorithm>

#include "conformance/kit.hpp"

namespace morgana::driver {
namespace {

constexpr std::size_t tail_lines_max = 20;
constexpr std::size_t tail_bytes_max = 2048;

std::string tail_of(std::string_view console) {
  if (console.size() > tail_bytes_max) console.remove_prefix(console.size() - tail_bytes_max);
  std::size_t lines = 0;
  for (auto at = console.size(); at > 0; --at) {
    if (console[at - 1] == '\n' && at != console.size() && ++lines == tail_lines_max) {
      console.remove_prefix(at);
      break;
    }
  }
  return std::string(console);
}

level_result check_level(conformance::level const& one, conformance::kit& with) {
  level_result out{.name = std::string(one.says.name)};
  if (one.says.is_coming) {
    out.verdict = level_verdict::coming;
    return out;
  }
  auto const begin = std::chrono::steady_clock::now();
  auto const wrong = one.check(with);
  out.took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  out.verdict = wrong ? level_verdict::failed : level_verdict::passed;
  if (wrong) {
    out.reason = *wrong;
    out.console_tail = tail_of(with.last_console());
  }
  return out;
}

}  // namespace

bool conformance_report::passed() const {
  return std::ranges::none_of(levels, [](auto const& one) { return one.verdict == level_verdict::failed; });
}

std::vector<level_declaration> const& conformance_levels() {
  static auto const all = [] {
    std::vector<level_declaration> out;
    for (auto const& one : conformance::levels()) out.push_back(one.says);
    return out;
  }();
  return all;
}

outcome<conformance_report> check_conformance(conformance_input const& input) {
  std::vector<std::string> names;
  std::string list;
  for (auto const& one : conformance_levels()) {
    names.emplace_back(one.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  for (auto const& wanted : input.levels) {
    if (std::ranges::find(names, wanted) != names.end()) continue;
    diagnostic unknown{.code = "unknown-name", .message = "there is no conformance level `" + wanted + "`"};
    if (auto const near = nearest(wanted, names)) unknown.help.push_back("did you mean `" + *near + "`?");
    unknown.notes.push_back({.message = "levels: " + list});
    return fail(std::move(unknown));
  }

  conformance::kit with(input);
  conformance_report report{.target = input.on->name, .levels = {}};
  for (auto const& one : conformance::levels()) {
    if (!input.levels.empty() && std::ranges::find(input.levels, one.says.name) == input.levels.end())
      continue;
    report.levels.push_back(check_level(one, with));
    if (input.progress) input.progress(report.levels.back());
  }
  return report;
}

}  // namespace morgana::driver
