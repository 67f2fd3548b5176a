#include <morgana/app.hpp>

using namespace morgana;

task<> start(flux_capacitor auto& past);
