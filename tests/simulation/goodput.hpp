// How fast one bulk transfer is, by congestion control, loss, round trip and receive buffer: a table that is
// the same on every machine, so that a change of the stack that costs or gains shows up as a difference of a
// text file.
#pragma once

#include <string>

namespace morgana::simulation {

[[nodiscard]] std::string goodput_table();

}  // namespace morgana::simulation
