// A client of xenstore, without I/O: requests become bytes for a ring, bytes from a ring become replies and
// watch events (io/xs_wire.h; docs/misc/xenstore.txt has the meaning of each request).
//
//   client.read(1, 0, "control/shutdown");      // false: no room yet, transmit first
//   client.transmit(requests);                  // true: tell the other side
//   while (auto event = client.receive(replies)) ...
//
// Answers come in any order and carry the request's number, which the user chooses. What the other side says
// is not trusted: a message that is too long or cannot be one breaks the client, and nothing more is taken.
// Nothing is allocated; requests wait in `outgoing_bytes_max`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "byte_ring.hpp"

namespace morgana::xen {

enum class store_operation : std::uint32_t {
  directory = 1,
  read = 2,
  watch = 4,
  unwatch = 5,
  transaction_start = 6,
  transaction_end = 7,
  write = 11,
  make_directory = 12,
  remove = 13,
  watch_event = 15,
  error = 16,
};

struct store_header {
  std::uint32_t operation, request, transaction, bytes;
};
inline constexpr std::size_t store_payload_bytes_max = 4096;

/// Texts are valid until the next call of the client.
struct store_event {
  enum class kind : std::uint8_t {
    reply,  ///< `text` is what the request gives; of a directory names, each ended by a NUL
    error,  ///< `text` is the error's name: "ENOENT", "EAGAIN" (a transaction that must be tried again)
    watch   ///< something at or below `text` changed; `token` is the watch's
  } what;
  std::uint32_t request = 0;
  std::string_view text = {};
  std::string_view token = {};
};

class store_client {
 public:
  static constexpr std::size_t outgoing_bytes_max = 2 * (sizeof(store_header) + store_payload_bytes_max);

  /// Each gives false when the request is longer than xenstore takes, or does not fit in what waits.
  [[nodiscard]] bool read(std::uint32_t request, std::uint32_t transaction, std::string_view path);
  [[nodiscard]] bool directory(std::uint32_t request, std::uint32_t transaction, std::string_view path);
  [[nodiscard]] bool write(std::uint32_t request, std::uint32_t transaction, std::string_view path,
                           std::string_view value);
  [[nodiscard]] bool make_directory(std::uint32_t request, std::uint32_t transaction, std::string_view path);
  [[nodiscard]] bool remove(std::uint32_t request, std::uint32_t transaction, std::string_view path);
  [[nodiscard]] bool watch(std::uint32_t request, std::string_view path, std::string_view token);
  [[nodiscard]] bool unwatch(std::uint32_t request, std::string_view path, std::string_view token);
  /// The reply's text is the transaction's number.
  [[nodiscard]] bool transaction_start(std::uint32_t request);
  enum class end : std::uint8_t { commit, abort };
  [[nodiscard]] bool transaction_end(std::uint32_t request, std::uint32_t transaction, end how);

  /// Moves what fits; true when it moved something.
  bool transmit(byte_ring& requests);
  [[nodiscard]] bool has_waiting() const { return outgoing_size_ != 0; }

  /// The next event, when all of it is there.
  [[nodiscard]] std::optional<store_event> receive(byte_ring& replies);

  /// Another xenstore: what waits and what has come of an answer is for nobody.
  void restart() { outgoing_size_ = incoming_size_ = 0; }

  /// The other side sent what cannot be.
  [[nodiscard]] bool is_broken() const { return is_broken_; }

 private:
  enum class last_part : std::uint8_t { ended_by_nul, bare };
  [[nodiscard]] bool put(store_operation what, std::uint32_t request, std::uint32_t transaction,
                         std::string_view first, std::string_view second, last_part last);
  [[nodiscard]] std::optional<store_event> event_of(store_header const& header, std::string_view payload);

  std::array<std::byte, outgoing_bytes_max> outgoing_{};
  std::size_t outgoing_size_ = 0;
  std::array<std::byte, sizeof(store_header) + store_payload_bytes_max> incoming_{};
  std::size_t incoming_size_ = 0;
  bool is_broken_ = false;
};

}  // namespace morgana::xen
