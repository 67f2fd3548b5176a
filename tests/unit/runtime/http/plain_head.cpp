// Heads that are taken without the parser: in one piece they are, byte by byte the parser reads them, and both ways must say
// the same of them.
#include <string>
#include <vector>

#include "support.hpp"

namespace {

using namespace morgana;
using namespace morgana::http;
using namespace morgana::http::test;

/// What a handler sees of each request, and what the peer is told.
std::string outcome(std::string_view wire, std::size_t step, limits const& with = {}) {
  std::string seen;
  peer sender(
      [&](request const& asked, response_writer& response) {
        seen.append(asked.method_text()).append(" ").append(std::to_string(static_cast<int>(asked.method())));
        for (auto const text : {asked.target(), asked.path(), asked.query(), asked.host()}) {
          seen.append("|").append(text);
        }
        for (auto const& field : asked.headers()) seen.append("\n").append(field.name).append("=").append(field.value);
        for (std::size_t i = 0; i < known_fields; ++i) {
          seen.append("\n").append(asked.header(static_cast<known_field>(i)));
        }
        seen.append(asked.is_http_1_0() ? "\n1.0" : "\n1.1");
        CHECK(asked.body().length() == 0u);
        response.reply(status::ok, "text/plain", "");
      },
      with);
  sender.send(wire, step);
  return seen + "\n" + statuses(sender.output) + (sender.closed || sender.half_closed ? " closed" : " open");
}

std::string get(std::string_view fields, std::string_view target = "/") {
  return std::string("GET ").append(target).append(" HTTP/1.1\r\n").append(fields).append("\r\n");
}

}  // namespace

TEST_CASE("A plain head says the same in one piece as byte by byte") {
  std::vector<std::string> heads{
      get("Host: a\r\n"), get("Host: a:80\r\nUser-Agent: x (y; z)\r\nAccept: */*\r\n", "/index.html?a=b&c"),
      get("host:a\r\nCONNECTION: Keep-Alive\r\n"), get("Host: a\r\nConnection: close\r\n"),
      get("Host: a\r\nConnection: close, x\r\n"), get("Host: a\r\nConnection: keep-alive\r\nConnection: close\r\n"),
      get("Host:   a  \r\nX:\r\nY:    \r\n"), get("Host:\ta\r\n"), get("Host: a\r\nX: b\tc\r\n"),
      get("Host: a\r\nRange: bytes=0-1\r\nIf-Range: \"x\"\r\nIf-None-Match: \"a\"\r\n"),
      get("Host: a\r\nIf-Match: \"a\"\r\nIf-Match: \"b\"\r\n"), get("Host: a\r\nRange: b\r\nRange: b\r\n"),
      get("Host: a\r\nHost: a\r\n"), get("X: 1\r\n"), get(""), get("Host: \r\n"), get("Host: a b\r\n"),
      get("Host: [::1]:8080\r\n"), get("Host: a:123456\r\n"), get("Host: a\r\nUpgrade: h2c\r\n"),
      get("Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), get("Host: a\r\nProxy-Connection: close\r\n"),
      get("Host: a\r\nContent-Length: 0\r\n"), get("Host: a\r\nExpect: 100-continue\r\n"),
      get("Host: a\r\n X: folded\r\n"), get("Host: a\r\nX : 1\r\n"), get("Host: a\r\n: 1\r\n"), get("Host: a\r\nX\r\n"),
      get("Host: a\r\nX: \x7f\r\n"), get("Host: a\r\nX: \x01\r\n"), get("Host: a\r\nX: \xc3\xa9\r\n"),
      get("Host: a\nX: 1\r\n"), get("Host: a\rX: 1\r\n"), get("Host: a\r\n", "/a#b"), get("Host: a\r\n", "/a\x7f"),
      get("Host: a\r\n", "/\xc3\xa9"), get("Host: a\r\n", "/a b"), get("Host: a\r\n", "http://b/c"), get("Host: a\r\n", "*"),
      get("Host: a\r\n", "/%41?"), get("Host: a\r\n", "/?"), get("Host: a\r\n", "//x"),
      get("Host: a\r\n", "/!\"$%&'()*+,-./:;<=>@[\\]^_`{|}~"), "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n",
      "HEAD / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\r\n\r\n",
      "get / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"};
  // Names and values of every length around that of a word, and one bad byte at each place of them.
  for (std::size_t size = 1; size < 20; ++size) {
    heads.push_back(get("Host: a\r\n" + std::string(size, 'n') + ": " + std::string(size, 'v') + "\r\n"));
    heads.push_back(get("Host: a\r\n", "/" + std::string(size, 't')));
    for (std::size_t at = 0; at < size; ++at) {
      for (char const bad : {'\x7f', '\x1f', '\xff', '\0'}) {
        std::string text(size, 'v');
        text[at] = bad;
        heads.push_back(get("Host: a\r\nX: " + text + "\r\n"));
        heads.push_back(get("Host: a\r\n", "/" + text));
      }
    }
  }
  // Every byte in names of a word and more, of fields that are known and that are not.
  for (std::string const own : {"If-Range", "Accept-Name"}) {
    for (std::size_t const at : {0u, 2u, 3u, 7u, 10u}) {
      for (int value = 0; value < 256 && at < own.size(); ++value) {
        auto name = own;
        name[at] = static_cast<char>(value);
        heads.push_back(get("Host: a\r\n" + name + ": 1\r\n"));
      }
    }
  }
  for (auto const& head : heads) {
    CAPTURE(head);
    auto const by_parser = outcome(head, 1);
    CHECK(outcome(head, SIZE_MAX) == by_parser);
    // And among others in one read: what follows is not taken for a part of it.
    auto const pair = head + get("Host: second\r\n", "/second");
    CHECK(outcome(pair, SIZE_MAX) == outcome(pair, 1));
  }
}

TEST_CASE("A plain head keeps to the limits as another does") {
  limits few;
  few.request_line_bytes = 32;
  few.headers_bytes = 64;
  few.header_fields = 3;
  for (std::size_t size = 0; size < 80; ++size) {
    CAPTURE(size);
    for (auto const& head : {get("Host: a\r\n", "/" + std::string(size, 't')), get("Host: a\r\nX: " + std::string(size, 'v') + "\r\n")}) {
      CHECK(outcome(head, SIZE_MAX, few) == outcome(head, 1, few));
    }
  }
  std::string fields = "Host: a\r\n";
  for (int i = 0; i < 4; ++i) {
    CHECK(outcome(get(fields), SIZE_MAX, few) == outcome(get(fields), 1, few));
    fields += "X: 1\r\n";
  }
}
