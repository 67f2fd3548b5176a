// Requests in, in every split; what is taken, what is refused.
#include <random>
#include <vector>

#include "support.hpp"

using namespace morgana;
using namespace morgana::http;
using namespace morgana::http::test;

namespace {

/// Writes a request down as the handler saw it.
std::string describe(request const& asked) {
  std::string text;
  text.append(asked.method_text()).append(" ").append(asked.path()).append("?").append(asked.query());
  text.append(asked.is_http_1_0() ? " 1.0" : " 1.1").append(" host=").append(asked.host()).append("\n");
  for (auto const& field : asked.headers()) text.append(field.name).append("=").append(field.value).append("|\n");
  return text;
}

constexpr std::string_view three_requests =
    "GET /first?a=b HTTP/1.1\r\nHost: example.org:8080\r\nAccept:  */* \t\r\nX-Empty:\r\n\r\n"
    "\r\n"
    "POST /form HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 11\r\n\r\nhello world"
    "PUT http://other.example/chunked HTTP/1.1\r\nHost: ignored\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
    "HEAD / HTTP/1.0\r\n\r\n";

constexpr std::string_view as_seen =
    "GET /first?a=b 1.1 host=example.org:8080\nHost=example.org:8080|\nAccept=*/*|\nX-Empty=|\n"
    "POST /form? 1.1 host=[::1]:80\nHost=[::1]:80|\nContent-Length=11|\n"
    "PUT /chunked? 1.1 host=other.example\nHost=ignored|\nTransfer-Encoding=Chunked|\n"
    "HEAD /? 1.0 host=\n";

struct recorder {
  std::string seen;
  peer with{[this](request const& asked, response_writer& response) {
    seen += describe(asked);
    response.reply(status::ok, "text/plain", "x");
  }};
};

}  // namespace

TEST_CASE("Requests are the same however their bytes are split") {
  for (std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, std::size_t{64}, three_requests.size()}) {
    recorder all;
    all.with.send(three_requests, step);
    CAPTURE(step);
    CHECK(all.seen == as_seen);
    CHECK(statuses(all.with.output) == "200 200 200 200");
    CHECK(all.with.closed);   // HTTP/1.0
  }
  for (std::size_t cut = 1; cut < three_requests.size(); ++cut) {
    recorder all;
    all.with.send(three_requests.substr(0, cut));
    all.with.send(three_requests.substr(cut));
    CAPTURE(cut);
    CHECK(all.seen == as_seen);
  }
}

TEST_CASE("A request that repeats the one before it is what it was, whatever comes between and however it is split") {
  // Of one length, and one the beginning of another, so that what is kept of the last must be looked at to its end.
  constexpr std::string_view requests[] = {
      "GET /same?a HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n", "GET /same?a HTTP/1.1\r\nHost: a\r\nX: 2\r\n\r\n",
      "GET /same?b HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n", "GET /same?a HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\nGET /same?a HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n",
      "POST /same HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "HEAD /same?a HTTP/1.1\r\nHost: a\r\n\r\n"};
  std::vector<std::string> each;
  for (auto const one : requests) {
    recorder alone;
    alone.with.send(one);
    each.push_back(alone.seen);
  }
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    recorder all;
    std::string expected, wire;
    std::size_t which = 0;
    for (int i = 0; i < 30; ++i) {
      if (random() % 2 == 0) which = random() % std::size(requests);
      wire += requests[which];
      expected += each[which];
      if (random() % 3 != 0) continue;
      all.with.send(wire, random() % 4 == 0 ? 1 + random() % 40 : SIZE_MAX);
      wire.clear();
    }
    all.with.send(wire);
    CAPTURE(round);
    REQUIRE(all.seen == expected);
    CHECK(all.with.counts().requests == 30);
    CHECK(all.with.counts().responses == 30);
  }
  // The last of a connection says so, although it repeats the one before.
  limits few;
  few.requests_per_connection = 3;
  peer sender({}, few);
  for (int i = 0; i < 3; ++i) sender.send(requests[0]);
  CHECK(sender.output.find("Connection: close") > sender.output.rfind("HTTP/1.1 200"));
  CHECK(sender.output.find("Connection: close") != std::string::npos);
  CHECK(sender.closed);
}

