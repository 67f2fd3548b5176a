// The name a device has in this image: the parameter of start() it serves. A device whose connect() takes it
// right after the context says `takes_name = true` in its catalogue entry; main.gen.cpp hands it over.
//
//   static task<result<disk>> connect(context& in, device_name name, disk_options const& options);
//
// Devices that a platform keys by name use it: a disk or a network that the runner attached. Where a platform only
// numbers its devices, the place among those of the same concept is the number.
#pragma once

#include <cstdint>
#include <string_view>

namespace morgana {

struct device_name {
  std::string_view text;    ///< lives for ever
  std::uint32_t place = 0;  ///< among the devices of this implementation, in the order of start()'s parameters
};

}  // namespace morgana
