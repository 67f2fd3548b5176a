#include <morgana/app.hpp>

using namespace morgana;

task<> start(net::stak auto& network);
