// The coroutine shell around the core: two stacks on a cable, in virtual time.
#include "direct_hosts.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using namespace morgana::test;

namespace {

task<result<void>> echo_one(network& on, std::uint16_t port) {
  auto listening = on.listen({.port = port});
  if (!listening) co_return failure(std::move(listening.error()));
  auto stream = co_await listening->accept(never);
  if (!stream) co_return failure(std::move(stream.error()));
  std::vector<std::byte> some(3000);
  for (;;) {
    auto const count = co_await stream->read(some, never);
    if (!count) co_return failure(count.error());
    if (*count == 0) co_return stream->shutdown();
    if (auto sent = co_await stream->write(std::span(some).first(*count), never); !sent) co_return sent;
  }
}

task<result<std::size_t>> say_and_hear(network& on, ip_address to, std::uint16_t port, std::size_t total) {
  auto stream = co_await on.connect(endpoint{to, port}, on.now() + 10s);
  if (!stream) co_return failure(std::move(stream.error()));
  auto [sent, got] = co_await all(send_pattern(*stream, total, 5000), take_pattern(*stream, 7000));
  if (!sent) co_return failure(std::move(sent.error()));
  co_return std::move(got);
}

}  // namespace

TEST_CASE("a stream carries a megabyte there and back over either family, with and without offloads") {
  for (bool const offloads : {false, true}) {
    for (auto const& address : {second_v4, second_v6}) {
      pair_of_hosts hosts(offloads);
      auto done =
          hosts.w.run(all(echo_one(*hosts.second, 7), say_and_hear(*hosts.first, address, 7, 1'000'000)));
      REQUIRE(done.has_value());
      REQUIRE(std::get<0>(*done).has_value());
      REQUIRE(std::get<1>(*done).has_value());
      CHECK(*std::get<1>(*done) == 1'000'000);
    }
  }
}

