// The `morgana` command: everything a terminal sees. It parses arguments, calls the workspace, prints what
// came out, and turns that into an exit status: 0 done, 1 a diagnostic was printed, 2 wrong usage; `run` gives
// the guest's own status and 125 for a failure of its own.
#pragma once

namespace morgana::driver {

[[nodiscard]] int run_command(int argument_count, char const* const* arguments);

}  // namespace morgana::driver
