// A variable of the environment for as long as a test needs it.
#pragma once

#include <stdlib.h>

#include <string>

namespace morgana::test {

/// A variable of the environment, restored at the end; nullptr takes it away.
class environment_variable {
 public:
  environment_variable(char const* name, char const* value) : name_(name) {
    if (auto const* old = ::getenv(name)) old_ = old, had_ = true;
    if (value)
      setenv(name, value, 1);
    else
      unsetenv(name);
  }
  environment_variable(environment_variable const&) = delete;
  environment_variable& operator=(environment_variable const&) = delete;
  ~environment_variable() {
    if (had_)
      setenv(name_, old_.c_str(), 1);
    else
      unsetenv(name_);
  }

 private:
  char const* name_;
  std::string old_;
  bool had_ = false;
};

}  // namespace morgana::test
