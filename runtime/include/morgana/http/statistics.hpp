// What a server counts. Plain numbers, read at any time; every limit of limits.hpp has one.
#pragma once

#include <cstdint>

namespace morgana::http {

struct statistics {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_open = 0;
  std::uint64_t sessions_made = 0;            ///< other connections had the memory of one that ended
  std::uint64_t requests = 0;                 ///< heads given to the handler
  std::uint64_t responses = 0;                ///< final responses, those of refused requests included
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t writes = 0;                   ///< gathered writes

  // Limits that were reached.
  std::uint64_t request_lines_too_long = 0;   ///< 414
  std::uint64_t headers_too_large = 0;        ///< 431, bytes
  std::uint64_t too_many_headers = 0;         ///< 431, fields
  std::uint64_t bodies_too_large = 0;         ///< 413
  std::uint64_t pipelines_full = 0;           ///< gathered responses written before the next was begun
  std::uint64_t connections_used_up = 0;      ///< requests_per_connection
  std::uint64_t accepts_delayed = 0;          ///< connections
  std::uint64_t idle_timeouts = 0;
  std::uint64_t header_timeouts = 0;          ///< 408
  std::uint64_t body_timeouts = 0;            ///< 408
  std::uint64_t write_timeouts = 0;
  std::uint64_t bodies_not_drained = 0;       ///< drained_bytes
  std::uint64_t lingers_cut = 0;              ///< linger_timeout or lingered_bytes
  std::uint64_t response_heads_too_large = 0; ///< the handler's header() calls did not fit: 500

  // Errors of peers and handlers.
  std::uint64_t malformed = 0;                ///< 400
  std::uint64_t unsupported = 0;              ///< 417, 501, 505
  std::uint64_t peers_lost = 0;               ///< ended or reset in the middle of a request or response
  std::uint64_t handlers_silent = 0;          ///< a handler returned without a response: 500
  std::uint64_t responses_cut = 0;            ///< a handler wrote less than the length it had announced
  std::uint64_t headers_refused = 0;          ///< header() with a name or value that RFC 9110 forbids: 500
  std::uint64_t accept_errors = 0;
};

}  // namespace morgana::http
