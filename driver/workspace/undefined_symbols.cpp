#include "workspace/undefined_symbols.hpp"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "workspace/compiler_output.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view error_mark = "ld.lld: error: undefined symbol: ";
constexpr std::string_view user_mark = ">>> referenced by ";
constexpr std::string_view more_mark = ">>>";
constexpr std::size_t others_shown_max = 12;

std::string demangle(std::string const& name) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> const text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 && text ? std::string(text.get()) : name;
}

std::string shown(std::string const& name) {
  auto text = demangle(name);
  // The versions of the library's namespace say nothing to anybody.
  for (auto at = text.find("std::__1::"); at != std::string::npos; at = text.find("std::__1::", at)) {
    text.erase(at + 5, 5);
  }
  // Of a function its name: who calls it knows with what.
  return text.substr(0, text.find('('));
}

/// "file.hpp:12 (./file.hpp:12)": what stands in parentheses.
std::optional<source_location> place_in(std::string_view user) {
  if (!user.ends_with(')')) return std::nullopt;
  auto const begin = user.rfind(" (");
  if (begin == std::string_view::npos) return std::nullopt;
  auto const place = user.substr(begin + 2, user.size() - begin - 3);
  auto const colon = place.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  source_location out{.file = fs::path(place.substr(0, colon))};
  auto const number = place.substr(colon + 1);
  auto const [end, problem] = std::from_chars(number.data(), number.data() + number.size(), out.line);
  if (problem != std::errc() || end != number.data() + number.size()) return std::nullopt;
  return out;
}

}  // namespace

bool undefined_symbols::take(std::string_view line) {
  auto const plain = without_escapes(line);
  std::string_view const text(plain);
  if (text.starts_with(error_mark)) {
    inside_ = true;
    all_.push_back({.name = std::string(text.substr(error_mark.size())), .users = {}, .where = {}});
    return true;
  }
  if (!inside_) return false;
  if (text.starts_with(user_mark)) {
    auto& one = all_.back();
    auto user = text.substr(user_mark.size());
    if (auto place = place_in(user); place && place->file.is_relative() && !one.where)
      one.where = std::move(place);
    // "file.hpp:12 (./file.hpp:12)" says it twice.
    auto const again = user.rfind(" (./");
    if (again != std::string_view::npos && user.substr(again + 4) == std::string(user.substr(0, again)) + ")")
      user = user.substr(0, again);
    one.users.emplace_back(user);
    return true;
  }
  inside_ = text.starts_with(more_mark);
  // The second line of a user: the function, in parentheses behind the object.
  if (auto const function = text.find(":("); inside_ && function != text.npos && !all_.back().users.empty()) {
    all_.back().users.back() +=
        " in " + std::string(text.substr(function + 2, text.rfind(')') - function - 2));
  }
  return inside_ || text.empty();
}

std::optional<diagnostic> undefined_symbols::explain(target const& on, fs::path const& application) const {
  if (all_.empty()) return std::nullopt;
  // One whose place is the application's says most.
  auto const first =
      std::ranges::max_element(all_, {}, [](symbol const& one) { return one.where.has_value(); });
  auto const name = shown(first->name);
  // What is the host's elsewhere is the target's affair; what is declared in our headers or in the
  // application's is defined by a package or by nobody.
  bool const is_host = !on.undefined_help.empty() && !name.starts_with("morgana::");
  diagnostic out{
      .code = is_host ? "forbidden-symbol" : "undefined-symbol",
      .message = is_host ? fmt::format("`{}` cannot be used on the target `{}`", name, on.name)
                         : fmt::format("`{}` is declared, but nothing in the image defines it", name),
      .where = first->where,
      .help = {is_host ? on.undefined_help
                       : "add the package that has it to `packages` in unikernel.toml, or the file that "
                         "defines it to `sources`"}};
  if (out.where) {
    out.where->file = (application / out.where->file).lexically_normal();
  }
  for (auto const& user : first->users) {
    out.notes.push_back({.message = fmt::format("needed by {}", user)});
  }
  std::size_t others = 0;
  for (auto const& one : all_) {
    if (&one == &*first) continue;
    if (++others > others_shown_max) break;
    out.notes.push_back({.message = fmt::format("`{}` neither, needed by {}", shown(one.name),
                                                one.users.empty() ? "the linker" : one.users.front())});
  }
  return out;
}

}  // namespace morgana::driver
