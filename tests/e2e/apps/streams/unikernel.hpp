// Small services that a test talks to: echo, a download, an upload that is summed up, streams made of a seed, and a
// client.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <vector>

#include "morgana/app.hpp"

struct options {
  /// Connect there, say hello, log the answer or the error, and end.
  std::optional<morgana::net::endpoint> connect;
  /// How long the client waits for anything.
  std::chrono::milliseconds patience = std::chrono::milliseconds(20'000);
  /// Bytes of each read and write.
  std::uint32_t piece = 65'536;
};

namespace streams {

using namespace morgana;

/// A block whose period is a prime, so that no piece that went astray looks right.
inline std::vector<std::byte> content() {
  std::vector<std::byte> made(65'521);
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<std::byte>(i * 2'654'435'761u >> 13);
  return made;
}

/// CRC-32 (IEEE 802.3), as zlib's.
class crc32 {
 public:
  crc32() {
    for (std::uint32_t n = 0; n < 256; ++n) {
      auto value = n;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0xedb8'8320u : 0);
      table_[n] = value;
    }
  }
  void add(std::span<std::byte const> bytes) {
    for (auto const byte : bytes) sum_ = table_[(sum_ ^ static_cast<std::uint8_t>(byte)) & 0xff] ^ sum_ >> 8;
  }
  [[nodiscard]] std::uint32_t value() const { return ~sum_; }

 private:
  std::array<std::uint32_t, 256> table_;
  std::uint32_t sum_ = ~0u;
};

template <net::stream Stream>
task<> echo(Stream stream, options const&) {
  std::vector<std::byte> some(4096);
  for (;;) {
    auto const got = co_await stream.read(some, never);
    if (!got || *got == 0) break;
    if (!co_await stream.write(std::span(some).first(*got), never)) co_return;
  }
  (void)stream.shutdown();
}

/// "N\n" asks for N bytes.
template <net::stream Stream>
task<> download(Stream stream, options const& with) {
  std::array<char, 32> line;
  std::size_t size = 0;
  while (size < line.size() && (size == 0 || line[size - 1] != '\n')) {
    auto const got = co_await stream.read(std::as_writable_bytes(std::span(line).subspan(size, 1)), never);
    if (!got || *got == 0) co_return;
    size += *got;
  }
  std::uint64_t left = 0;
  std::from_chars(line.data(), line.data() + size, left);
  auto const block = content();
  std::size_t at = 0;
  while (left != 0) {
    auto const count = std::min<std::uint64_t>({left, block.size() - at, with.piece});
    if (!co_await stream.write(std::span(block).subspan(at, count), never)) co_return;
    left -= count;
    at = (at + count) % block.size();
  }
}

/// Everything until the end, then "BYTES CRC\n".
template <net::stream Stream>
task<> upload(Stream stream, options const& with) {
  crc32 sum;
  std::vector<std::byte> some(with.piece);
  std::uint64_t total = 0;
  for (;;) {
    auto const got = co_await stream.read(some, never);
    if (!got) co_return;
    if (*got == 0) break;
    sum.add(std::span(some).first(*got));
    total += *got;
  }
  fixed_text<64> answer;
  answer.append("{} {x}\n", total, sum.value());
  (void)co_await stream.write(std::as_bytes(std::span(answer.view())), never);
}

/// Everything until the end, looked at by nobody: what the network can do.
template <net::stream Stream>
task<> discard(Stream stream, options const& with) {
  std::vector<std::byte> some(with.piece);
  for (;;) {
    auto const got = co_await stream.read(some, never);
    if (!got || *got == 0) co_return;
  }
}

/// A stream that a number makes: SplitMix64's bytes again and again, each time behind the number of the time, so that
/// nothing that is lost, doubled or swapped goes unseen. tests/e2e/test_linux_peer.py makes the same.
class seeded_stream {
 public:
  explicit seeded_stream(std::uint64_t seed) : block_(65'521) {
    for (std::size_t i = 0; i < block_.size(); i += 8) {
      seed += 0x9e37'79b9'7f4a'7c15u;
      auto word = seed;
      word = (word ^ word >> 30) * 0xbf58'476d'1ce4'e5b9u;
      word = (word ^ word >> 27) * 0x94d0'49bb'1331'11ebu;
      word ^= word >> 31;
      for (std::size_t j = i; j < std::min(i + 8, block_.size()); ++j, word >>= 8) {
        block_[j] = static_cast<std::byte>(word);
      }
    }
    number();
  }
  /// What comes next, at least one byte and at most `most`.
  [[nodiscard]] std::span<std::byte const> next(std::size_t most) const {
    return std::span(block_).subspan(at_, std::min(most, block_.size() - at_));
  }
  void advance(std::size_t bytes) {
    if ((at_ += bytes) != block_.size()) return;
    at_ = 0;
    ++times_;
    number();
  }

 private:
  void number() {
    for (std::size_t i = 0; i < 8; ++i) block_[i] = static_cast<std::byte>(times_ >> 8 * i);
  }
  std::vector<std::byte> block_;
  std::size_t at_ = 0;
  std::uint64_t times_ = 0;
};

/// Numbers of one line with blanks between; the rest is 0.
template <net::stream Stream>
task<std::array<std::uint64_t, 2>> numbers(Stream& stream) {
  std::array<char, 64> line;
  std::size_t size = 0;
  while (size < line.size() && (size == 0 || line[size - 1] != '\n')) {
    auto const got = co_await stream.read(std::as_writable_bytes(std::span(line).subspan(size, 1)), never);
    if (!got || *got == 0) break;
    size += *got;
  }
  std::array<std::uint64_t, 2> made{};
  char const* from = line.data();
  for (auto& one : made) from = std::from_chars(from, line.data() + size, one).ptr + 1;
  co_return made;
}

/// "SEED N\n" asks for N bytes of that stream.
template <net::stream Stream>
task<> make(Stream stream, options const& with) {
  auto [seed, left] = co_await numbers(stream);
  seeded_stream content(seed);
  while (left != 0) {
    auto const part = content.next(std::min<std::uint64_t>(left, with.piece));
    if (!co_await stream.write(part, never)) co_return;
    left -= part.size();
    content.advance(part.size());
  }
}

/// "SEED\n" and that stream, until the end; then "BYTES same\n", or where it was another one.
template <net::stream Stream>
task<> check(Stream stream, options const& with) {
  auto const seed = (co_await numbers(stream))[0];
  seeded_stream content(seed);
  std::vector<std::byte> some(with.piece);
  std::uint64_t total = 0;
  bool is_same = true;
  for (;;) {   // to the end even then, or what is not read would reset the connection
    auto const got = co_await stream.read(some, never);
    if (!got) co_return;
    if (*got == 0) break;
    for (auto left = std::span(some).first(*got); is_same && !left.empty();) {
      auto const part = content.next(left.size());
      is_same = std::ranges::equal(part, left.first(part.size()));
      if (is_same) total += part.size();
      content.advance(part.size());
      left = left.subspan(part.size());
    }
  }
  fixed_text<64> answer;
  answer.append("{} {}\n", total, std::string_view(is_same ? "same" : "and then other bytes"));
  (void)co_await stream.write(std::as_bytes(std::span(answer.view())), never);
}

template <net::listener Listener, class Serve>
task<result<void>> serve(Listener listening, Serve one) {
  scope connections = co_await open_scope();
  for (;;) {
    co_await connections.below(2000);
    auto stream = co_await listening.accept(never);
    if (!stream) co_return failure(std::move(stream.error()).during("accept"));
    connections.spawn(one(std::move(*stream)));
  }
}

task<result<void>> call(net::stack auto& network, options const& with, log_source log) {
  auto& here = co_await this_context();
  auto stream = co_await network.connect(*with.connect, here.now() + with.patience);
  if (!stream) {
    log.info("connect: {}", stream.error());
    co_return {};
  }
  log.info("connected from {}", stream->local());
  std::string_view const hello = "hello\n";
  for (;;) {
    if (auto sent = co_await stream->write(std::as_bytes(std::span(hello)), here.now() + with.patience); !sent) {
      log.info("write: {}", sent.error());
      co_return {};
    }
    std::array<char, 200> answer;
    auto const got = co_await stream->read(std::as_writable_bytes(std::span(answer)), here.now() + with.patience);
    if (!got) {
      log.info("read: {}", got.error());
      co_return {};
    }
    if (*got == 0) {
      log.info("the end");
      co_return {};
    }
    log.info("answer: {}", std::string_view(answer.data(), *got));
  }
}

}  // namespace streams

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network,
                                           morgana::option_set<options> auto const& opt) {
  using namespace streams;
  log_source const log((co_await this_context()).log(), "streams");
  options const with{.connect = opt.connect, .patience = opt.patience, .piece = opt.piece};
  if (with.connect) co_return co_await call(network, with, log);
  scope services = co_await open_scope();
  auto const open = [&](std::uint16_t port, auto one) -> result<void> {
    auto listening = network.listen({.port = port});
    if (!listening) return failure(std::move(listening.error()).during("listen"));
    services.spawn(serve(std::move(*listening), one));
    return {};
  };
  if (auto opened = open(7, [&](auto stream) { return echo(std::move(stream), with); }); !opened) co_return opened;
  if (auto opened = open(9, [&](auto stream) { return discard(std::move(stream), with); }); !opened) co_return opened;
  if (auto opened = open(19, [&](auto stream) { return download(std::move(stream), with); }); !opened) co_return opened;
  if (auto opened = open(20, [&](auto stream) { return upload(std::move(stream), with); }); !opened) co_return opened;
  if (auto opened = open(21, [&](auto stream) { return check(std::move(stream), with); }); !opened) co_return opened;
  if (auto opened = open(22, [&](auto stream) { return make(std::move(stream), with); }); !opened) co_return opened;
  log.info("ready");
  auto const first = [](scope& all) -> task<result<void>> { co_return co_await all.join(); };
  auto const stop = []() -> task<void> { co_await stop_requested(); };
  auto ended = co_await race(first(services), stop());
  if (auto* const failed = std::get_if<0>(&ended)) co_return std::move(*failed);
  co_return {};
}
