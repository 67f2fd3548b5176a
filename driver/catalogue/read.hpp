// Parts of a catalogue file that a target's file has too.
#pragma once

#include "morgana/driver/catalogue.hpp"
#include "morgana/driver/toml.hpp"

namespace morgana::driver {

/// The [[device]] entries of a table; mistakes are reported to its document.
[[nodiscard]] catalogue read_device_entries(toml_table& root);

/// `key = { NAME = { type, default, help, values } }`; a name of `reserved` is an error.
[[nodiscard]] std::map<std::string, setting_declaration> read_setting_declarations(
    toml_table& in, std::string_view key, std::vector<std::string> const& reserved);

}  // namespace morgana::driver
