// Catch2's main, compiled once for each standard library.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
