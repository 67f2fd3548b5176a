// The report as text and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "diagnostic/escape.hpp"
#include "morgana/driver/conformance.hpp"

namespace morgana::driver {
namespace {

std::string_view name_of(level_verdict verdict) {
  switch (verdict) {
    case level_verdict::passed:
      return "passed";
    case level_verdict::failed:
      return "failed";
    case level_verdict::coming:
      return "coming";
  }
  return "failed";
}

}  // namespace

std::string to_text(level_result const& level) {
  auto out = fmt::format("{:<16}{}", level.name,
                         level.verdict == level_verdict::failed ? "FAILED" : name_of(level.verdict));
  if (!level.reason.empty()) out += ": " + escaped(level.reason);
  out += '\n';
  std::string_view rest = level.console_tail;
  while (!rest.empty()) {
    auto const end = std::min(rest.find('\n'), rest.size());
    out += fmt::format("    | {}\n", escaped(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

std::string to_text(conformance_report const& report) {
  std::string out;
  std::size_t passed = 0, failed = 0;
  for (auto const& level : report.levels) {
    out += to_text(level);
    passed += level.verdict == level_verdict::passed ? 1 : 0;
    failed += level.verdict == level_verdict::failed ? 1 : 0;
  }
  return out + fmt::format("{}: {} passed, {} failed\n", report.target, passed, failed);
}

std::string to_json(conformance_report const& report) {
  auto levels = nlohmann::ordered_json::array();
  for (auto const& level : report.levels) {
    levels.push_back({{"name", level.name},
                      {"verdict", name_of(level.verdict)},
                      {"reason", level.reason},
                      {"console", level.console_tail},
                      {"ms", level.took.count()}});
  }
  nlohmann::ordered_json const all{{"kind", "conformance"},
                                   {"target", report.target},
                                   {"passed", report.passed()},
                                   {"levels", std::move(levels)}};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace morgana::driver
