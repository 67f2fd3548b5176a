// A server without the parser (morgana/http/features.hpp): this definition stands in for that of an application's generated
// main. Plain requests are answered as ever, each other is refused with the right status, and ends the connection.
#include <string>
#include <vector>

#include "../support.hpp"
#include "morgana/http/features.hpp"

bool const morgana::http::features::parser = false;

namespace {

using namespace morgana;
using namespace morgana::http;
using namespace morgana::http::test;

/// Each request as a handler sees it, and what the peer is told.
std::string outcome(std::string_view wire, std::size_t step = SIZE_MAX, limits const& with = {}) {
  std::string seen;
  peer sender(
      [&](request const& asked, response_writer& response) {
        seen.append(asked.method_text()).append(" ").append(asked.path()).append("?").append(asked.query());
        seen.append(asked.is_http_1_0() ? " 1.0 " : " 1.1 ").append(asked.host());
        for (auto const& field : asked.headers()) seen.append("|").append(field.name).append("=").append(field.value);
        seen.append("; ");
        CHECK(asked.body().length() == 0u);
        response.reply(status::ok, "text/plain", "");
      },
      with);
  sender.send(wire, step);
  return seen + statuses(sender.output) + (sender.closed || sender.half_closed ? " closed" : " open");
}

/// The same in one piece, in parts of every size, and byte by byte.
std::string always(std::string const& wire, limits const& with = {}) {
  auto const whole = outcome(wire, SIZE_MAX, with);
  for (std::size_t step = 1; step < 40; ++step) {
    CAPTURE(wire, step);
    REQUIRE(outcome(wire, step, with) == whole);
  }
  return whole;
}

std::string get(std::string_view fields, std::string_view target = "/", std::string_view version = "1.1") {
  return std::string("GET ").append(target).append(" HTTP/").append(version).append("\r\n").append(fields).append("\r\n");
}

std::string const host = "Host: a\r\n";

}  // namespace

TEST_CASE("Without the parser plain requests are what they are with it") {
  CHECK(always(get(host)) == "GET /? 1.1 a|Host=a; 200 open");
  CHECK(always("HEAD /x?y=z HTTP/1.1\r\nHost: a\r\n\r\n") == "HEAD /x?y=z 1.1 a|Host=a; 200 open");
  CHECK(always("\r\n" + get("host:  a\t \r\nX:\r\n")) == "GET /? 1.1 a|host=a|X=; 200 open");
  CHECK(always(get("Host: a\r\nX: b\tc \xc3\xa9\r\n")) == "GET /? 1.1 a|Host=a|X=b\tc \xc3\xa9; 200 open");
  CHECK(always(get(host, "http://b/c")) == "GET /c? 1.1 b|Host=a; 200 open");
  CHECK(always(get(host + "Connection: close\r\n")) == "GET /? 1.1 a|Host=a|Connection=close; 200 closed");
  CHECK(always(get(host + "Connection: TE, Close\r\n")) == "GET /? 1.1 a|Host=a|Connection=TE, Close; 200 closed");
  CHECK(always(get(host + "Connection: Upgrade\r\nUpgrade: h2c\r\n")).ends_with("200 open"));
  CHECK(always(get(host + "Connection: keep-alive\r\nConnection: close\r\n")).ends_with("200 closed"));
  CHECK(always(get(host + "Content-Length: 0\r\n")).ends_with("200 open"));
  CHECK(always(get(host + "Expect: 100-continue\r\n")).ends_with("200 open"));
  CHECK(always(get(host + "If-Match: \"a\"\r\nIf-Match: \"b\"\r\n")).ends_with("200 open"));
}

TEST_CASE("Without the parser HTTP/1.0 is answered, and goes on when it is asked to") {
  CHECK(always(get("", "/", "1.0")) == "GET /? 1.0 ; 200 closed");
  CHECK(always(get("Connection: Keep-Alive\r\n", "/", "1.0") + get("", "/b", "1.0")) ==
        "GET /? 1.0 |Connection=Keep-Alive; GET /b? 1.0 ; 200 200 closed");
}

TEST_CASE("Without the parser requests in one piece are answered in their order") {
  std::string wire, expected, answers;
  for (int i = 0; i < 40; ++i) {
    wire += get(host, "/" + std::to_string(i));
    expected += "GET /" + std::to_string(i) + "? 1.1 a|Host=a; ";
    answers += i == 0 ? "200" : " 200";
  }
  CHECK(always(wire) == expected + answers + " open");
}

