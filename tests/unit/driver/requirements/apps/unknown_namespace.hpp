#include <morgana/app.hpp>

using namespace morgana;

task<> start(nett::stack auto& network, consle auto& out);
