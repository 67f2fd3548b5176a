#include <morgana/app.hpp>

using namespace morgana;

template <class Network>
task<> start(Network& network);
