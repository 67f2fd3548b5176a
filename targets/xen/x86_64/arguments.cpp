// The boot arguments: words of the command line. A backslash makes the next character part of its word; words
// that begin with "morgana." are for start-up (boot.cpp), not for the application.
#include "machine.hpp"
#include "morgana/core/platform.hpp"

namespace morgana::xen {
namespace {

constexpr std::size_t words_max = 256;
constinit std::string_view words[words_max];
constinit std::size_t word_count = 0;
constinit bool is_split = false;

void split() {
  is_split = true;
  char* out = command_line;
  for (char const* in = command_line; *in != '\0';) {
    if (*in == ' ') {
      ++in;
      continue;
    }
    auto* const begin = out;
    while (*in != '\0' && *in != ' ') {
      if (*in == '\\' && in[1] != '\0') ++in;
      *out++ = *in++;
    }
    std::string_view const word(begin, static_cast<std::size_t>(out - begin));
    if (word.starts_with("morgana.")) continue;
    if (word_count == words_max) {
      platform::crash(platform::crash_reason::platform, "there are more than 256 boot arguments");
    }
    words[word_count++] = word;
  }
}

}  // namespace
}  // namespace morgana::xen

namespace morgana::platform {

std::span<std::string_view const> arguments() noexcept {
  if (!xen::is_split) xen::split();
  return {xen::words, xen::word_count};
}

}  // namespace morgana::platform
