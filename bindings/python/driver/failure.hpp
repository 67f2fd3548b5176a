// The driver's diagnostics as a Python exception: `_driver.Failure`, whose one argument is a list of dicts
// with the members of diagnostic (file, line and column in place of `where`).
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::python {

/// Thrown with Python's lock held or not; becomes Failure at the border.
struct failure {
  driver::diagnostics all;
};

template <class T>
T value_of(driver::outcome<T>&& from) {
  if (!from) throw failure{std::move(from).error()};
  if constexpr (!std::is_void_v<T>) return std::move(*from);
}

void define_failure(pybind11::module_& in);

/// A value of libmorgana's JSON as Python's own.
[[nodiscard]] pybind11::object parse_json(std::string const& text);

}  // namespace morgana::python
