// The commands. Each gets what the command line said and gives an exit status.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "command/output.hpp"
#include "morgana/driver/machine.hpp"
#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

/// What most commands take.
struct place_arguments {
  std::string path = ".";
  std::string target = {};  ///< empty: not said
  std::string output_folder = {};
  [[nodiscard]] std::filesystem::path build_root() const;
  [[nodiscard]] configure_request request() const;
};

struct configure_arguments {
  place_arguments place;
  std::map<std::string, std::string> options = {};
  bool dry_run = false;
  bool locked = false;
  bool offline = false;
};
int configure_command(output& out, configure_arguments const& with);

struct build_arguments {
  place_arguments place;
  unsigned jobs = 0;
};
int build_command(output& out, build_arguments const& with);
int clean_command(output& out, place_arguments const& with);

struct run_arguments {
  place_arguments place;
  std::vector<std::string> arguments = {};    ///< after `--`
  std::vector<std::string> environment = {};  ///< NAME=VALUE
  std::string memory = {};
  std::string seed = {};                   ///< the target's setting of this name
  std::string world = {};                  ///< a file; the target's setting of this name
  std::vector<std::string> disks = {};     ///< NAME=FILE[,ro]
  std::vector<std::string> networks = {};  ///< [NAME=]tap, [NAME=]tap:INTERFACE or [NAME=]fd:N
  double timeout_s = 0;                    ///< 0: none
};
int run_guest_command(output& out, run_arguments const& with);
/// The machine of a built image. Errors: `wrong-value` (what was typed), `unknown-device` (a name that the image has
/// not).
[[nodiscard]] outcome<machine_configuration> machine_for(workspace_state const& state, run_arguments const& with);

struct debug_arguments {
  run_arguments run;
  std::vector<std::string> commands = {};  ///< the debugger's own, once the guest stands at its start
  bool batch = false;                      ///< end after them
  bool print = false;                      ///< only say what would be run
};
int debug_command(output& out, debug_arguments const& with);

struct test_arguments {
  std::string path = ".";
  std::vector<std::string> targets = {};    ///< empty: the application's own
  std::vector<std::string> arguments = {};  ///< after `--`, to pytest
};
int test_command(output& out, test_arguments const& with);

struct describe_arguments {
  place_arguments place;
  bool json = false;
  bool dot = false;
};
int describe_command(output& out, describe_arguments const& with);

struct query_arguments {
  place_arguments place;
  std::string what;
};
int query_command(output& out, query_arguments const& with);

struct why_arguments {
  place_arguments place;
  std::string thing;
};
int why_command(output& out, why_arguments const& with);

struct size_arguments {
  place_arguments place;
  std::string by = "package";
  std::size_t most = 30;
};
int size_command(output& out, size_arguments const& with);

struct update_arguments {
  place_arguments place;
  std::string package = {};  ///< empty: all
  bool dry_run = false;
};
int update_command(output& out, update_arguments const& with);

struct new_arguments {
  std::string name;
  std::string folder = {};  ///< empty: the name
};
int new_command(output& out, new_arguments const& with);

int targets_command(output& out, place_arguments const& with);
int devices_command(output& out, place_arguments const& with);
int plugin_list_command(output& out, place_arguments const& with, bool why);
int plugin_new_command(output& out, std::string const& name, std::string const& folder);
struct plugin_check_arguments {
  std::string name;
  std::vector<std::string> levels = {};
};
int plugin_check_command(output& out, plugin_check_arguments const& with);
int plugin_verb_command(output& out, std::string const& name, std::string const& verb,
                        std::vector<std::string> const& arguments);
int doctor_command(output& out, place_arguments const& with);

struct embed_arguments {
  std::string table, depfile, folder, source;
};
int embed_command(output& out, embed_arguments const& with);

/// Configures when that was not done, or when something changed, saying so.
[[nodiscard]] outcome<workspace_state> ensure_configured(output& out, place_arguments const& with);
/// ensure_configured, then the pipeline again for its values; nothing is written the second time.
[[nodiscard]] outcome<configuration> ensure_values(output& out, place_arguments const& with);
/// Configures if need be, and builds.
[[nodiscard]] outcome<workspace_state> ensure_built(output& out, place_arguments const& with,
                                                    unsigned jobs = 0);

}  // namespace morgana::driver
