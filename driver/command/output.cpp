#include "command/output.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace morgana::driver {
namespace {

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

bool is_set(char const* name) {
  auto const* value = std::getenv(name);
  return value != nullptr && value[0] != '\0';
}

}  // namespace

void output::set(format how, std::string_view color, bool verbose) {
  format_ = how;
  verbose_ = verbose;
  auto const* term = std::getenv("TERM");
  auto const is_dumb = term != nullptr && std::string_view(term) == "dumb";
  terminal_ = how == format::text && ::isatty(STDERR_FILENO) == 1 && !is_dumb;
  auto const wanted = color == "always" || (color == "auto" && terminal_ && !is_set("NO_COLOR"));
  color_ = wanted ? color_choice::always : color_choice::never;
}

void output::line(nlohmann::ordered_json const& json) {
  std::cout << json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n'
            << std::flush;
}

int output::report(diagnostics const& all) {
  clear();
  std::error_code ignored;
  auto const here = std::filesystem::current_path(ignored);
  for (auto const& one : all) {
    if (is_json()) {
      print_json(std::cout, one);
    } else {
      print_text(std::cerr, one, here, color_);
    }
  }
  std::cout << std::flush;
  return exit_code::diagnosed;
}

void output::say(std::string_view text) {
  clear();
  if (is_json()) {
    line({{"kind", "info"}, {"message", text}});
  } else {
    std::cerr << text << '\n';
  }
}

void output::detail(std::string_view text) {
  if (verbose_) say(text);
}

void output::result(std::string_view text, nlohmann::ordered_json const& json) {
  clear();
  if (is_json()) {
    line(json);
  } else {
    std::cout << text << std::flush;
  }
}

void output::tool(std::string_view text) {
  clear();
  if (is_json()) {
    line({{"kind", "output"}, {"text", text}});
  } else {
    std::cerr << text << std::flush;
  }
}

void output::step(std::string_view what, std::size_t done, std::size_t total) {
  auto const text = total != 0 ? fmt::format("[{}/{}] {}", done, total, what) : std::string(what);
  if (is_json()) {
    line({{"kind", "progress"}, {"message", what}, {"done", done}, {"total", total}});
    return;
  }
  if (verbose_) {
    if (text != last_) std::cerr << text << '\n';
    last_ = text;
    return;
  }
  if (!terminal_) return;
  // Names may hold bytes of any kind; a cut in the middle of a character is better than a wrapped line.
  auto cut = text.substr(0, terminal_columns() - 1);
  for (auto& c : cut) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  std::cerr << "\r\033[K" << cut << std::flush;
  shown_ = true;
}

void output::clear() {
  if (shown_) std::cerr << "\r\033[K" << std::flush;
  shown_ = false;
}

}  // namespace morgana::driver
