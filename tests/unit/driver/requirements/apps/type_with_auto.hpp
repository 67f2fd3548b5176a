#include <morgana/app.hpp>

using namespace morgana;

struct disk {};
task<> start(disk auto& data);
