#pragma once

#include <chrono>
#include <string>

namespace defaults {
constexpr std::chrono::milliseconds wait(int times) { return std::chrono::milliseconds(250) * times; }
constexpr auto retry = wait(3);
inline std::string motto() { return "small"; }
}  // namespace defaults
