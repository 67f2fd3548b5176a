// What every image has, unless unikernel.toml says otherwise: constants that the generated main defines then, as those of
// morgana/net/features.hpp are.
#pragma once

namespace morgana::features {

/// The texts of --help (`help = false`). Without them it says where they are, and a wrong value what is expected.
extern bool const help;

}  // namespace morgana::features
