#include "workspace/compiler_output.hpp"

#include <fmt/format.h>

#include "workspace/layout.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// "FILE:12:3: error: ..." and its kin.
bool opens_diagnostic(std::string_view line) {
  for (auto const* kind : {": error: ", ": warning: ", ": note: ", ": fatal error: "}) {
    if (line.find(kind) != std::string_view::npos) return true;
  }
  return line.starts_with("In file included from ") || line.starts_with("ld.lld: ");
}

}  // namespace

std::string without_escapes(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b' && i + 1 < text.size() && text[i + 1] == '[') {
      i += 2;
      while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
      continue;
    }
    out += text[i];
  }
  return out;
}

compiler_output::compiler_output(fs::path application, fs::path build_folder, fs::path here)
    : application_(std::move(application)), build_folder_(std::move(build_folder)), here_(std::move(here)) {
  auto const relative = application_.lexically_relative(here_);
  if (relative == ".") {
    shown_application_ = "";
  } else if (!relative.empty() && *relative.begin() != "..") {
    shown_application_ = relative.string() + '/';
  } else {
    shown_application_ = application_.string() + '/';
  }
}

bool compiler_output::take(std::string_view line, std::string& shown) {
  shown = line;
  replace_all(shown, fmt::format("{}/{}/", build_folder_.string(), layout::application),
              application_.string() + '/');
  auto const plain = without_escapes(shown);
  auto const generated = build_folder_.string() + "/main.gen.cpp:";
  if (opens_diagnostic(plain)) {
    auto const is_generated = plain.find(generated) != std::string::npos;
    auto const is_note = plain.find(": note: ") != std::string::npos;
    auto const is_include = plain.starts_with("In file included from ");
    state_ = is_generated && is_note ? where::generated_note : where::outside;
    if (is_generated && is_include) return false;
  }
  if (state_ == where::generated_note) return false;
  replace_all(shown, application_.string() + '/', shown_application_);
  return true;
}

}  // namespace morgana::driver