TEST_CASE("Without the parser heads of browsers and curl are plain") {
  std::string const browser = get(
      "Host: 10.0.0.2:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: de,en-US;q=0.7,en;q=0.3\r\n"
      "Accept-Encoding: gzip, deflate\r\nDNT: 1\r\nSec-GPC: 1\r\nConnection: keep-alive\r\nCookie: a=b; c=d\r\n"
      "Upgrade-Insecure-Requests: 1\r\nPriority: u=0, i\r\nIf-None-Match: \"1\"\r\nCache-Control: max-age=0\r\n", "/bench.html");
  CHECK(always(browser + browser).ends_with("; 200 200 open"));
  std::string const curl = get("Host: a\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                               "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n");
  CHECK(always(curl).ends_with("; 200 open"));
}

TEST_CASE("Without the parser what is not plain is refused, and nothing behind it is taken for a request") {
  struct refused {
    std::string head;
    std::string_view status;
  };
  std::vector<refused> const all{
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "501"},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
      {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
      {"get / HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
      {get(host + "Content-Length: 3\r\n") + "abc", "413"},
      {get(host + "Content-Length: 00\r\n"), "413"},
      {get(host + "Content-Length: 99999999999999999999999\r\n"), "413"},
      {get(host + "Content-Length: +3\r\n"), "400"},
      {get(host + "Content-Length:\r\n"), "400"},
      {get(host + "Content-Length: 0, 0\r\n"), "400"},
      {get(host + "Content-Length: 0\r\nContent-Length: 0\r\n"), "400"},
      {get(host + "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", "501"},
      {get(host + "Transfer-Encoding: identity\r\n"), "501"},
      {get(host + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), "501"},
      {get(host + "Transfer-Encoding: chunked\r\n", "/", "1.0"), "400"},
      {get(host + "Expect: other\r\n"), "417"},
      {get(host, "/", "1.2"), "505"},
      {get(host, "/", "3.0"), "505"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
      {get(host, "/", "1.1 "), "400"},
      {get(host, "/", "11"), "400"},
      {get(host, "/", "1.10"), "400"},
      {"GET /\r\n\r\n", "400"},
      {"GET\r\n\r\n", "400"},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET / RTSP/1.0\r\nHost: a\r\n\r\n", "400"},
      {get(host, "*"), "400"},
      {get(host, "/a b"), "400"},
      {get(host, "/a#b"), "400"},
      {get(host, "/\xc3\xa9"), "400"},
      {get(host, "a"), "400"},
      {get(host, "http://u@b/"), "400"},
      {get(""), "400"},
      {get("Host: a b\r\n"), "400"},
      {get("Host: a\r\nHost: a\r\n"), "400"},
      {get(host + "Range: b\r\nRange: b\r\n"), "400"},
      {get(host + " X: folded\r\n"), "400"},
      {get(host + "X : 1\r\n"), "400"},
      {get(host + ": 1\r\n"), "400"},
      {get(host + "X\r\n"), "400"},
      {get(host + "X: \x01\r\n"), "400"},
      {get(std::string("Host: a\r\nX: \0\r\n", 15)), "400"},
      {get("Host: a\nX: 1\r\n"), "400"},
      {get("Host: a\rX: 1\r\n"), "400"},
      {"GET / HTTP/1.1\nHost: a\n\n", "400"},
      {"\r\n\r\n" + get(host), "400"},
      {"\n" + get(host), "400"},
      {std::string("\x16\x03\x01\x02\x00\x01\x00", 7), "400"},
      {"SSH-2.0-x\r\n", "400"},
  };
  for (auto const& one : all) {
    CAPTURE(one.head);
    CHECK(always(one.head + get(host, "/smuggled")) == std::string(one.status) + " closed");
    // Behind one that is answered, too.
    CHECK(always(get(host) + one.head + get(host, "/smuggled")) == "GET /? 1.1 a|Host=a; 200 " + std::string(one.status) + " closed");
  }
}

TEST_CASE("Without the parser noise is refused before its line ends") {
  peer sender;
  sender.send("GET /\x01");
  CHECK(statuses(sender.output) == "400");
  CHECK(sender.counts().malformed == 1);
}

TEST_CASE("Without the parser the limits of a head are what they are with it") {
  limits few;
  few.request_line_bytes = 32;
  few.headers_bytes = 64;
  few.header_fields = 3;
  // "GET /tt HTTP/1.1" has 14 bytes and its t's, the fields 9, 5, 2, 2 and its v's.
  for (std::size_t size = 0; size < 80; ++size) {
    CAPTURE(size);
    auto const line = always(get(host, "/" + std::string(size, 't')), few);
    CHECK(line.ends_with(size <= 18 ? "200 open" : "414 closed"));
    auto const fields = always(get(host + "X: " + std::string(size, 'v') + "\r\n"), few);
    CHECK(fields.ends_with(size <= 48 ? "200 open" : "431 closed"));
  }
  CHECK(always(get(host + "X: 1\r\nX: 2\r\n"), few).ends_with("200 open"));
  CHECK(always(get(host + "X: 1\r\nX: 2\r\nX: 3\r\n"), few).ends_with("431 closed"));
  // Neither waits for an end that may never come.
  CHECK(always("GET /" + std::string(28, 't'), few) == "414 closed");
  CHECK(always("GET / HTTP/1.1\r\nX: " + std::string(60, 'v'), few) == "431 closed");
  peer sender({}, few);
  sender.send("GET /" + std::string(28, 't'));
  sender.end();
  CHECK(sender.counts().request_lines_too_long == 1);
}

TEST_CASE("Without the parser a head that does not end is waited for as long as with it") {
  peer sender;
  sender.send("GET / HTTP/1.1\r\nHo", 1);
  CHECK(sender.run());
  CHECK(sender.state->read_deadline() == sender.now + limits{}.header_timeout);
  sender.state->read_timed_out();
  sender.run();
  CHECK(statuses(sender.output) == "408");
  CHECK(sender.counts().header_timeouts == 1);

  peer lost;
  lost.send("GET / HTTP/1.1\r\nHo");
  lost.end();
  CHECK(lost.output.empty());
  CHECK(lost.closed);
  CHECK(lost.counts().peers_lost == 1);
}

TEST_CASE("Without the parser a handler that asks for a body finds its end") {
  bool asked = false;
  peer sender([&](request const&, response_writer& response) {
    auto const body = peer::body_of(*sender.state);
    REQUIRE(body);
    CHECK(body->empty());
    asked = true;
    response.reply(status::ok, "text/plain", "");
  });
  sender.send(get(host));
  CHECK(asked);
}
