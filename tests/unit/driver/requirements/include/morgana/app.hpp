// A stand-in for the runtime's headers: as much of them as the signature of an entry point can name, and
// without the standard library, so that a test parses in milliseconds.
#pragma once

namespace morgana {

inline namespace v1 {
template <class T = void>
class task {};
}  // namespace v1

template <class T>
class result {};

namespace net {
template <class T>
concept stack = requires(T& it) { it.listen(80); };
template <class T>
concept device = requires(T& it) { it.mac(); };
}  // namespace net

template <class T>
concept key_value_store = requires(T& it) { it.get("key"); };
template <class T>
concept block_device = requires(T& it) { it.sector_bytes(); };
template <class T>
concept console = requires(T& it) { it.write("text"); };
template <class T, class Unit>
concept clock_of = requires(T& it, Unit unit) { it.now(unit); };

namespace detail {
template <class T>
concept hidden = true;
template <class T>
inline constexpr bool is_integer = false;
template <>
inline constexpr bool is_integer<int> = true;
template <>
inline constexpr bool is_integer<unsigned short> = true;
template <class T>
concept integer = is_integer<T>;
}  // namespace detail

template <class T>
struct option_parser;
template <>
struct option_parser<bool> {};
template <detail::integer T>
struct option_parser<T> {};
template <class T>
  requires(__is_enum(T))
struct option_parser<T> {};

template <class T, class Options>
concept option_set = requires { typename T::template holds<Options>; };

}  // namespace morgana
