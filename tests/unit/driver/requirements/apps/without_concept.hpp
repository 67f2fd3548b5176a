#include <morgana/app.hpp>

using namespace morgana;

task<> start(net::stack auto& network, auto& disk);
