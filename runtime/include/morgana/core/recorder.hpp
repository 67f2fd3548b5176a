// Files that a guest writes for people: captures, traces, dumps. A recording is made from front to back and
// never read by the guest; where it goes is the platform's business: a file of the host, or of the simulator.
//
//   auto file = recorder.begin("network.pcapng");
//   if (auto written = file->append(parts); !written) ...
//
// What append() took is there even if the guest crashes right behind it: nothing of it is kept back in the
// guest. It waits for the host, so a recording is for finding out, not for work.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

#include "morgana/core/result.hpp"

namespace morgana {

/// append: all parts, one behind the other, or an error after which the recording is of no more use.
template <class R>
concept recording = std::movable<R> && requires(R& file, std::span<std::span<std::byte const> const> parts) {
  { file.append(parts) } -> std::same_as<result<void>>;
};

/// begin: a new recording, in place of one that had this name.
template <class R>
concept recorder = requires(R& device, std::string_view name) {
  requires recording<typename R::recording>;
  { device.begin(name) } -> std::same_as<result<typename R::recording>>;
};

}  // namespace morgana
