#include <morgana/app.hpp>

using namespace morgana;

struct options {
  int port = 80;
};
task<> start(options opt, console auto* out);
