// What the tests of machines share: targets made by hand, and a way to collect a whole run.
#pragma once

#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "morgana/driver/machine.hpp"

namespace morgana::driver::testing {

/// Long enough that only a hang reaches it, on a busy machine too.
inline machine::clock::time_point soon() {
  return machine::clock::now() + std::chrono::seconds(60);
}

inline target fake_target(std::vector<std::string> how) {
  target out;
  out.name = "fake";
  out.folder = MORGANA_TEST_PROGRAMS;
  out.file = out.folder / "fake.toml";
  out.runner = {"fake_runner"};
  out.runner.insert(out.runner.end(), how.begin(), how.end());
  return out;
}

struct run_result {
  std::string console;
  std::optional<exit_event> exit;
  std::vector<std::string> errors, states;
  std::optional<diagnostics> failure;
};

/// Takes events until the machine is over.
inline run_result finish(machine& running) {
  run_result out;
  auto const deadline = soon();
  for (;;) {
    auto event = running.next(deadline);
    if (!event) {
      out.failure = event.error();
      return out;
    }
    if (!*event) return out;
    if (auto* console = std::get_if<console_event>(&**event)) out.console += console->data;
    if (auto* error = std::get_if<error_event>(&**event)) out.errors.push_back(error->message);
    if (auto* state = std::get_if<state_event>(&**event)) out.states.push_back(state->type);
    if (auto* exit = std::get_if<exit_event>(&**event)) out.exit = *exit;
  }
}

}  // namespace morgana::driver::testing
