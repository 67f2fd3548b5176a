#include <morgana/app.hpp>

using namespace morgana;

struct settings {
  int port = 80;
};
morgana::task<int> start(settings const& chosen, morgana::block_device auto& disk);
