#include <morgana/app.hpp>

using namespace morgana;

#include "other_start.hpp"

task<> start(net::stack auto& network, console auto& out);
