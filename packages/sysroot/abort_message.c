/* The last words of libc++abi and libc++, in place of theirs, which bring printf into every image. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(char const* text, size_t size) {
  while (size > 0) {
    ssize_t const written = write(2, text, size);
    if (written <= 0) return;
    text += written;
    size -= (size_t)written;
  }
}

/* Nearly all of their formats have texts only. Of others the rest is shown as it is written. */
_Noreturn static void finish(char const* format, va_list arguments) {
  for (;;) {
    size_t const plain = strcspn(format, "%");
    say(format, plain);
    format += plain;
    if (format[0] != '%' || format[1] != 's') break;
    char const* const text = va_arg(arguments, char const*);
    say(text, strlen(text));
    format += 2;
  }
  say(format, strlen(format));
  say("\n", 1);
  abort();
}

/* Of libc++abi, and std::__libcpp_verbose_abort(char const*, ...). */
__attribute__((visibility("hidden"))) _Noreturn void __abort_message(char const* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  finish(format, arguments);
}
_Noreturn void verbose_abort(char const* format, ...) __asm__("_ZNSt3__122__libcpp_verbose_abortEPKcz");
_Noreturn void verbose_abort(char const* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  finish(format, arguments);
}
