// Prints the packages that are linked into its image, with their versions and licences.
#pragma once

#include "morgana/app.hpp"
#include "morgana/core/build_info.hpp"

morgana::task<> start(morgana::console auto& console) {
  for (auto const& package : morgana::build_info()) {
    morgana::fixed_text<160> line;
    line.append("{} {} ({})\n", package.name, package.version, package.licence);
    console.write(line.view());
  }
  co_return;
}
