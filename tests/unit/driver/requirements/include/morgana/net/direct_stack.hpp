#pragma once

#include <morgana/app.hpp>

namespace morgana::net {

/// What the stack of our own can be told at boot.
struct direct_stack_options {
  /// Largest packet, in bytes.
  int mtu = 1500;
  bool gso = true;
};

template <class Device>
class direct_stack {
 public:
  struct options {
    int window = 1 << 16;
  };
};

struct only_declared;

}  // namespace morgana::net
