// The same with the standard library in it, for what only real types can show.
#pragma once

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace morgana {

struct error {
  int code = 0;
};
template <class T>
using result = std::expected<T, error>;

template <class T = void>
class task {
 public:
  struct promise_type {
    task get_return_object();
    std::suspend_never initial_suspend() noexcept;
    std::suspend_never final_suspend() noexcept;
    void return_value(T);
    void unhandled_exception();
  };
};

namespace net {
template <class T>
concept stack = requires(T& it) { it.listen(std::uint16_t{}); };
}  // namespace net
template <class T>
concept key_value_store = requires(T& it) { it.get(std::string_view{}); };

template <class T>
struct option_parser;
template <>
struct option_parser<bool> {};
template <std::integral T>
  requires(!std::same_as<T, bool>)
struct option_parser<T> {};
template <std::floating_point T>
struct option_parser<T> {};
template <class T>
  requires std::is_enum_v<T>
struct option_parser<T> {};
template <>
struct option_parser<std::string> {};
template <>
struct option_parser<std::string_view> {};
template <class Rep, class Period>
struct option_parser<std::chrono::duration<Rep, Period>> {};
template <class T>
  requires requires { sizeof(option_parser<T>); }
struct option_parser<std::optional<T>> {};

template <class T, class Options>
concept option_set = requires { typename T::template holds<Options>; };

}  // namespace morgana
