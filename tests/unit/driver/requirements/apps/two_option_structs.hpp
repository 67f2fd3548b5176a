#include <morgana/app.hpp>

using namespace morgana;

struct options {
  int port = 80;
};
struct more {
  int count = 1;
};
task<> start(option_set<options> auto const& opt, more const& others);
