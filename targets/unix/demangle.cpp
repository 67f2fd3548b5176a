// A stand-in for libc++abi's name demangler, which its default terminate handler would bring into every image:
// 170 KiB to print one name in a message that a guest without exceptions never prints. With it, an exception
// that a library lets escape is reported by its mangled name, as in a crash report; the driver demangles both.
//
// Weak, so that a program may bring a real one.
#include <cstddef>

extern "C" [[gnu::weak]] char* __cxa_demangle(char const*, char*, std::size_t*, int* status);

extern "C" char* __cxa_demangle(char const*, char*, std::size_t*, int* status) {
  constexpr int not_a_name = -2;
  if (status != nullptr) *status = not_a_name;
  return nullptr;
}
