// Requirements between packages, and how versions compare.
#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "morgana/driver/recipe.hpp"
#include "package/libsolv.hpp"
#include "package/names.hpp"

namespace morgana::driver {

namespace {

using relation = package_requirement::relation;

struct operator_name {
  std::string_view text;
  relation op;
};
// Longer ones first: `<=` is not `<`.
constexpr operator_name operators[] = {
    {"<=", relation::less_equal}, {">=", relation::greater_equal}, {"=", relation::equal},
    {"<", relation::less},        {">", relation::greater},
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::unexpected<diagnostics> wrong(located_string const& text, std::string_view why) {
  return fail({.code = "wrong-value",
               .message = fmt::format("`{}` is no requirement: {}", text.value, why),
               .where = text.where,
               .help = {"write `NAME`, or `NAME OP VERSION` with OP one of = < <= > >="}});
}

}  // namespace

outcome<package_requirement> parse_requirement(located_string const& text) {
  package_requirement result;
  auto const whole = trimmed(text.value);
  auto const end = std::min(whole.find_first_of(" <>=!~"), whole.size());
  result.name = whole.substr(0, end);
  if (!package_detail::is_package_name(result.name)) {
    return wrong(text, fmt::format("`{}` is no name of a package", result.name));
  }
  auto rest = trimmed(whole.substr(end));
  if (rest.empty()) return result;
  auto const* const found =
      std::ranges::find_if(operators, [&](auto const& one) { return rest.starts_with(one.text); });
  if (found == std::end(operators))
    return wrong(text, fmt::format("`{}` does not begin with an operator", rest));
  result.op = found->op;
  rest = trimmed(rest.substr(found->text.size()));
  result.version = rest;
  if (!package_detail::is_package_version(result.version)) {
    return wrong(text, fmt::format("`{}` is no version", result.version));
  }
  return result;
}

int compare_versions(std::string const& left, std::string const& right) {
  std::unique_ptr<Pool, void (*)(Pool*)> const pool(pool_create(), pool_free);
  pool_setdisttype(pool.get(), DISTTYPE_DEB);
  return pool_evrcmp_str(pool.get(), left.c_str(), right.c_str(), EVRCMP_COMPARE);
}

}  // namespace morgana::driver
