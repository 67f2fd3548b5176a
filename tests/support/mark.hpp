// Writes a letter when it is destroyed, so that a test sees when a coroutine's frame went.
#pragma once

#include <string>

namespace morgana::test {

struct mark {
  mark(std::string& into, char letter) : into_(&into), letter_(letter) {}
  mark(mark const&) = delete;
  mark& operator=(mark const&) = delete;
  ~mark() { *into_ += letter_; }
  std::string* into_;
  char letter_;
};

}  // namespace morgana::test
