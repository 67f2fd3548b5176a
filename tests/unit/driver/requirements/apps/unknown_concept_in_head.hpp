#include <morgana/app.hpp>

using namespace morgana;

template <blok_device Disk>
task<> start(Disk& disk);
