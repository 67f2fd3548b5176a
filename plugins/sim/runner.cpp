// sim-runner: runs a simulated host in a process of its own, sim-host, which stands beside this program. All
// of the conversation with the driver is the plugin API's process runner.
#include <unistd.h>

#include "morgana/plugin/process_runner.hpp"

namespace {

using namespace morgana::plugin;

struct sim_runner final : process_runner {
  [[nodiscard]] std::vector<std::string> capabilities() const override {
    auto out = process_runner::capabilities();
    out.emplace_back("virtual-time");
    return out;
  }

  [[nodiscard]] std::expected<process_launch, runner_error> launch(start_request const& what) override {
    auto out = process_runner::launch(what);
    if (!out) return out;
    char self[4096];
    auto const size = ::readlink("/proc/self/exe", self, sizeof self);
    if (size <= 0 || size == static_cast<ssize_t>(sizeof self)) {
      return std::unexpected(runner_error{"cannot tell where this runner is"});
    }
    std::string_view const path(self, static_cast<std::size_t>(size));
    auto program = std::string(path.substr(0, path.rfind('/'))) + "/sim-host";
    if (::access(program.c_str(), X_OK) != 0) {
      return std::unexpected(
          runner_error{program + " is not there", {"it is built and installed with sim-runner"}});
    }
    out->command.insert(out->command.begin(), std::move(program));
    if (auto const seed = what.settings.find("seed"); seed != what.settings.end()) {
      out->environment["MORGANA_SEED"] = seed->second;
    }
    if (auto const world = what.settings.find("world");
        world != what.settings.end() && !world->second.empty()) {
      out->environment["MORGANA_WORLD"] = world->second;
    }
    // The guest's memory is an arena that the simulator limits itself.
    out->data_bytes_max = 0;
    return out;
  }

  /// What sim-host could not begin is no ending of a guest's.
  [[nodiscard]] guest_exit classify(process_end const& end) const override {
    if (WIFEXITED(end.wait_status) &&
        WEXITSTATUS(end.wait_status) == morgana::machine_protocol::exit_status::driver_failure) {
      return {WEXITSTATUS(end.wait_status), morgana::machine_protocol::exit_reason::failed};
    }
    return process_runner::classify(end);
  }
};

}  // namespace

int main() {
  return sim_runner().run();
}
