// unix-runner: runs a hosted guest as a child process. All of it is the plugin API's process runner.
#include "morgana/plugin/process_runner.hpp"

int main() {
  return morgana::plugin::process_runner().run();
}
