#include <morgana/app.hpp>

using namespace morgana;

struct options {
  int port = 80;
};
template <class T>
concept quick = true;
template <int Size, quick Q>
task<> start(Q& it, clock_of<int> auto& clock, console auto&... many);
