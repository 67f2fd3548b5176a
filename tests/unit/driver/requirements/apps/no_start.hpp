#include <morgana/app.hpp>

using namespace morgana;

task<> strat(net::stack auto& network);
inline constexpr int start = 1;
