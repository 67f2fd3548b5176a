// Small services that a test talks to: echo, a download, an upload that is summed up, and a client.
#pragma once

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
  log.info("ready");
  auto const first = [](scope& all) -> task<result<void>> { co_return co_await all.join(); };
  auto const stop = []() -> task<void> { co_await stop_requested(); };
  auto ended = co_await race(first(services), stop());
  if (auto* const failed = std::get_if<0>(&ended)) co_return std::move(*failed);
  co_return {};
}