TEST_CASE("what is written with connect goes with the SYN once the peer has given a cookie") {
  pair_of_hosts hosts;
  auto server = [](network& on) -> task<result<std::size_t>> {
    auto listening = on.listen({.port = 7, .fast_open = 4});
    if (!listening) co_return failure(std::move(listening.error()));
    std::size_t all = 0;
    for (int i = 0; i < 2; ++i) {
      auto stream = co_await listening->accept(never);
      if (!stream) co_return failure(std::move(stream.error()));
      auto const got = co_await take_pattern(*stream, 1000);
      if (!got) co_return failure(got.error());
      all += *got;
    }
    co_return all;
  };
  auto client = [](network& on) -> task<result<void>> {
    std::vector<std::byte> first(3000);
    for (std::size_t i = 0; i < first.size(); ++i) first[i] = byte_at(i);
    for (int i = 0; i < 2; ++i) {
      auto stream = co_await on.connect(endpoint{second_v4, 7}, tcp::settings{}, on.now() + 10s, first);
      if (!stream) co_return failure(std::move(stream.error()));
      if (auto ended = stream->shutdown(); !ended) co_return ended;
      co_await sleep_for(1s);
    }
    co_return {};
  };
  auto done = hosts.w.run(all(server(*hosts.second), client(*hosts.first)));
  REQUIRE(done.has_value());
  REQUIRE(std::get<1>(*done).has_value());
  REQUIRE(std::get<0>(*done).has_value());
  CHECK(*std::get<0>(*done) == 6'000);
  CHECK(hosts.first->core().tcp().counters().fast_opens_sent == 1);
  CHECK(hosts.second->core().tcp().counters().fast_opens_accepted == 1);
}

TEST_CASE("a device that is full holds the stack back and loses nothing") {
  pair_of_hosts hosts;
  hosts.two.room_frames = 3;
  auto done = hosts.w.run(all(echo_one(*hosts.second, 7), say_and_hear(*hosts.first, second_v4, 7, 300'000)));
  REQUIRE(done.has_value());
  REQUIRE(std::get<1>(*done).has_value());
  CHECK(*std::get<1>(*done) == 300'000);
  CHECK(hosts.one.refused > 0);
  CHECK(hosts.first->core().tcp().counters().segments_retransmitted == 0);
}

TEST_CASE(
    "a port nobody listens on refuses, and a host that is not there ends in the deadline or unreachable") {
  pair_of_hosts hosts;
  auto refused = hosts.w.run([](network& on) -> task<result<void>> {
    auto stream = co_await on.connect(endpoint{second_v4, 9}, never);
    if (!stream) co_return failure(std::move(stream.error()));
    co_return {};
  }(*hosts.first));
  REQUIRE((refused && !refused->has_value()));
  CHECK(refused->error().is(net_error::refused));
  auto const start = hosts.w.elapsed();
  auto nobody = hosts.w.run([](network& on) -> task<result<void>> {
    auto stream = co_await on.connect(endpoint{*ip_address::parse("10.0.0.77"), 9}, on.now() + 60s);
    if (!stream) co_return failure(std::move(stream.error()));
    co_return {};
  }(*hosts.first));
  REQUIRE((nobody && !nobody->has_value()));
  CHECK((nobody->error().is(net_error::unreachable) || nobody->error().is(net_error::timed_out)));
  CHECK(hosts.w.elapsed() - start <= 60s);
}

TEST_CASE("a read waits until its deadline and takes nothing; the stream goes on") {
  pair_of_hosts hosts;
  auto done = hosts.w.run(all(
      [](network& on) -> task<result<void>> {
        auto listening = on.listen({.port = 7});
        auto stream = co_await listening->accept(never);
        co_await sleep_for(5s);
        std::byte const late[] = {std::byte{'x'}};
        co_return co_await stream->write(late, never);
      }(*hosts.second),
      [](network& on) -> task<result<std::size_t>> {
        auto stream = co_await on.connect(endpoint{second_v4, 7}, never);
        std::byte some[8];
        auto const early = co_await stream->read(some, on.now() + 1s);
        CHECK((!early && early.error().is(net_error::timed_out)));
        // Cancelled by destruction: what arrives later is not lost with it.
        CHECK_FALSE(
            co_await with_deadline(on.now() + 1s, [](direct_stream& from) -> task<result<std::size_t>> {
              std::byte gone[8];
              co_return co_await from.read(gone, never);
            }(*stream)));
        co_return co_await stream->read(some, never);
      }(*hosts.first)));
  REQUIRE(done.has_value());
  REQUIRE(std::get<1>(*done).has_value());
  CHECK(*std::get<1>(*done) == 1);
}

TEST_CASE("peek shows what arrived in place until it is consumed, then the end") {
  pair_of_hosts hosts;
  auto done = hosts.w.run(all(
      [](network& on) -> task<result<void>> {
        auto listening = on.listen({.port = 7});
        auto stream = co_await listening->accept(never);
        auto part = on.buffers().take_slice(4000);
        for (std::size_t i = 0; i < part.size(); ++i) part.writable()[i] = byte_at(i);
        slice owned[] = {std::move(part)};
        if (auto sent = co_await stream->write(std::span<slice>(owned), never); !sent) co_return sent;
        co_return stream->shutdown();
      }(*hosts.second),
      [](network& on) -> task<result<std::size_t>> {
        auto stream = co_await on.connect(endpoint{second_v4, 7}, never);
        std::size_t at = 0;
        for (;;) {
          auto const seen = co_await stream->peek(never);
          if (!seen) co_return failure(seen.error());
          if (seen->empty()) co_return at;
          auto const count = std::min<std::size_t>(seen->size(), 700);
          for (std::size_t i = 0; i < count; ++i, ++at) CHECK((*seen)[i] == byte_at(at));
          stream->consume(count);
        }
      }(*hosts.first)));
  REQUIRE(done.has_value());
  REQUIRE(std::get<1>(*done).has_value());
  CHECK(*std::get<1>(*done) == 4000);
}

TEST_CASE("what many write in one go leaves in one batch") {
  pair_of_hosts hosts;
  auto done = hosts.w.run([](network& to, network& from) -> task<result<void>> {
    auto sink = to.bind({{}, 9});
    auto source = from.bind({{}, 0});
    for (int i = 0; i < 2; ++i) {
      // The first finds out the link address.
      for (int n = 0; n < 20; ++n) {
        std::byte const one[] = {std::byte{1}};
        if (auto sent = co_await source->send(one, endpoint{second_v4, 9}, never); !sent) co_return sent;
      }
      co_await sleep_for(100ms);
    }
    std::byte some[10];
    for (int n = 0; n < 20; ++n) {
      auto const got = co_await sink->receive(some, from.now() + 1s);
      if (!got) co_return failure(got.error());
      CHECK(got->from.address == first_v4);
    }
    co_return {};
  }(*hosts.second, *hosts.first));
  REQUIRE((done && done->has_value()));
  CHECK(hosts.one.largest_batch == 20);
}

TEST_CASE("a request is acknowledged with its answer, by a task that was begun for its connection too") {
  pair_of_hosts hosts;
  auto const answer = [](direct_stream stream) -> task<> {
    std::byte some[100];
    if (auto const count = co_await stream.read(some, never); !count || *count == 0) co_return;
    (void)co_await stream.write(some, never);
    (void)co_await stream.read(some, never);  // the client's end
  };
  auto const serve = [&](network& on) -> task<result<void>> {
    auto listening = on.listen({.port = 80});
    if (!listening) co_return failure(std::move(listening.error()));
    auto children = co_await open_scope();
    for (;;) {
      auto stream = co_await listening->accept(never);
      if (!stream) co_return failure(std::move(stream.error()));
      children.spawn(answer(std::move(*stream)));
    }
  };
  std::size_t segments = 0;  // of TCP over IPv4, from the server
  auto const ask = [&](network& on) -> task<result<std::size_t>> {
    auto stream = co_await on.connect(endpoint{second_v4, 80}, on.now() + 1s);
    if (!stream) co_return failure(std::move(stream.error()));
    std::byte some[100] = {};
    if (auto sent = co_await stream->write(some, never); !sent) co_return failure(std::move(sent.error()));
    auto const count = co_await stream->read(some, on.now() + 1s);
    CHECK(segments == 2);  // SYN-ACK and the answer
    co_return count;
  };
  hosts.two.filter = [&](segment const& frame) {
    std::byte kind[2], protocol[1];
    if (frame.copy_out(12, kind) && frame.copy_out(23, protocol) && kind[0] == std::byte{8} &&
        kind[1] == std::byte{0} && protocol[0] == std::byte{6})
      ++segments;
    return true;
  };
  auto done = hosts.w.run([&](network& server, network& client) -> task<result<std::size_t>> {
    auto children = co_await open_scope();
    children.spawn(serve(server));
    co_return co_await ask(client);
  }(*hosts.second, *hosts.first));
  REQUIRE((done && done->has_value()));
  CHECK(**done == 100);
}

TEST_CASE("a sender of datagrams waits for room instead of losing them") {
  pair_of_hosts hosts;
  auto done = hosts.w.run([](network& to, network& from) -> task<result<std::size_t>> {
    auto sink = to.bind({{}, 9});
    auto source = from.bind({{}, 0});
    std::vector<std::byte> one(1000);
    (void)co_await source->send(one, endpoint{second_v4, 9}, never);
    co_await sleep_for(100ms);
    std::size_t got = 0;
    (void)co_await all(
        [](direct_datagrams& by) -> task<void> {
          std::vector<std::byte> each(10);
          for (int n = 0; n < 2000; ++n) (void)co_await by.send(each, endpoint{second_v4, 9}, never);
        }(*source),
        [](network& on, direct_datagrams& by, std::size_t& count) -> task<void> {
          std::byte some[2000];
          while (co_await by.receive(some, on.now() + 1s)) ++count;
        }(to, *sink, got));
    co_return got;
  }(*hosts.second, *hosts.first));
  REQUIRE((done && done->has_value()));
  CHECK(**done == 2001);
  CHECK(hosts.first->counters().transmit_queue_full > 0);
}

TEST_CASE("ping tells the time until the reply, and an absent host is an error") {
  pair_of_hosts hosts;
  for (auto const& to : {second_v4, second_v6}) {
    auto answered = hosts.w.run([](network& on, ip_address whom) -> task<result<duration>> {
      co_return co_await on.ping(whom, on.now() + 5s);
    }(*hosts.first, to));
    REQUIRE((answered && answered->has_value()));
  }
  auto nobody = hosts.w.run([](network& on) -> task<result<duration>> {
    co_return co_await on.ping(*ip_address::parse("10.0.0.99"), on.now() + 5s);
  }(*hosts.first));
  REQUIRE((nobody && !nobody->has_value()));
  CHECK(nobody->error().is(net_error::timed_out));
}

TEST_CASE("an address taken by another host is reported, and whoever waits for changes is woken") {
  pair_of_hosts hosts;
  cable_end third(capabilities(3, false));
  auto done = hosts.w.run([](network& on) -> task<result<std::uint64_t>> {
    CHECK(co_await on.wait_configured(on.now() + 1s));
    auto const before = on.address_generation();
    // The peer has 10.0.0.2, so asking for it finds that out.
    CHECK(on.core().add_address(*cidr::parse("10.0.0.2/24"), on.now()));
    on.touch();
    std::uint64_t seen = before;
    for (;;) {
      auto const changed = co_await on.addresses_changed(seen, on.now() + 20s);
      if (!changed) co_return failure(changed.error());
      seen = *changed;
      for (auto const& one : on.addresses()) {
        if (one.state == core::address_state::duplicated) co_return seen - before;
      }
    }
  }(*hosts.first));
  REQUIRE((done && done->has_value()));
  CHECK(hosts.w.log().find("10.0.0.2 is in use by another host") != std::string::npos);
}

TEST_CASE("settings of an open stream take effect: keepalive finds a peer that is gone") {
  pair_of_hosts hosts;
  auto done = hosts.w.run([](pair_of_hosts& on) -> task<result<void>> {
    auto listening = on.second->listen({.port = 7});
    auto stream = co_await on.first->connect(endpoint{second_v4, 7}, never);
    if (!stream) co_return failure(stream.error());
    auto wanted = stream->settings();
    wanted.keepalive = true;
    wanted.keepalive_idle = 10s;
    wanted.keepalive_interval = 5s;
    wanted.keepalive_probes = 3;
    stream->set(wanted);
    on.one.filter = [](segment const&) { return false; };
    std::byte some[4];
    auto const got = co_await stream->read(some, on.first->now() + 1h);
    CHECK((!got && got.error().is(net_error::timed_out)));
    co_return {};
  }(hosts));
  CHECK((done && done->has_value()));
  CHECK(hosts.w.elapsed() < 2min);
}

TEST_CASE("a writer that finds no buffer, because another stream holds all, goes on when they come back") {
  world w;
  cable_end one(capabilities(1, true)), two(capabilities(2, true));
  one.join(two);
  auto small = host(1);
  small.buffers_mib = 1;
  auto first = std::move(**w.run(network::connect(w.context(), one, small)));
  auto second = std::move(**w.run(network::connect(w.context(), two, host(2))));
  auto const serve = [](network& on, std::uint16_t port, duration late) -> task<result<std::size_t>> {
    auto listening = on.listen({.port = port});
    auto stream = co_await listening->accept(never);
    if (!stream) co_return failure(stream.error());
    co_await sleep_for(late);
    co_return co_await take_pattern(*stream, 20'000);
  };
  auto const send = [](network& on, std::uint16_t port, std::size_t total,
                       duration late) -> task<result<void>> {
    auto stream = co_await on.connect(endpoint{second_v4, port}, never);
    if (!stream) co_return failure(stream.error());
    co_await sleep_for(late);
    co_return co_await send_pattern(*stream, total, 100'000);
  };
  // The first and the third fill the pool while nobody reads; the second has nothing on its way whose
  // acknowledgment could wake it.
  auto done = w.run(all(serve(*second, 1, 5s), serve(*second, 2, 0s), serve(*second, 3, 5s),
                        send(*first, 1, 3'000'000, 0s), send(*first, 3, 3'000'000, 0s),
                        send(*first, 2, 100'000, 2s)));
  REQUIRE(done.has_value());
  REQUIRE((std::get<0>(*done).has_value() && std::get<1>(*done).has_value()));
  CHECK(*std::get<0>(*done) == 3'000'000);
  CHECK(*std::get<1>(*done) == 100'000);
  CHECK(first->buffers().refused() > 0);
}

TEST_CASE("a small guest keeps three quarters of its memory from what is to be sent") {
  world w;
  fake().memory_limit_bytes = 4u << 20;
  cable_end one(capabilities(1, true)), two(capabilities(2, true));
  one.join(two);
  auto first = std::move(**w.run(network::connect(w.context(), one, host(1))));
  auto second = std::move(**w.run(network::connect(w.context(), two, host(2))));
  auto const serve = [](network& on, std::uint16_t port) -> task<result<std::size_t>> {
    auto listening = on.listen({.port = port});
    auto stream = co_await listening->accept(never);
    if (!stream) co_return failure(stream.error());
    co_await sleep_for(5s);
    co_return co_await take_pattern(*stream, 20'000);
  };
  auto const send = [](network& on, std::uint16_t port) -> task<result<void>> {
    auto stream = co_await on.connect(endpoint{second_v4, port}, never);
    if (!stream) co_return failure(stream.error());
    co_return co_await send_pattern(*stream, 2'000'000, 100'000);
  };
  std::size_t most = 0;
  auto const watch = [&]() -> task<> {
    for (;;) {
      most = std::max(most, first->buffers().used_buffers() * first->buffers().buffer_bytes());
      co_await sleep_for(1ms);
    }
  };
  // While nobody reads, each may have a megabyte under way.
  auto done = w.run(race(all(serve(*second, 1), serve(*second, 2), serve(*second, 3), send(*first, 1),
                             send(*first, 2), send(*first, 3)),
                         watch()));
  REQUIRE((done.has_value() && done->index() == 0));
  auto const& ended = std::get<0>(*done);
  CHECK((std::get<0>(ended) == 2'000'000u && std::get<1>(ended) == 2'000'000u &&
         std::get<2>(ended) == 2'000'000u));
  CHECK(most > 900'000);
  CHECK(most <= 1u << 20);
}