TEST_CASE("A body arrives whole however it is chunked and split") {
  std::string const wire =
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "1\r\nh\r\n4\r\nello\r\n00a\r\n, world of\r\n8;x\r\n chunks.\r\n0\r\n\r\n"
      "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
  for (std::size_t cut = 1; cut < wire.size(); ++cut) {
    server_context shared;
    connection_memory memory(shared.limits);
  connection state(shared, memory, start);
    std::string body;
    auto const feed = [&](std::string_view bytes) {
      auto const room = state.input_room();
      REQUIRE(room.size() >= bytes.size());
      std::memcpy(room.data(), bytes.data(), bytes.size());
      state.received(bytes.size(), start);
    };
    auto const read_body = [&] {
      auto more = peer::body_of(state);
      REQUIRE(more);
      body += *more;
    };
    CAPTURE(cut);
    REQUIRE(state.next(start) == connection::action::read);
    feed(std::string_view(wire).substr(0, cut));
    bool handling = state.next(start) == connection::action::handle;
    if (handling) read_body();
    feed(std::string_view(wire).substr(cut));
    if (!handling) REQUIRE(state.next(start) == connection::action::handle);
    CHECK(state.current().path() == "/a");
    read_body();
    CHECK(body == "hello, world of chunks.");
    CHECK(state.current().path() == "/a");   // its views still hold
    state.response().reply(status::no_content);
    state.handled();
    REQUIRE(state.next(start) == connection::action::handle);
    CHECK(state.current().path() == "/b");
  }
}

