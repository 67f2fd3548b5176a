// compile_commands.json, so that clangd and clang-tidy read the application as it is built.
#include <nlohmann/json.hpp>

#include "morgana/driver/plan.hpp"

namespace morgana::driver {

std::string to_compile_commands(build_plan const& plan) {
  auto all = nlohmann::ordered_json::array();
  for (auto const& command : plan.compile_commands) {
    all.push_back({{"directory", command.directory.string()},
                   {"file", command.file.string()},
                   {"arguments", command.arguments}});
  }
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace morgana::driver
