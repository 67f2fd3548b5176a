#include <morgana/app.hpp>

morgana::task<> start(net::stack auto& network);
