#include <morgana/app.hpp>

using namespace morgana;

namespace {
task<> start(net::stack auto& network);
}
