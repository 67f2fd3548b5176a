// Every limit of the HTTP server, in one place, with what happens at it. A server takes a copy; the defaults
// fit a website. Each has a counter in statistics.hpp.
//
// Memory at most: connections × (request_line_bytes + headers_bytes + body_room_bytes + response_bytes + about
// 5 KiB), that is 38 KiB for each open connection with the defaults, allocated when it is accepted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "morgana/core/time.hpp"

namespace morgana::http {

struct limits {
  /// Request line without its CRLF. RFC 9112 section 3 asks for 8000 at least. Beyond: 414, then close.
  std::size_t request_line_bytes = 8'000;
  /// Header section, its empty line included. Beyond: 431, then close. Trailers and chunk extensions too.
  std::size_t headers_bytes = 16 * 1024;
  /// Header fields of a request, at most header_fields_max. Beyond: 431, then close.
  std::size_t header_fields = 64;
  /// Request body. Beyond: 413, then close.
  std::uint64_t body_bytes = 1024 * 1024;
  /// Room for body bytes behind the head: what body_reader::next() gives at most, at least.
  std::size_t body_room_bytes = 4 * 1024;
  /// Unread body that is read and thrown away to keep a connection. Beyond: the connection closes.
  std::uint64_t drained_bytes = 64 * 1024;

  /// Requests answered with one gathered write. Beyond: what is gathered is written first.
  std::size_t pipelined_requests = 16;
  /// Bytes kept for heads and small bodies until they are written; response heads may have half of it.
  std::size_t response_bytes = 8 * 1024;
  /// Requests of one connection; the last one is answered with `Connection: close`.
  std::uint64_t requests_per_connection = 1'000'000;
  /// Open connections. At it, accepting waits until one ends; the stack's backlog holds the rest.
  std::size_t connections = 1'024;
  /// Of connections that have ended: how many keep their memory for those to come.
  std::size_t resting_sessions = 8;

  /// Between requests. At it the connection closes without a word.
  duration idle_timeout = 60s;
  /// From the first byte of a head to its last (slow-loris). At it: 408, then close.
  duration header_timeout = 10s;
  /// From the head to the end of the body, plus what rate_bytes_min allows. At it: 408, then close.
  duration body_timeout = 10s;
  /// For one gathered write, plus what rate_bytes_min allows. At it the connection is aborted.
  duration write_timeout = 10s;
  /// Bytes a second that a peer must take or give at least, beyond the timeouts above.
  std::uint64_t rate_bytes_min = 1'024;
  /// After the last response: how long, and how many bytes, a peer may go on sending before the connection is
  /// closed for good (RFC 9112 section 9.6). At either it closes.
  duration linger_timeout = 2s;
  std::uint64_t lingered_bytes = 256 * 1024;
};

/// Size of the table of fields; limits::header_fields cannot be larger.
inline constexpr std::size_t header_fields_max = 128;

}  // namespace morgana::http
