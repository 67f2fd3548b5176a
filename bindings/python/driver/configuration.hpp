// What configure() gave, shared between Python's objects.
#pragma once

#include <memory>
#include <utility>

#include "morgana/driver/workspace.hpp"

namespace morgana::python {

class configuration_handle {
 public:
  explicit configuration_handle(std::shared_ptr<driver::configuration const> what) : what_(std::move(what)) {}
  driver::configuration const& operator*() const { return *what_; }
  driver::configuration const* operator->() const { return what_.get(); }

 private:
  std::shared_ptr<driver::configuration const> what_;
};

}  // namespace morgana::python
