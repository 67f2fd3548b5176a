#include <morgana/app.hpp>

using namespace morgana;

struct base {
  int max_age = 1;
};
struct options : base {
  bool max_age = true;
};
task<> start(options const& opt);
