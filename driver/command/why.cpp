#include "command/commands.hpp"
namespace morgana::driver {
int why_command(output&, why_arguments const&) {
  return 1;
}
int size_command(output&, size_arguments const&) {
  return 1;
}
}  // namespace morgana::driver
