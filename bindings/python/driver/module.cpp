// The extension module `_driver`: libmorgana for Python, as plain values. The classes that people use are
// written in Python, over this.
#include <pybind11/pybind11.h>

#include <string>

#include "application.hpp"
#include "failure.hpp"
#include "machine.hpp"
#include "morgana/driver/workspace.hpp"

PYBIND11_MODULE(_driver, m) {
  m.doc() = "The driver: libmorgana as values. Private: use the classes of `morgana`.";
  m.def("version", [] { return std::string(morgana::driver::morgana_version); });
  m.def("data_folder", [] { return morgana::driver::data_folder().string(); });
  morgana::python::define_failure(m);
  morgana::python::define_application(m);
  morgana::python::define_machine(m);
}
