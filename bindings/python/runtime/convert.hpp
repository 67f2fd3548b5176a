// Between values of the simulated world and Python's: dicts by name, problems as exceptions.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "lab/simulation.hpp"

namespace morgana::python {

namespace py = pybind11;

/// The exception that shows a problem, not raised. New reference.
[[nodiscard]] py::object exception_of(problem const& from);
[[noreturn]] void raise(problem const& from);

template <class T>
T unwrap(answer<T>&& from) {
  if (!from) raise(from.error());
  if constexpr (!std::is_void_v<T>) return std::move(*from);
}

/// Changes what `from` names; ValueError for a name or a number that makes no sense.
void update(sim::link_settings& settings, py::dict const& from);
void update(net::tcp::settings& settings, py::dict const& from);
[[nodiscard]] py::dict dict_of(sim::link_settings const& from);
[[nodiscard]] py::dict dict_of(sim::link_counters const& from);
[[nodiscard]] py::dict dict_of(net::tcp::settings const& from);
[[nodiscard]] py::dict dict_of(net::tcp::information const& from);
[[nodiscard]] py::dict dict_of(net::core_counters const& from);
[[nodiscard]] py::dict dict_of(net::tcp::engine_counters const& from);
[[nodiscard]] py::object object_of(given const& from);

[[nodiscard]] stack_description stack_of(std::string const& name, py::dict const& options);

/// Seconds from Python, at most ~292 years; None: nothing.
[[nodiscard]] std::optional<duration> timeout_of(std::optional<double> const& seconds);

}  // namespace morgana::python
