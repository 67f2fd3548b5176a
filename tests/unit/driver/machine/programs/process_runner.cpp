// The runner for processes as it comes, for the guest beside it.
#include "morgana/plugin/process_runner.hpp"

int main() {
  return morgana::plugin::process_runner().run();
}
