#include <morgana/app.hpp>

using namespace morgana;

task<> start(net::stack auto& network, key_value_store auto const& htdocs, console auto&& out);
