// A target's settings, and the flags that depend on them.
#include <fmt/format.h>

#include <charconv>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

std::uint64_t target_settings::memory_bytes() const {
  auto const found = values.find("memory");
  if (found == values.end()) return 0;
  return parse_size(found->second).value_or(0);
}

std::vector<std::string> evaluate_flags(std::vector<std::string> const& flags,
                                        target_settings const& settings) {
  std::vector<std::string> out;
  for (auto const& flag : flags) {
    std::string text;
    std::size_t at = 0;
    while (at < flag.size()) {
      auto const open = flag.find('{', at);
      auto const question = flag.find('?', open);
      auto const colon = flag.find(':', question);
      auto const close = flag.find('}', colon);
      // Anything else in braces is a flag's own; parse_target has checked those that are conditions.
      if (close == std::string::npos) {
        text += flag.substr(at);
        break;
      }
      text += flag.substr(at, open - at);
      auto const name = flag.substr(open + 1, question - open - 1);
      auto const found = settings.values.find(name);
      auto const on = found != settings.values.end() && found->second == "true";
      text +=
          on ? flag.substr(question + 1, colon - question - 1) : flag.substr(colon + 1, close - colon - 1);
      at = close + 1;
    }
    if (!text.empty()) out.push_back(std::move(text));
  }
  return out;
}

}  // namespace morgana::driver
