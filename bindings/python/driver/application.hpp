// Configuring and building for Python: the class `_driver.Configuration`.
#pragma once

#include <pybind11/pybind11.h>

namespace morgana::python {

void define_application(pybind11::module_& in);

}  // namespace morgana::python
