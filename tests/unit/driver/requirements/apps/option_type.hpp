#include <morgana/app.hpp>

using namespace morgana;

struct point {
  int x, y;
};
struct options {
  int port = 80;
  point where;
  int const* pointer = nullptr;
  int numbers[3] = {};
};
task<> start(options const& opt);
