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

/// A configuration value. Every one is text until the step that knows its type reads it: TOML integers,
/// booleans and strings all arrive as they would be typed on a command line (`8080`, `true`, `htdocs`).
struct setting {
  std::string value{};
  source_location where{};       ///< of the value; file is empty when it came from the command line
  source_location where_name{};  ///< of its key

  friend bool operator==(setting const&, setting const&) = default;
};

/// Settings by name.
using setting_map = std::map<std::string, setting>;

}  // namespace morgana::driver
