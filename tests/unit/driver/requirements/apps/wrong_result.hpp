#include <morgana/app.hpp>

using namespace morgana;

void start(net::stack auto& network);
