// TCP throughput between this unikernel and an iperf3 on another host.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "morgana/net/own_buffer.hpp"
#include "protocol.hpp"

struct options {
  /// Server to test against, ADDRESS:PORT; none: be a server.
  std::optional<morgana::net::endpoint> client;
  /// Port to serve on.
  std::uint16_t port = 5201;
  /// How long the client's test takes.
  std::uint32_t seconds = 10;
  /// Streams of the client's test, 1 to 128.
  std::uint32_t parallel = 1;
  /// The client's test: the server sends.
  bool reverse = false;
  /// Bytes of each read and write.
  std::uint32_t length = 131'072;
};

namespace iperf3 {

/// Everything that is sent, until the end or an error.
template <net::stream Stream>
task<> receive_all(Stream& from, std::span<std::byte> into, std::uint64_t& total) {
  for (;;) {
    if constexpr (requires { from.peek(never); }) {   // a stack of our own: counted where it lies
      auto const seen = co_await from.peek(never);
      if (!seen || seen->empty()) co_return;
      total += seen->size();
      from.consume(seen->size());
    } else {
      auto const got = co_await from.read(into, never);
      if (!got || *got == 0) co_return;
      total += *got;
    }
  }
}

template <net::stream Stream>
task<> send_all(Stream& to, net::slice const& block, std::uint64_t& total, bool const& stopping) {
  if constexpr (requires(std::span<net::slice> owned) { to.write(owned, never); }) {
    // A stack of our own sends a large block from where it lies; small ones it packs better by copying.
    while (!stopping && block.size() >= 4096) {
      auto once = block;
      if (!co_await to.write(std::span(&once, 1), never)) co_return;
      total += block.size();
    }
  }
  while (!stopping && co_await to.write(block.bytes(), never)) total += block.size();
}

/// One test's streams and what passed through them.
template <net::stream Stream>
struct traffic {
  std::vector<Stream> streams;
  std::vector<std::uint64_t> bytes;
  /// What is sent again and again; room for what arrives.
  net::slice block;
  bool sends = false;
  bool stopping = false;

  void run(scope& in) {
    bytes.assign(streams.size(), 0);
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (sends) {
        in.spawn(send_all(streams[i], block, bytes[i], stopping));
      } else {
        in.spawn(receive_all(streams[i], block.writable(), bytes[i]));
      }
    }
  }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (auto const one : bytes) sum += one;
    return sum;
  }
  /// What was begun is ended: iperf3 reads blocks of `length`, and waits for the rest of the last one; and what is still
  /// on its way here is counted. How long all took since `begun`.
  task<duration> finish(scope& running, instant begun) {
    constexpr duration pause = std::chrono::milliseconds(10);
    auto& here = co_await this_context();
    auto length = here.now() - begun;
    auto const until = after(here.now(), patience / 2);
    stopping = true;
    for (auto before = ~std::uint64_t{0}; here.now() < until;) {
      if (sends ? running.running() == 0 : total() == before) break;
      before = total();
      if (!sends) length = here.now() - begun;
      co_await sleep_for(pause);
    }
    co_return length;
  }
  void report(log_source const& log, duration length) const {
    auto const bytes_passed = total();
    auto const us = std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::microseconds>(length).count());
    log.info("{} {} bytes on {} streams in {} ms: {} Mbit/s", std::string_view(sends ? "sent" : "received"),
             bytes_passed, streams.size(), us / 1000, bytes_passed * 8 / static_cast<std::uint64_t>(us));
  }
};

template <net::listener Listener>
task<result<void>> serve_test(Listener& listening, typename Listener::stream& control, options const& with,
                              log_source const& log) {
  auto& here = co_await this_context();
  cookie expected;
  auto const good = [&](result<void> const& step) { return step.has_value(); };
  auto step = co_await read_whole(control, std::as_writable_bytes(std::span(expected)), after(here.now(), patience));
  if (good(step)) step = co_await write_state(control, state::exchange_parameters);
  if (!good(step)) co_return step;
  auto const asked = co_await read_json(control);
  if (!asked) co_return failure(error(asked.error()));
  auto const parallel = number(*asked, "parallel", 1);
  auto const length = number(*asked, "len", with.length);
  if (member(*asked, "tcp") != "true" || member(*asked, "bidirectional") == "1" ||
      member(*asked, "bidirectional") == "true" || parallel < 1 || parallel > streams_max || length < 1 ||
      length > (1u << 20)) {
    // As iperf3 says no: the state, its number of the error (here: none that it knows better), and an errno.
    std::array<std::byte, 9> no{static_cast<std::byte>(state::server_error)};
    (void)co_await control.write(no, after(here.now(), patience));
    co_return failure(net::net_error::refused);
  }
  traffic<typename Listener::stream> all;
  all.block = net::allocate_slice(length);
  all.sends = member(*asked, "reverse") == "true";
  step = co_await write_state(control, state::create_streams);
  auto const until = after(here.now(), patience);
  while (good(step) && all.streams.size() < parallel) {
    auto stream = co_await listening.accept(until);
    if (!stream) co_return failure(std::move(stream.error()).during("accept"));
    cookie given;
    auto const read = co_await read_whole(*stream, std::as_writable_bytes(std::span(given)), until);
    if (read && given == expected) {
      all.streams.push_back(std::move(*stream));
    } else if (read) {
      (void)co_await write_state(*stream, state::access_denied);   // another client's: one test at a time
    }
  }
  if (good(step)) step = co_await write_state(control, state::test_start);
  if (good(step)) step = co_await write_state(control, state::test_running);
  if (!good(step)) co_return step;
  duration took;
  {
    auto const begun = here.now();
    scope running(here);
    all.run(running);
    auto const next = co_await read_state(control, never);
    if (!next) co_return failure(error(next.error()));
    if (*next != state::test_end) co_return failure(net::net_error::refused, static_cast<int>(*next));
    took = co_await all.finish(running, begun);
  }
  all.report(log, took);
  all.streams.clear();   // closed now: a client that still reads one is told that nothing comes any more
  step = co_await write_state(control, state::exchange_results);
  if (!good(step)) co_return step;
  if (auto const theirs = co_await read_json(control); !theirs) co_return failure(error(theirs.error()));
  step = co_await write_json(control, results(all.bytes, all.sends, took));
  if (good(step)) step = co_await write_state(control, state::display_results);
  if (good(step)) step = co_await expect(control, state::done);
  co_return step;
}

