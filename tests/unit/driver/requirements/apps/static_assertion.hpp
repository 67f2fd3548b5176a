#include <morgana/app.hpp>

using namespace morgana;

template <class T>
struct at_least_four {
  static_assert(sizeof(T) >= 4, "too small");
  T value;
};
struct options {
  int port = at_least_four<char>{}.value;
};
task<> start(options const& opt);
