// Catch2's main, compiled once for each standard library.
#define CATCH_CONFIG_MAIN
#include <new>  // Catch2 uses std::nothrow without saying so, which libc++ holds it to
#include <catch2/catch.hpp>