task<result<void>> serve(net::stack auto& network, options const& with, log_source const& log) {
  auto listening = network.listen({.port = with.port});
  if (!listening) co_return failure(std::move(listening.error()).during("listen"));
  log.info("listening on {}", listening->local());
  for (;;) {
    auto control = co_await listening->accept(never);
    if (!control) co_return failure(std::move(control.error()).during("accept"));
    auto served = co_await serve_test(*listening, *control, with, log);
    if (!served) log.warning("the test with {} ended: {}", control->peer(), served.error());
  }
}

task<result<void>> call(net::stack auto& network, options const& with, log_source const& log) {
  using stream_type = typename std::remove_cvref_t<decltype(network)>::stream;
  auto& here = co_await this_context();
  auto const connect = [&] { return network.connect(*with.client, after(here.now(), patience)); };
  auto control = co_await connect();
  if (!control) co_return failure(std::move(control.error()).during("connect"));
  cookie own{};
  auto seed = static_cast<std::uint64_t>(here.now().time_since_epoch().count());
  for (auto& letter : std::span(own).first(cookie_bytes - 1)) {   // no secret: it tells tests apart
    seed = seed * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    letter = static_cast<char>('a' + (seed >> 33) % 26);
  }
  auto const text_of = std::as_bytes(std::span(own));
  auto step = co_await control->write(text_of, after(here.now(), patience));
  if (step) step = co_await expect(*control, state::exchange_parameters);
  auto const asked = std::string("{\"tcp\":true,\"omit\":0,\"time\":") + std::to_string(with.seconds) +
                     ",\"num\":0,\"blockcount\":0,\"parallel\":" + std::to_string(with.parallel) +
                     (with.reverse ? ",\"reverse\":true" : "") + ",\"len\":" + std::to_string(with.length) +
                     ",\"pacing_timer\":1000,\"client_version\":\"3.12\"}";
  if (step) step = co_await write_json(*control, asked);
  if (step) step = co_await expect(*control, state::create_streams);
  if (!step) co_return step;
  traffic<stream_type> all;
  all.block = net::allocate_slice(with.length);
  all.sends = !with.reverse;
  for (std::uint32_t i = 0; i < with.parallel; ++i) {
    auto stream = co_await connect();
    if (!stream) co_return failure(std::move(stream.error()).during("connect"));
    if (auto sent = co_await stream->write(text_of, after(here.now(), patience)); !sent) co_return sent;
    all.streams.push_back(std::move(*stream));
  }
  step = co_await expect(*control, state::test_start);
  if (step) step = co_await expect(*control, state::test_running);
  if (!step) co_return step;
  duration took;
  {
    auto const begun = here.now();
    scope running(here);
    all.run(running);
    co_await sleep_for(std::chrono::seconds(with.seconds));
    took = co_await all.finish(running, begun);
  }
  step = co_await write_state(*control, state::test_end);
  if (step) step = co_await expect(*control, state::exchange_results);
  if (step) step = co_await write_json(*control, results(all.bytes, all.sends, took));
  if (!step) co_return step;
  auto const theirs = co_await read_json(*control);
  if (!theirs) co_return failure(error(theirs.error()));
  step = co_await expect(*control, state::display_results);
  if (step) step = co_await write_state(*control, state::done);
  if (!step) co_return step;
  all.report(log, took);
  co_return {};
}

}  // namespace iperf3

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network,
                                           morgana::option_set<options> auto const& opt) {
  morgana::log_source const log((co_await morgana::this_context()).log(), "iperf3");
  options const with{.client = opt.client, .port = opt.port, .seconds = opt.seconds,
                     .parallel = std::clamp(opt.parallel, 1u, iperf3::streams_max), .reverse = opt.reverse,
                     .length = std::clamp(opt.length, 1u, 1u << 20)};
  if (with.client) co_return co_await iperf3::call(network, with, log);
  co_return co_await iperf3::serve(network, with, log);
}
