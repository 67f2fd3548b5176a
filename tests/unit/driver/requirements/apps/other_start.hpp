#pragma once
#include <morgana/app.hpp>

namespace other {
morgana::task<> start(morgana::console auto& out);
}
