// Fuzzes the recipe reader and the requirements in it: what is accepted must keep the promises of recipe.hpp.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "morgana/driver/recipe.hpp"

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace morgana::driver;
  std::string_view const text(reinterpret_cast<char const*>(data), size);
  auto const read = parse_recipe(text, "/repository/name.toml");
  if (!read) {
    expect(!read.error().empty());
  } else {
    expect(!read->name.value.empty() && read->name.value.find('/') == std::string::npos);
    expect(compare_versions(read->version, read->version) == 0);
    for (auto const& one : read->requires_) expect(parse_requirement(one).has_value());
    for (auto const* list : {&read->sources, &read->include, &read->export_include, &read->patches}) {
      for (auto const& one : *list) expect(!one.starts_with('/') && one.find("..") != 0);
    }
  }
  if (size <= 512) {
    auto const requirement = parse_requirement({std::string(text), {}});
    if (requirement) expect(compare_versions(requirement->version, requirement->version) == 0);
  }
  return 0;
}
