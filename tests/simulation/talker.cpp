#include "talker.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace morgana::simulation {

namespace {

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58'476d'1ce4'e5b9u;
  value = (value ^ value >> 27) * 0x94d0'49bb'1331'11ebu;
  return value ^ value >> 31;
}

/// Smaller ones would each keep a whole buffer from the pool.
constexpr std::size_t owned_bytes_min = 256;
constexpr std::uint64_t number_mark = 0x6d6f'7267'0000'0000u;

}  // namespace

stream_content::stream_content(std::uint64_t seed, std::uint32_t conversation, std::size_t side)
    : key_(mix(seed * 2 + side) ^ mix(conversation + 0x1234'5678u)),
      conversation_(conversation),
      is_first_(side == 0) {}

std::uint64_t stream_content::word(std::uint64_t index) const {
  if (is_first_ && index == 0) return number_mark | conversation_;
  return mix(key_ + index * 0x9e37'79b9'7f4a'7c15u);
}

void stream_content::fill(std::uint64_t offset, std::span<std::byte> into) const {
  for (std::size_t i = 0; i < into.size();) {
    auto const value = word((offset + i) / 8);
    auto const from = (offset + i) % 8;
    auto const count = std::min<std::size_t>(8 - from, into.size() - i);
    std::memcpy(into.data() + i, reinterpret_cast<std::byte const*>(&value) + from, count);
    i += count;
  }
}

std::optional<std::uint64_t> stream_content::difference(std::uint64_t offset,
                                                        std::span<std::byte const> got) const {
  for (std::size_t i = 0; i < got.size();) {
    auto const value = word((offset + i) / 8);
    auto const from = (offset + i) % 8;
    auto const count = std::min<std::size_t>(8 - from, got.size() - i);
    if (std::memcmp(got.data() + i, reinterpret_cast<std::byte const*>(&value) + from, count) != 0)
      return offset + i;
    i += count;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> stream_content::number_of(std::span<std::byte const, number_bytes> first) {
  std::uint64_t value;
  std::memcpy(&value, first.data(), sizeof value);
  if ((value & 0xffff'ffff'0000'0000u) != number_mark) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

bool conversation::is_over() const {
  auto const& [a, b] = sides;
  auto const is_done = [](side_report const& one) { return one.outcome > outcome::talking; };
  // The other side of what never was connected may never hear of it.
  return is_done(a) && (is_done(b) || (b.outcome == outcome::absent && a.outcome != outcome::complete));
}

talker::talker(std::uint64_t seed, net::tcp::connection& on, conversation* about, std::size_t side,
               net::buffer_pool& buffers)
    : seed_(seed), connection_(&on), about_(about), side_(side), buffers_(buffers) {
  if (about_ != nullptr) report().outcome = outcome::talking;
}

void talker::end(outcome how, std::optional<net::net_error> why, instant now) {
  if (about_ != nullptr && report().outcome == outcome::talking) {
    report().outcome = how;
    report().error = why;
  }
  if (is_released_) return;
  is_released_ = true;
  connection_->release(now);
  connection_ = nullptr;
}

std::string talker::learn_number(instant now) {
  while (read_ < first_.size()) {
    auto const got = connection_->read(std::span(first_).subspan(read_), now);
    if (!got || *got == std::optional<std::size_t>(0)) {
      end(outcome::failed, std::nullopt, now);  // nobody knows whose it was
      return {};
    }
    if (!*got) return {};
    read_ += **got;
  }
  auto const number = stream_content::number_of(first_);
  about_ = number ? directory_->find(*number) : nullptr;
  if (about_ == nullptr) return "the stream begins with the number of no conversation";
  if (report().outcome != outcome::absent) return "two connections for one conversation";
  report().outcome = outcome::talking;
  report().was_connected = true;
  return {};
}

std::string talker::read_all(instant now) {
  auto const& planned = *about_->planned;
  stream_content const expected(seed_, planned.number, 1 - side_);
  std::vector<std::byte> into(planned.read_bytes[side_]);
  while (!has_all_) {
    if (now < read_again_) {
      next_ = std::min(next_, read_again_);
      return {};
    }
    auto const got = connection_->read(into, now);
    if (!got) {
      end(outcome::failed, static_cast<net::net_error>(got.error().code()), now);
      return {};
    }
    if (!*got) return {};
    if (**got == 0) {
      has_all_ = true;
      if (read_ != planned.bytes[1 - side_]) {
        return "the stream ended after " + std::to_string(read_) + " of " +
               std::to_string(planned.bytes[1 - side_]) + " bytes";
      }
      return {};
    }
    if (auto const where = expected.difference(read_, std::span(into).first(**got))) {
      return "byte " + std::to_string(*where) + " of the stream is wrong";
    }
    read_ += **got;
    report().read = read_;
    if (read_ > planned.bytes[1 - side_]) return "more arrived than was sent";
    if (planned.aborting_side == static_cast<int>(side_) && read_ > planned.aborts_after) {
      connection_->abort(now);
      end(outcome::aborted, std::nullopt, now);
      return {};
    }
    if (planned.read_pause[side_] != 0ns) read_again_ = after(now, planned.read_pause[side_]);
  }
  return {};
}

std::uint64_t talker::may_write_to(instant now) {
  auto const& planned = *about_->planned;
  auto all = planned.bytes[side_];
  if (planned.message_bytes != 0) {
    auto const turns = read_ / planned.message_bytes + (side_ == 0 ? 1 : 0);
    all = std::min(all, turns * planned.message_bytes);
  }
  if (planned.idle != 0ns && side_ == 0 && written_ >= planned.bytes[0] / 2) {
    if (!rests_until_) rests_until_ = after(now, planned.idle);
    if (now < *rests_until_) {
      next_ = std::min(next_, *rests_until_);
      return written_;
    }
  } else if (planned.idle != 0ns && side_ == 0) {
    all = std::min(all, std::max<std::uint64_t>(planned.bytes[0] / 2, 8));
  }
  return all;
}

void talker::write_all(instant now) {
  auto const& planned = *about_->planned;
  stream_content const content(seed_, planned.number, side_);
  std::vector<std::byte> bytes;
  for (;;) {
    auto const to = may_write_to(now);
    if (written_ >= to) break;
    auto const size =
        static_cast<std::size_t>(std::min<std::uint64_t>(to - written_, planned.write_bytes[side_]));
    if (planned.writes_owned && size >= owned_bytes_min) {
      auto part = buffers_.take_slice(std::min(size, buffers_.buffer_bytes()));
      if (part.size() != 0) {
        content.fill(written_, part.writable());
        auto const count = part.size();
        auto const taken = connection_->write(std::span(&part, 1), now);
        if (!taken) return end(outcome::failed, static_cast<net::net_error>(taken.error().code()), now);
        if (!*taken) return;
        written_ += count;
        report().written = written_;
        continue;
      }
    }
    bytes.resize(size);
    content.fill(written_, bytes);
    auto const count = connection_->write(bytes, now);
    if (!count) return end(outcome::failed, static_cast<net::net_error>(count.error().code()), now);
    written_ += *count;
    report().written = written_;
    if (*count < size) {
      // Buffers may be what is missing, and nobody tells of them.
      if (*count == 0) next_ = std::min(next_, after(now, 100ms));
      return;
    }
  }
  bool const may_end = !planned.closes_late || side_ == 0 || has_all_;
  if (written_ == planned.bytes[side_] && !has_shut_down_ && may_end) {
    has_shut_down_ = true;
    connection_->shutdown(now);
  }
}

std::string talker::advance(std::uint8_t ready, instant now) {
  if (is_released_) return {};
  next_ = never;
  if (about_ == nullptr) {
    if (auto wrong = learn_number(now); !wrong.empty()) return wrong;
    if (about_ == nullptr) return {};
  }
  if ((ready & net::tcp::ready_connected) != 0 && !connection_->failure()) report().was_connected = true;
  if (auto wrong = read_all(now); !wrong.empty()) return wrong;
  if (is_released_) return {};
  if (report().was_connected && !has_shut_down_) write_all(now);
  if (is_released_) return {};
  if (auto const why = connection_->failure()) {
    end(outcome::failed, *why, now);
    return {};
  }
  if (has_all_ && has_shut_down_) {
    // TIME-WAIT keeps no handle busy: the stack holds it by itself.
    auto const state = connection_->state();
    bool const is_closed = state == net::tcp::state::closed || state == net::tcp::state::time_wait;
    if (is_closed || !about_->planned->waits_for_close) end(outcome::complete, std::nullopt, now);
  }
  return {};
}

std::string talker::check(instant now) {
  if (is_released_) return {};
  return oracle_.check(connection_->info(), connection_->options(), now);
}

}  // namespace morgana::simulation
