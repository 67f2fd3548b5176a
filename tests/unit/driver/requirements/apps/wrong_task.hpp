#include <morgana/app.hpp>

using namespace morgana;

task<double> start(net::stack auto& network);
