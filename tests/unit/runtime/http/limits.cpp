// Every limit of http/limits.hpp: just reached, and just passed.
#include "support.hpp"

using namespace morgana;
using namespace morgana::http;
using namespace morgana::http::test;

namespace {

limits small() {
  limits with;
  with.request_line_bytes = 100;
  with.headers_bytes = 200;
  with.header_fields = 4;
  with.body_bytes = 100;
  with.body_room_bytes = 64;
  with.drained_bytes = 50;
  with.pipelined_requests = 3;
  with.requests_per_connection = 5;
  with.lingered_bytes = 300;
  with.rate_bytes_min = 10;
  return with;
}

std::string target_of_line(std::size_t line_bytes) {
  return "/" + std::string(line_bytes - std::string_view("GET / HTTP/1.1").size(), 'a');
}

}  // namespace

TEST_CASE("A request line of the limit is served, one byte more is 414") {
  for (std::size_t step : {std::size_t{1}, std::size_t{10}, SIZE_MAX}) {
    peer good({}, small());
    good.send("GET " + target_of_line(100) + " HTTP/1.1\r\nHost: h\r\n\r\n", step);
    CHECK(statuses(good.output) == "200");
    peer bad({}, small());
    bad.send("GET " + target_of_line(101) + " HTTP/1.1\r\nHost: h\r\n\r\n", step);
    CHECK(statuses(bad.output) == "414");
    CHECK(bad.half_closed);
    CHECK(bad.counts().request_lines_too_long == 1);
    peer endless({}, small());
    endless.send("GET /" + std::string(5'000, 'a'), step);
    CHECK(statuses(endless.output) == "414");
  }
}

TEST_CASE("A header section of the limit is served, one byte more is 431") {
  auto const of_size = [](std::size_t bytes) {
    std::string_view const rest = "Host: h\r\nX: \r\n\r\n";
    return "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(bytes - rest.size(), 'x') + "\r\n\r\n";
  };
  for (std::size_t step : {std::size_t{1}, std::size_t{10}, SIZE_MAX}) {
    peer good({}, small());
    good.send(of_size(200), step);
    CHECK(statuses(good.output) == "200");
    for (auto const& wire : {of_size(201), of_size(50'000), "GET / HTTP/1.1\r\nX:" + std::string(5'000, ' ')}) {
      peer bad({}, small());
      bad.send(wire, step);
      CHECK(statuses(bad.output) == "431");
      CHECK(bad.half_closed);
      CHECK(bad.counts().headers_too_large == 1);
    }
  }
}

TEST_CASE("As many header fields as the limit are served, one more is 431") {
  auto const with_fields = [](int count) {
    std::string wire = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (int i = 1; i < count; ++i) wire += "A: b\r\n";
    return wire + "\r\n";
  };
  peer good({}, small());
  good.send(with_fields(4));
  CHECK(statuses(good.output) == "200");
  peer bad({}, small());
  bad.send(with_fields(5));
  CHECK(statuses(bad.output) == "431");
  CHECK(bad.counts().too_many_headers == 1);

  limits generous;
  generous.header_fields = 100'000;   // never more than the table holds
  peer many({}, generous);
  many.send(with_fields(static_cast<int>(header_fields_max) + 1));
  CHECK(statuses(many.output) == "431");
}

TEST_CASE("A body of the limit is read, one byte more is 413, before or while it is read") {
  auto const reading = [](peer& sender) {
    sender.handler = [&sender](request const&, response_writer& response) {
      if (auto const body = peer::body_of(*sender.state)) response.reply(status::ok, "text/plain", *body);
    };
  };
  std::string const chunk(50, 'x');
  auto with = small();
  with.body_room_bytes = 1'000;
  {
    peer good({}, with);
    reading(good);
    good.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n" + chunk + chunk);
    CHECK(good.output.ends_with(chunk + chunk));
    peer bad({}, with);
    bad.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n");
    CHECK(statuses(bad.output) == "413");
    CHECK(bad.half_closed);
    CHECK(bad.counts().bodies_too_large == 1);
    CHECK(bad.counts().requests == 0);
  }
  std::string const head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string const wire_chunk = "32\r\n" + chunk + "\r\n";
  peer good({}, with);
  reading(good);
  good.send(head + wire_chunk + wire_chunk + "0\r\n\r\n");
  CHECK(good.output.ends_with(chunk + chunk));
  peer bad({}, with);
  reading(bad);
  bad.send(head + wire_chunk + wire_chunk + "1\r\nx\r\n0\r\n\r\n");
  CHECK(statuses(bad.output) == "413");
  CHECK(bad.half_closed);
  CHECK(bad.counts().bodies_too_large == 1);
}

TEST_CASE("Framing without a body, in extensions, trailers or zeros, is refused") {
  for (std::string const& framing :
       {"5;" + std::string(5'000, 'e') + "\r\nhello\r\n", std::string(5'000, '0') + "5\r\nhello\r\n",
        "0\r\nTrailer: " + std::string(5'000, 't') + "\r\n\r\n"}) {
    peer sender([](request const&, response_writer& response) { response.reply(status::ok); }, small());
    sender.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    sender.send(framing, 20);
    CHECK(sender.half_closed);
    CHECK(sender.counts().headers_too_large == 1);
  }
}

TEST_CASE("A body that nobody read is drained up to the limit") {
  auto const with_body = [](std::size_t bytes) {
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'x');
  };
  peer good({}, small());
  good.send(with_body(50) + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n", 30);
  CHECK(statuses(good.output) == "200 200");
  peer bad({}, small());
  bad.send(with_body(51) + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n", 30);
  CHECK(statuses(bad.output) == "200");
  CHECK(bad.half_closed);
  CHECK(bad.counts().bodies_not_drained == 1);
  peer chunked({}, small());
  chunked.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n33\r\n" + std::string(51, 'x') + "\r\n0\r\n\r\n", 30);
  CHECK(chunked.half_closed);
  CHECK(chunked.counts().bodies_not_drained == 1);
}

TEST_CASE("More pipelined requests than the limit are written in several parts") {
  auto with = small();
  with.requests_per_connection = 100;
  peer sender({}, with);
  std::string wire;
  for (int i = 0; i < 7; ++i) wire += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  auto const room = sender.state->input_room();
  REQUIRE(room.size() >= wire.size());
  sender.send(wire);
  CHECK(sender.counts().responses == 7);
  CHECK(sender.counts().writes == 3);
  CHECK(sender.counts().pipelines_full == 2);
}

TEST_CASE("Large pipelined answers never overflow what gathers them") {
  static std::string const fields = "X: " + std::string(3'000, 'x') + "\r\nContent-Length: 1\r\n";
  limits with;
  with.pipelined_requests = 1'000;
  peer sender([](request const&, response_writer& response) {
    response.reply_prepared({status_line(status::ok), fields}, std::as_bytes(std::span("b", 1)));
  }, with);
  std::string wire;
  for (int i = 0; i < 300; ++i) wire += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  sender.send(wire);
  CHECK(sender.counts().responses == 300);
  CHECK(sender.output.size() == 300 * (fields.size() + std::string_view("HTTP/1.1 200 OK\r\n\r\nb").size()));
}

TEST_CASE("The last request of a connection is told so") {
  peer sender({}, small());
  for (int i = 0; i < 7; ++i) sender.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(sender.counts().responses == 5);
  CHECK(sender.counts().connections_used_up == 1);
  CHECK(sender.output.find("Connection: close") != std::string::npos);
  CHECK(sender.closed);
}

TEST_CASE("Response heads beyond the limit are a 500") {
  peer sender([](request const&, response_writer& response) {
    response.header("X", std::string(5'000, 'x'));
    response.reply(status::ok, "text/plain", "x");
  });
  sender.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(statuses(sender.output) == "500");
  CHECK(sender.counts().response_heads_too_large == 1);
}

TEST_CASE("An idle connection closes without a word, one in the middle of a head with 408") {
  peer idle;
  REQUIRE(idle.run());
  CHECK(idle.state->read_deadline() == start + limits().idle_timeout);
  idle.state->read_timed_out();
  CHECK(!idle.run());
  CHECK(idle.output.empty());
  CHECK(idle.counts().idle_timeouts == 1);

  peer slow;
  slow.send("GET / HT");
  CHECK(slow.state->read_deadline() == start + limits().header_timeout);
  slow.now += 5s;
  slow.send("TP/1.1\r\nHost:");   // more bytes do not give more time
  CHECK(slow.state->read_deadline() == start + limits().header_timeout);
  slow.state->read_timed_out();
  slow.run();
  CHECK(statuses(slow.output) == "408");
  CHECK(slow.half_closed);
  CHECK(slow.counts().header_timeouts == 1);
}

TEST_CASE("The idle time begins anew after each answer") {
  peer sender;
  sender.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  sender.now += 30s;
  sender.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(sender.state->read_deadline() == start + 30s + limits().idle_timeout);
}

TEST_CASE("A body has time by its bytes, and is answered with 408 when it is too slow") {
  server_context shared;
  shared.limits = small();
  connection_memory memory(shared.limits);
  connection state(shared, memory, start);
  auto const feed = [&](std::string_view bytes) {
    std::memcpy(state.input_room().data(), bytes.data(), bytes.size());
    state.received(bytes.size(), start);
  };
  REQUIRE(state.next(start) == connection::action::read);
  feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n");
  REQUIRE(state.next(start) == connection::action::handle);
  CHECK(state.read_deadline() == start + 10s);
  feed(std::string(20, 'x'));
  REQUIRE(peer::body_of(state));
  CHECK(state.read_deadline() == start + 12s);   // 10 bytes a second
  state.read_timed_out();
  auto const body = peer::body_of(state);
  REQUIRE(!body);
  CHECK(body.error().is(http_error::timed_out));
  state.handled();
  REQUIRE(state.next(start) == connection::action::write);
  CHECK(statuses(std::string_view(reinterpret_cast<char const*>(state.output()[0].data()), state.output()[0].size())) == "408");
  CHECK(shared.statistics.body_timeouts == 1);
}

TEST_CASE("A write has time by its bytes, and the connection ends when it is too slow") {
  server_context shared;
  shared.limits = small();
  connection_memory memory(shared.limits);
  connection state(shared, memory, start);
  REQUIRE(state.next(start) == connection::action::read);
  std::string_view const wire = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  std::memcpy(state.input_room().data(), wire.data(), wire.size());
  state.received(wire.size(), start);
  REQUIRE(state.next(start) == connection::action::handle);
  static std::string const body(1'000, 'x');
  state.response().reply_view(status::ok, "a/b", std::as_bytes(std::span(body)));
  state.handled();
  REQUIRE(state.next(start) == connection::action::write);
  CHECK(state.write_deadline(start) == start + 10s + 106s);   // 1,063 bytes at 10 a second
  state.write_failed(true);
  CHECK(state.next(start) == connection::action::close);
  CHECK(shared.statistics.write_timeouts == 1);
}

TEST_CASE("After a refusal so much is read and thrown away, then the connection closes") {
  peer bytes({}, small());
  bytes.send("BAD\x01");
  REQUIRE(bytes.half_closed);
  bytes.send(std::string(300, 'x'), 50);
  CHECK(!bytes.closed);
  bytes.send("x");
  CHECK(bytes.closed);
  CHECK(bytes.counts().lingers_cut == 1);

  peer time({}, small());
  time.send("BAD\x01");
  CHECK(time.state->read_deadline() == start + limits().linger_timeout);
  time.state->read_timed_out();
  CHECK(!time.run());
  CHECK(time.counts().lingers_cut == 1);

  peer polite({}, small());
  polite.send("BAD\x01");
  polite.end();
  CHECK(polite.closed);
  CHECK(polite.counts().lingers_cut == 0);
}

TEST_CASE("Requests can follow each other for ever in a buffer of fixed size") {
  auto with = small();
  with.requests_per_connection = 1'000'000;
  for (std::size_t step : {std::size_t{1}, std::size_t{13}, std::size_t{97}}) {
    peer sender({}, with);
    std::string wire;
    for (int i = 0; i < 500; ++i) wire += "GET /" + std::string(static_cast<std::size_t>(i % 60), 'a') + " HTTP/1.1\r\nHost: h\r\nX: " + std::string(static_cast<std::size_t>(i % 90), 'v') + "\r\n\r\n";
    sender.send(wire, step);
    CHECK(sender.counts().responses == 500);
    CHECK(sender.counts().malformed == 0);
  }
}
