// The smallest application: it starts, and ends with status 0.
#pragma once

#include "morgana/app.hpp"

inline morgana::task<> start() { co_return; }
