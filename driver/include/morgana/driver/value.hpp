// Values with a place: what the description, a catalogue or a recipe says, and where it says it, so that
// a later step can point at the line that is wrong.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {

/// A value and the place it was read from.
template <class T>
struct located {
  T value{};
  source_location where{};

  friend bool operator==(located const&, located const&) = default;
};

using located_string = located<std::string>;

/// Configuration texts by name, each with its place. Every configuration value is text until the step that
/// knows its type reads it: TOML integers, booleans and strings all arrive as they would be typed on a
/// command line (`8080`, `true`, `htdocs`).
using setting_map = std::map<std::string, located_string>;

}  // namespace morgana::driver
