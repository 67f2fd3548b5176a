// One end of a conversation: writes its stream, reads the other's and compares every byte with what it must
// be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "morgana/net/buffer_pool.hpp"
#include "morgana/net/tcp/connection.hpp"
#include "morgana/sim/oracle.hpp"
#include "plan.hpp"

namespace morgana::simulation {

/// The bytes of a stream, each from its offset: nothing is stored to be compared with.
class stream_content {
 public:
  stream_content(std::uint64_t seed, std::uint32_t conversation, std::size_t side);
  void fill(std::uint64_t offset, std::span<std::byte> into) const;
  /// Where it differs first, from `offset`; nothing when it does not.
  [[nodiscard]] std::optional<std::uint64_t> difference(std::uint64_t offset,
                                                        std::span<std::byte const> got) const;

  /// The conversation's number, from the first eight bytes of side 0's stream; nothing when they are not
  /// such.
  static constexpr std::size_t number_bytes = 8;
  [[nodiscard]] static std::optional<std::uint32_t> number_of(std::span<std::byte const, number_bytes> first);

 private:
  [[nodiscard]] std::uint64_t word(std::uint64_t index) const;
  std::uint64_t key_;
  std::uint32_t conversation_;
  bool is_first_;
};

enum class outcome : std::uint8_t { absent, talking, complete, failed, aborted, crashed };

/// How a side of a conversation is doing; kept beyond its talker.
struct side_report {
  simulation::outcome outcome = outcome::absent;
  std::optional<net::net_error> error;
  bool was_connected = false;
  std::uint64_t written = 0, read = 0;
  instant ended_at = never;  ///< of the world
};

struct conversation {
  conversation_plan const* planned = nullptr;
  std::array<side_report, 2> sides;
  [[nodiscard]] bool is_over() const;
};

class talker {
 public:
  /// `about` is null on the accepting side until its number has arrived.
  talker(std::uint64_t seed, net::tcp::connection& on, conversation* about, std::size_t side,
         net::buffer_pool& buffers);

  /// Does what can be done now; the description of a violation, or empty.
  [[nodiscard]] std::string advance(std::uint8_t ready, instant now);
  [[nodiscard]] std::string check(instant now);
  /// Leaves without a word about how it went.
  void give_up(instant now) { end(outcome::failed, std::nullopt, now); }
  /// Its host lost power.
  void crash() {
    if (about_ != nullptr && report().outcome == outcome::talking) report().outcome = outcome::crashed;
    is_released_ = true;
    connection_ = nullptr;
  }
  [[nodiscard]] instant next_time() const { return is_released_ ? never : next_; }
  [[nodiscard]] bool is_released() const { return is_released_; }
  [[nodiscard]] net::tcp::connection* handle() const { return connection_; }
  [[nodiscard]] conversation* about() const { return about_; }
  [[nodiscard]] std::size_t side() const { return side_; }

  /// Finds the conversation that a number names; null when there is none.
  class directory {
   public:
    virtual ~directory() = default;
    virtual conversation* find(std::uint32_t number) = 0;
  };
  void set_directory(directory& all) { directory_ = &all; }

 private:
  [[nodiscard]] std::string read_all(instant now);
  [[nodiscard]] std::string learn_number(instant now);
  void write_all(instant now);
  [[nodiscard]] std::uint64_t may_write_to(instant now);
  void end(outcome how, std::optional<net::net_error> why, instant now);
  [[nodiscard]] side_report& report() { return about_->sides[side_]; }

  std::uint64_t seed_;
  net::tcp::connection* connection_;
  conversation* about_;
  std::size_t side_;
  net::buffer_pool& buffers_;
  directory* directory_ = nullptr;
  sim::connection_oracle oracle_;
  std::array<std::byte, stream_content::number_bytes> first_{};
  std::uint64_t written_ = 0, read_ = 0;
  instant next_ = never;
  instant read_again_{};
  std::optional<instant> rests_until_;
  bool has_shut_down_ = false, has_all_ = false, is_released_ = false;
};

}  // namespace morgana::simulation
