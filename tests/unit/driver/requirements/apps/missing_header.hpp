#include <morgana/app.hpp>

using namespace morgana;

#include "not_there.hpp"
task<> start(net::stack auto& network);
