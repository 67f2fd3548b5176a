// What the C++ ABI library calls when it cannot go on: an exception that nobody caught, a pure virtual call.
// Its own handler prints the exception's type, for which it brings a demangler of 120 KB; ours is the
// platform's crash report. Defining these variables keeps the library's own out of an image, with
// exceptions in it or without.
#include <exception>

#include "morgana/core/platform.hpp"

namespace {

[[noreturn]] void terminated() {
  morgana::platform::crash(morgana::platform::crash_reason::assertion,
                           "std::terminate: an exception nobody caught");
}

}  // namespace

// Declared by libc++abi's private header cxa_handlers.h; their names are the ABI library's. All three that its
// object file has, so that none of them brings it in; weak, so that an application that calls std::set_terminate
// and does bring it in still links.
extern "C" {
extern void (*__cxa_terminate_handler)();
extern void (*__cxa_unexpected_handler)();
extern void (*__cxa_new_handler)();
[[gnu::weak]] void (*__cxa_terminate_handler)() = terminated;
[[gnu::weak]] void (*__cxa_unexpected_handler)() = terminated;
[[gnu::weak]] void (*__cxa_new_handler)() = nullptr;
}
