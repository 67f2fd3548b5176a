#include <morgana/app.hpp>

using namespace morgana;

struct point {
  int x, y;
};
struct options {
  int port = 80;
  point where;
  int const* numbers = nullptr;
};
task<> start(options const& opt);
