// What an image has of its packages: `choices` of their recipes, [choices.NAME] of unikernel.toml, --NAME.CHOICE=VALUE.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "morgana/driver/codegen.hpp"
#include "morgana/driver/description.hpp"
#include "morgana/driver/package.hpp"

namespace morgana::driver {

/// Whether an option of the command line is a choice of a package, be it in the image or not.
[[nodiscard]] bool names_package_choice(std::vector<repository> const& repositories, std::string_view option);

/// The values of all choices, by package. Errors: `unknown-package` (it is none of the image's), and those of
/// evaluate_settings().
[[nodiscard]] outcome<package_choices> choose_in_packages(std::vector<repository> const& repositories,
                                                          std::vector<chosen_package> const& packages,
                                                          description const& app,
                                                          std::map<std::string, std::string> const& command_line);

/// What the generated main defines: of each package nothing, or all its constants when one is not as it is by itself.
[[nodiscard]] std::vector<image_constant> constants_of(std::vector<chosen_package> const& packages,
                                                       package_choices const& values);

}  // namespace morgana::driver
