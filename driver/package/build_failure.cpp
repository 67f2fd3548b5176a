#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include "package/compile.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    auto const end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::optional<std::uint32_t> take_number(std::string_view& text) {
  auto const colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::uint32_t value = 0;
  auto const digits = text.substr(colon + 1);
  auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  text = text.substr(0, colon);
  return value;
}

// Names in the output are those of the staging folder; the user knows the real ones.
fs::path real_file(std::string_view file, std::vector<build_item> const& items) {
  for (auto const& item : items) {
    if (file.starts_with(item.prefix + "/"))
      return item.package->source / file.substr(item.prefix.size() + 1);
  }
  return fs::path(file);
}

struct first_error {
  std::string message;
  std::optional<source_location> where;
};

// `FILE:LINE:COLUMN: error: TEXT`, or `clang: error: TEXT`.
std::optional<first_error> find_error(std::vector<std::string_view> const& lines,
                                      std::vector<build_item> const& items) {
  for (auto const line : lines) {
    for (std::string_view const mark : {": error: ", ": fatal error: "}) {
      auto const at = line.find(mark);
      if (at == std::string_view::npos) continue;
      first_error found{std::string(line.substr(at + mark.size())), std::nullopt};
      auto place = line.substr(0, at);
      auto const column = take_number(place);
      auto const row = column ? take_number(place) : std::nullopt;
      if (row) found.where = source_location{real_file(place, items), *row, *column, 1};
      return found;
    }
  }
  return std::nullopt;
}

}  // namespace

diagnostic explain_failure(std::string_view output, std::vector<build_item> const& items,
                           std::vector<entry_build> const& entries, fs::path const& log) {
  auto const lines = lines_of(output);
  auto const error = find_error(lines, items);
  // `FAILED: PREFIX-KEY/obj/...` says whose command it was.
  recipe const* failed = nullptr;
  for (auto const line : lines) {
    if (!line.starts_with("FAILED: ")) continue;
    for (auto const& entry : entries) {
      if (line.find(entry.folder + "/") != std::string_view::npos) failed = &entry.item->package->what;
    }
    break;
  }
  diagnostic result;
  result.code = "package-build";
  auto const who = failed ? fmt::format("package `{}` {}", failed->name.value, failed->version) : "a package";
  if (error) {
    result.message = fmt::format("{} does not build: {}", who, error->message);
    result.where = error->where;
  } else {
    std::string_view last;
    for (auto const line : lines) {
      if (!line.empty() && !line.starts_with("ninja: ") && !line.starts_with("[")) last = line;
    }
    result.message =
        fmt::format("{} does not build: {}", who, last.empty() ? "ninja gave up without a word" : last);
  }
  result.notes.push_back({fmt::format("everything the compiler said is in {}", log.string())});
  if (failed) result.notes.push_back({"its recipe is here", failed->name.where});
  return result;
}

std::vector<std::string> read_depfile(std::string_view text) {
  std::vector<std::string> names;
  auto const colon = text.find(": ");
  if (colon == std::string_view::npos) return names;
  std::string word;
  auto const flush = [&] {
    if (!word.empty()) names.push_back(std::move(word));
    word.clear();
  };
  for (std::size_t at = colon + 1; at < text.size(); ++at) {
    char const one = text[at];
    char const next = at + 1 < text.size() ? text[at + 1] : '\n';
    if (one == '\\' && next == '\n') {
      flush();
      ++at;
    } else if ((one == '\\' && (next == ' ' || next == '#')) || (one == '$' && next == '$')) {
      word += next;
      ++at;
    } else if (one == ' ' || one == '\n') {
      flush();
    } else {
      word += one;
    }
  }
  flush();
  return names;
}

}  // namespace morgana::driver::package_detail
