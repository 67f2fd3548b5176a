#include <morgana/app.hpp>

using namespace morgana;

task<> start(stack auto& network);
