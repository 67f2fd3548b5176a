#include <fmt/format.h>

#include <system_error>

#include "morgana/driver/description.hpp"
#include "morgana/driver/toml.hpp"

namespace morgana::driver {
namespace {

constexpr std::string_view file_name = "unikernel.toml";

diagnostic no_description(std::filesystem::path const& looked_for, std::filesystem::path const& folder,
                          bool exists) {
  diagnostic result{.code = "no-description",
                    .message = exists ? fmt::format("there is no {} in {}", file_name, folder.string())
                                      : fmt::format("there is nothing at {}", looked_for.string())};
  std::error_code error;
  for (auto at = folder; at.has_relative_path(); at = at.parent_path()) {
    if (auto const above = at.parent_path() / file_name; std::filesystem::is_regular_file(above, error)) {
      result.notes.push_back({"an application was found above", source_location{above}});
      result.help.push_back(fmt::format("name its folder: {}", at.parent_path().string()));
      break;
    }
  }
  result.help.push_back("`morgana new NAME` makes a new application");
  return result;
}

}  // namespace

outcome<description> read_description(std::filesystem::path const& path) {
  std::error_code error;
  auto absolute =
      std::filesystem::absolute(path.empty() ? std::filesystem::path(".") : path, error).lexically_normal();
  if (error) absolute = path;
  // "a/b/." and "a/b/" are "a/b".
  if (!absolute.has_filename() && absolute.has_relative_path()) absolute = absolute.parent_path();

  auto file = absolute;
  if (std::filesystem::is_directory(absolute, error)) {
    file = absolute / file_name;
    if (!std::filesystem::exists(file, error)) return fail(no_description(file, absolute, true));
  } else if (!std::filesystem::exists(absolute, error)) {
    return fail(no_description(absolute, absolute, false));
  } else if (absolute.extension() != ".toml") {
    // A common slip: naming the entry point.
    auto result = no_description(absolute, absolute.parent_path(), true);
    result.message = fmt::format("{} is no description", absolute.string());
    result.help.insert(result.help.begin(),
                       fmt::format("name the folder that holds {}, or that file", file_name));
    return fail(std::move(result));
  }
  auto text = read_text_file(file);
  if (!text) return fail(std::move(text));
  return parse_description(*text, file);
}

}  // namespace morgana::driver
