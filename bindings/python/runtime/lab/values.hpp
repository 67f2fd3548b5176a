// Plain values between the simulated world and the module that shows it to Python: what an operation gave,
// what went wrong. Nothing here has virtual functions, so that code with type information (pybind11's) and
// code without it (the runtime's) may both include it.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "morgana/core/result.hpp"
#include "morgana/core/time.hpp"

namespace morgana::python {

/// What went wrong, in words, and of which kind: the module makes an exception of it.
struct problem {
  enum class kind : std::uint8_t {
    wrong_use,   ///< RuntimeError
    bad_value,   ///< ValueError
    name,        ///< socket.gaierror
    connection,  ///< OSError of `number`, an errno
  };
  problem::kind what = problem::kind::wrong_use;
  int number = 0;
  std::string text;
};

template <class T = void>
using answer = std::expected<T, problem>;

[[nodiscard]] inline std::unexpected<problem> wrong_use(std::string text) {
  return std::unexpected(problem{problem::kind::wrong_use, 0, std::move(text)});
}
[[nodiscard]] inline std::unexpected<problem> bad_value(std::string text) {
  return std::unexpected(problem{problem::kind::bad_value, 0, std::move(text)});
}
/// An error of the runtime's, with its chain of causes as text.
[[nodiscard]] problem problem_of(error const& from);

using handle = std::uint32_t;  ///< a socket, of its world; never given twice

/// Where something is, as Python has it: ("10.0.0.1", 80).
struct place {
  std::string address;
  std::uint16_t port = 0;
};
struct datagram {
  std::string bytes;
  place from;
  bool was_cut = false;
};
struct arrival {
  std::string bytes;  ///< a whole frame
  instant at;         ///< the world's time
  std::uint32_t port = 0;
};

/// What an operation gave: nothing, bytes, a number, a time, a socket, a datagram, addresses, a frame.
struct socket_made {
  handle which = 0;
};
using given = std::variant<std::monostate, std::string, std::uint64_t, duration, socket_made, datagram,
                           std::vector<std::string>, arrival>;

struct outcome {
  std::uint64_t operation = 0;
  std::optional<problem> failed;
  python::given given;
};

}  // namespace morgana::python
