// Conditional and range requests over one representation: RFC 9110 sections 13 and 14, as a pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "morgana/http/request.hpp"

namespace morgana::http {

/// What the server knows of the representation it selected.
struct representation {
  std::uint64_t size_bytes = 0;
  std::string_view entity_tag;                 ///< strong, with its quotes; empty: none
  std::int64_t modified_unix_seconds = 0;      ///< 0: not known
};

struct byte_range {
  std::uint64_t first = 0;
  std::uint64_t size = 0;
  friend bool operator==(byte_range const&, byte_range const&) = default;
};

enum class range_outcome : std::uint8_t { none, satisfiable, unsatisfiable };

/// `Range` of a representation of `size_bytes`. none: not bytes, malformed, or several ranges; the whole is
/// sent then, as section 14.2 allows.
[[nodiscard]] range_outcome parse_range(std::string_view value, std::uint64_t size_bytes, byte_range& found);

enum class disposition : std::uint8_t {
  whole,                   ///< 200
  part,                    ///< 206; `range` says which
  not_modified,            ///< 304
  precondition_failed,     ///< 412
  unsatisfiable,           ///< 416
};

struct decision {
  disposition what = disposition::whole;
  byte_range range;
};

/// Applies If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, If-Range and Range in the order
/// of section 13.2.2. For GET and HEAD; a range only for GET.
[[nodiscard]] decision evaluate(request const& asked, representation const& selected);

}  // namespace morgana::http
