// The extension module `_driver`: libmorgana for Python, as plain values. The classes that people use are
// written in Python, over this.
#include <pybind11/pybind11.h>

#include <string>

#include "morgana/driver/workspace.hpp"

PYBIND11_MODULE(_driver, m) {
  m.doc() = "The driver: libmorgana as values. Private: use the classes of `morgana`.";
  m.def("version", [] { return std::string(morgana::driver::morgana_version); });
}
