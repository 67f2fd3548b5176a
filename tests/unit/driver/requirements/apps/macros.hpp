#include <morgana/app.hpp>

using namespace morgana;

#define PORT 80
#define TWICE(number) ((number)*2)
#define FIELD(name) int name = 4

namespace acme {
template <class T>
concept sensor = requires(T& it) { it.sample(); };
}  // namespace acme

struct options {
  int port = PORT;
  int next = 1 + TWICE(PORT);
  FIELD(made);
  int called = [] { return 7; }();
};

template <class Set>
  requires option_set<Set, options>
task<> start(acme::sensor auto& thermometer, Set const& opt);
