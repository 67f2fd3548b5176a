#include <morgana/app.hpp>

using namespace morgana;

class my_stack {
 public:
  explicit my_stack(int);
};
task<> start(my_stack& network, console auto out, console auto&);
