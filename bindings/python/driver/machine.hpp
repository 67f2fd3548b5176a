// A running unikernel for Python: the class `_driver.Machine`, over driver::machine.
//
// Each has a thread of its own that takes in what the guest says, without Python's lock: a guest that prints
// while the test does something else never waits for it. So a Machine may be used by any thread of the
// process that started it; in a fork of that process, and after close(), every call raises Misuse.
#pragma once

#include <pybind11/pybind11.h>

namespace morgana::python {

/// Most of a console that is kept, bytes; of more, the oldest half goes.
inline constexpr std::size_t console_bytes_max = 16u << 20;

void define_machine(pybind11::module_& in);

}  // namespace morgana::python
