// Errors as values. Every fallible function returns result<T>; an area defines its own enum and the texts
// of its values:
//
//   enum class error_code : std::uint8_t { refused, reset };
//   error_domain const& domain_of(error_code);             // found by argument-dependent lookup
//   return failure(error_code::refused);
//
// An error is small to move (32 bytes) and allocates only when a cause is put under it: `e.during("connect")`
// keeps the old error as the cause of a new one, so that what reaches the console is the whole chain:
//   start → network: connect: connection refused
#pragma once

#include <concepts>
#include <cstdint>
#include <expected>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace morgana {

/// Names the values of one area's error enum.
struct error_domain {
  std::string_view name;                            ///< "net", "storage"
  std::string_view (*message)(std::uint32_t code);  ///< "connection refused"; static text, never empty
};

template <class E>
concept error_enum = std::is_enum_v<E> && requires(E code) {
  { domain_of(code) } -> std::same_as<error_domain const&>;
};

class [[nodiscard]] error {
 public:
  /// `detail` is a number that helps a person (errno, a limit, a line); 0 is not shown.
  template <error_enum E>
  constexpr error(E code, std::int64_t detail = 0)  // NOLINT: implicit on purpose
      : domain_(&domain_of(code)), code_(static_cast<std::uint32_t>(code)), detail_(detail) {}

  error(error&&) noexcept = default;
  error& operator=(error&&) noexcept = default;
  error(error const& other);
  error& operator=(error const& other);
  ~error() = default;

  template <error_enum E>
  [[nodiscard]] bool is(E code) const {
    return domain_ == &domain_of(code) && code_ == static_cast<std::uint32_t>(code);
  }

  [[nodiscard]] error_domain const& domain() const { return *domain_; }
  [[nodiscard]] std::uint32_t code() const { return code_; }
  [[nodiscard]] std::int64_t detail() const { return detail_; }
  [[nodiscard]] std::string_view message() const { return domain_->message(code_); }

  /// What was being done, outermost first: the activity of this link and the error under it, if any.
  [[nodiscard]] std::string_view activity() const;
  [[nodiscard]] error const* cause() const;

  /// The same error, said to have happened during `activity` (text that lives for ever, such as a literal
  /// or a device's name). The code stays that of the innermost error, so is() still answers.
  [[nodiscard]] error during(std::string_view activity) &&;

 private:
  error(error_domain const& domain, std::uint32_t code, std::int64_t detail)
      : domain_(&domain), code_(code), detail_(detail) {}
  struct link;
  struct unlink {
    void operator()(link*) const noexcept;
  };
  error_domain const* domain_;
  std::uint32_t code_;
  std::int64_t detail_;
  std::unique_ptr<link, unlink> link_;
};

template <class T = void>
using result = std::expected<T, error>;

/// The failing result of any type.
template <error_enum E>
[[nodiscard]] std::unexpected<error> failure(E code, std::int64_t detail = 0) {
  return std::unexpected<error>(error(code, detail));
}
[[nodiscard]] inline std::unexpected<error> failure(error what) {
  return std::unexpected<error>(std::move(what));
}

/// Errors that any area can give.
enum class core_error : std::uint8_t {
  timed_out,      ///< the deadline passed
  cancelled,      ///< the scope that waited for it ended first
  limit_reached,  ///< a documented limit; detail is the limit
  out_of_memory,
  invalid_argument,
  not_found,
  device_missing,  ///< the platform has no device of that name: the operator must attach one
  not_supported,   ///< by this device or platform
  not_seeded,      ///< randomness was asked for before the generator had enough entropy
  closed,          ///< the other end, or this one, was closed before
};
[[nodiscard]] error_domain const& domain_of(core_error);

class text_writer;

/// The whole chain on one line: "start → network: connect: connection refused (111)".
void write_text(text_writer& out, error const& value);

}  // namespace morgana
