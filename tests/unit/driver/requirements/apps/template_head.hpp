#include <morgana/app.hpp>

using namespace morgana;

namespace app {
struct timer {};
void start(timer& one);
template <net::stack Network, console Out>
task<> start(Network& network, Out& out);
template <net::stack N, console O>
task<> start(N& network, O& out) {
  return {};
}
}  // namespace app