TEST_CASE("Attempts to smuggle a request, and what is malformed, are refused and end the connection") {
  struct attempt {
    std::string_view what;
    std::string_view wire;
    std::string_view statuses;
  };
  // Each is followed by a request that must never be answered.
  static constexpr attempt attempts[] = {
      // RFC 9112 section 6: what the length is.
      {"both lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"both lengths, the other way", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "400"},
      {"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"},
      {"one length twice", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "400"},
      {"a list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello", "400"},
      {"a length with a sign", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello", "400"},
      {"a negative length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400"},
      {"a hexadecimal length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello", "400"},
      {"a length with a space", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5 0\r\n\r\nhello", "400"},
      {"an empty length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", "400"},
      {"a length beyond 64 bits", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n", "400"},
      {"chunked not last", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400"},
      {"no chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", "400"},
      {"identity", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", "400"},
      {"xchunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"},
      {"another coding under chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
      {"chunked twice", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"chunked hidden by a tab", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0b" "chunked\r\n\r\n0\r\n\r\n", "400"},
      {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      // Section 5: fields.
      {"space before the colon", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello", "400"},
      {"a folded line", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "400"},
      {"a folded length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 5\r\n\r\nhello", "400"},
      {"space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "400"},
      {"no field name", "GET / HTTP/1.1\r\n: x\r\nHost: h\r\n\r\n", "400"},
      {"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", "400"},
      {"NUL in a name", std::string_view("GET / HTTP/1.1\r\nHo\0st: h\r\n\r\n", 29), "400"},
      {"NUL in a value", std::string_view("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 36), "400"},
      {"a bare CR in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", "400"},
      {"a bare LF ends a field", "GET / HTTP/1.1\r\nHost: h\nX: a\r\n\r\n", "400"},
      {"a bare LF ends the head", "GET / HTTP/1.1\r\nHost: h\r\n\n", "400"},
      {"a bare CR ends the head", "GET / HTTP/1.1\r\nHost: h\r\n\rX", "400"},
      {"a bare LF ends the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", "400"},
      // Section 2.2: empty lines.
      {"two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"an empty line of a bare LF", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"a CR without LF", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      // Section 3: the request line.
      {"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"two spaces before the version", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"a tab", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"space behind the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "400"},
      {"no version", "GET /\r\nHost: h\r\n\r\n", "400|505"},
      {"a version in small letters", "GET / http/1.1\r\nHost: h\r\n\r\n", "400"},
      {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", "400"},
      {"HTTP/3.0", "GET / HTTP/3.0\r\nHost: h\r\n\r\n", "505"},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "505"},
      {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: h\r\n\r\n", "505"},
      {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
      {"RTSP", "OPTIONS * RTSP/1.0\r\nHost: h\r\n\r\n", "501"},
      {"a method of RTSP", "DESCRIBE / RTSP/1.0\r\nHost: h\r\n\r\n", "501|400"},
      {"an unknown method", "FETCH / HTTP/1.1\r\nHost: h\r\n\r\n", "501"},
      {"a method in small letters", "get / HTTP/1.1\r\nHost: h\r\n\r\n", "501"},
      {"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", "501"},
      {"a TLS hello", std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "400"},
      {"a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"obs-text in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"a fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"a relative target", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"an asterisk to get", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"another scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"a user name", "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      // Section 3.2: Host.
      {"no host", "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", "400"},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
      {"one host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "400"},
      {"a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
      {"a host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"},
      {"a host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
      {"a host with a bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", "400"},
      {"a host with a bad address", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"},
      // Others.
      {"two ranges fields", "GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n", "400"},
      {"an unknown expectation", "GET / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n", "417"},
  };
  std::string_view const next = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
  for (auto const& [what, wire, expected] : attempts) {
    for (std::size_t step : {std::size_t{1}, std::size_t{5}, SIZE_MAX}) {
      std::string seen;
      peer sender([&](request const& asked, response_writer& response) {
        seen += asked.path();
        response.reply(status::ok);
      });
      sender.send(std::string(wire).append(next), step);
      CAPTURE(what, step, sender.output);
      // Where two are listed, either will do.
      auto const got = statuses(sender.output);
      CHECK(!got.empty());
      CHECK(expected.find(got) != std::string_view::npos);
      CHECK(seen.find("smuggled") == std::string::npos);
      CHECK(seen.empty());
      CHECK(sender.half_closed);
      CHECK(sender.output.find("Connection: close\r\n") != std::string::npos);
      CHECK(sender.counts().malformed + sender.counts().unsupported == 1);
    }
  }
}

TEST_CASE("A malformed body fails its reader, is answered with 400 and ends the connection") {
  for (std::string_view const chunks :
       {"5\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "g\r\n", "\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n", "0\r\nbad trailer\r\n\r\n", "0\r\nX: y\n\r\n"}) {
    for (std::size_t step : {std::size_t{1}, SIZE_MAX}) {
      std::string seen;
      peer sender;
      sender.handler = [&](request const& asked, response_writer&) {
        seen += asked.path();
        static_cast<void>(peer::body_of(*sender.state));
      };
      sender.send("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", SIZE_MAX);
      sender.output.clear();
      // The stub handler does not wait for a body that comes later, so the rest is drained.
      sender.send(std::string(chunks) + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", step);
      CAPTURE(chunks, step, sender.output);
      CHECK(seen == "/a");
      CHECK(sender.half_closed);
      CHECK(sender.counts().malformed == 1);

      std::string seen_at_once;
      peer at_once;
      at_once.handler = [&](request const& asked, response_writer&) {
        seen_at_once += asked.path();
        CHECK(!peer::body_of(*at_once.state));
      };
      at_once.send("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunks) +
                   "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
      CHECK(seen_at_once == "/a");
      CHECK(statuses(at_once.output) == "400");
      CHECK(at_once.half_closed);
    }
  }
}

TEST_CASE("Connection says whether another request may follow") {
  struct row {
    std::string_view wire;
    bool stays;
    std::string_view says;
  };
  static constexpr row rows[] = {
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true, ""},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false, "Connection: close\r\n"},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n", false, "Connection: close\r\n"},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", true, ""},
      {"GET / HTTP/1.0\r\n\r\n", false, "Connection: close\r\n"},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "Connection: keep-alive\r\n"},
  };
  for (auto const& [wire, stays, says] : rows) {
    peer sender;
    sender.send(wire);
    CAPTURE(wire, sender.output);
    CHECK(sender.closed == !stays);
    CHECK((sender.output.find("Connection:") != std::string::npos) == !says.empty());
    CHECK(sender.output.find(says) != std::string::npos);
  }
}

TEST_CASE("Paths are decoded, and doubtful encodings are not") {
  char into[16];
  CHECK(decode_path("/plain", into) == "/plain");
  CHECK(decode_path("/a%20b%C3%a4", into) == "/a b\xc3\xa4");
  CHECK(decode_path("/%2e%2E", into) == "/..");
  CHECK(!decode_path("/a%2fb", into));
  CHECK(!decode_path("/a%00", into));
  CHECK(!decode_path("/a%4", into));
  CHECK(!decode_path("/a%", into));
  CHECK(!decode_path("/a%zz", into));
  CHECK(!decode_path("/0123456789abcde%20f", into));
}
