#include <morgana/app.hpp>

using namespace morgana;

struct options {
  int port = 80
};
unknown_type a_global;
task<> start(net::stack auto& network, options const& opt);
