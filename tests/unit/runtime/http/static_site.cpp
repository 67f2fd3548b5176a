// Files, conditions, ranges and dates.
#include "morgana/http/static_site.hpp"

#include "morgana/http/content_type.hpp"
#include "morgana/http/date.hpp"
#include "morgana/storage/memory_store.hpp"
#include "support.hpp"

using namespace morgana;
using namespace morgana::http;
using namespace morgana::http::test;

namespace {

constexpr std::int64_t modified = 784'111'777;   // Sun, 06 Nov 1994 08:49:37 GMT

struct website {
  website() {
    put("index.html", "<h1>home</h1>");
    put("a b.txt", "0123456789");
    put("docs/index.html", "docs");
    put("docs/site.css", "p{}");
    put("empty", "");
    put("404.html", "nothing here");
    site.emplace(store);
  }
  void put(std::string_view key, std::string_view value) {
    REQUIRE(store.put(key, std::as_bytes(std::span(value)), modified));
  }
  std::string ask(std::string_view line, std::string_view fields = {}) {
    peer sender([&](request const& asked, response_writer& response) { REQUIRE(site->try_handle(asked, response)); });
    sender.send(std::string(line) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n");
    return sender.output;
  }
  std::string tag_of(std::string_view path) {
    auto const answer = ask("GET " + std::string(path));
    auto const at = answer.find("ETag: ") + 6;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }
  memory_store store;
  std::optional<static_site<memory_store>> site;
};

bool has(std::string const& answer, std::string_view line) { return answer.find(std::string(line) + "\r\n") != std::string::npos; }

}  // namespace

TEST_CASE("A file is sent with its type, length, tag and date") {
  website web;
  auto const tag = web.tag_of("/a%20b.txt");
  CHECK(tag.size() == entity_tag_bytes);
  CHECK(web.ask("GET /a%20b.txt") ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\nAccept-Ranges: bytes\r\nETag: " + tag +
            "\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n0123456789");
  auto const head = web.ask("HEAD /a%20b.txt");
  CHECK(has(head, "Content-Length: 10"));
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(web.ask("GET /empty").ends_with("\r\n\r\n"));
  CHECK(has(web.ask("GET /empty"), "Content-Length: 0"));
}

TEST_CASE("A request that repeats the one before it has the answer of one that comes alone") {
  website web;
  memory_store other_store;
  REQUIRE(other_store.put("index.html", std::as_bytes(std::span("another", 7)), modified));
  static_site<memory_store> other(other_store);
  bool asks_other = false;
  auto const handler = [&](request const& asked, response_writer& response) {
    REQUIRE((asks_other ? other.try_handle(asked, response) : web.site->try_handle(asked, response)));
  };
  auto const wire = [](std::string_view line, std::string_view fields = {}) {
    return std::string(line) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
  };
  auto const alone = [&](std::string const& asks) {
    peer sender(handler);
    sender.send(asks);
    return sender.output;
  };
  std::string const steps[] = {
      wire("GET /"), wire("GET /"), wire("GET /docs/"), wire("GET /docs/"), wire("HEAD /docs/"), wire("HEAD /docs/"),
      wire("GET /docs/"), wire("GET /none"), wire("GET /none"), wire("GET /"), wire("POST /"), wire("GET /"), wire("GET /"),
      wire("GET /", "If-None-Match: " + web.tag_of("/") + "\r\n"), wire("GET /", "If-None-Match: " + web.tag_of("/") + "\r\n"),
      wire("GET /", "If-None-Match: \"x\"\r\n"), wire("GET /", "If-None-Match: \"x\"\r\n"), wire("GET /a%20b.txt", "Range: bytes=2-3\r\n"),
      wire("GET /a%20b.txt", "Range: bytes=2-3\r\n"), wire("GET /a%20b.txt"), wire("GET /a%20b.txt"), wire("GET /"), wire("GET /")};
  limits few;
  few.requests_per_connection = std::size(steps);
  peer sender(handler, few);
  for (auto const& one : steps) {
    CAPTURE(one);
    asks_other = &one == &steps[1];
    sender.output.clear();
    sender.send(one);
    if (&one != std::end(steps) - 1) {
      CHECK(sender.output == alone(one));
    } else {
      CHECK(has(sender.output, "Connection: close"));
    }
  }
}

TEST_CASE("The short way of requests that repeat the one before them is the ordinary one, but shorter") {
  website web;
  auto const handler = [&](request const& asked, response_writer& response) { REQUIRE(web.site->try_handle(asked, response)); };
  std::string const tag = web.tag_of("/");
  std::string const requests[] = {
      "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: i\r\n\r\n",
      "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: " + tag + "\r\n\r\n",
      "GET /a%20b.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2\r\n\r\n",
      "GET /none HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(600, 'x') + "\r\n\r\n",
      "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
      "nonsense\r\n\r\n",
      "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"};
  date_stamp const dates[] = {{"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 1}, {"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 2}, {}};
  connection_memory kept{limits()};
  std::size_t short_ways = 0, at_once = 0;
  std::uint64_t random = 1;
  auto const draw = [&](std::uint64_t below) {
    random = random * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    return (random >> 33) % below;
  };
  for (int round = 0; round < 2'000; ++round) {
    limits few;
    few.requests_per_connection = 3 + draw(12);
    peer ordinary(handler, few), quick(handler, few, &kept);
    quick.is_short = true;
    quick.takes_slices = ordinary.takes_slices = draw(2) == 0;
    std::string const* last = &requests[0];
    for (int step = 0; step < 15 && !ordinary.closed; ++step) {
      if (draw(3) == 0) last = &requests[draw(draw(4) == 0 ? std::size(requests) : 7)];
      auto bytes = *last;
      if (draw(8) == 0) bytes += *last;                                       // two at once
      auto const split = draw(6) == 0 ? 1 + draw(bytes.size()) : bytes.size();
      auto const date = dates[draw(std::size(dates))];
      auto const later = draw(40) * 1s;
      for (auto* const one : {&ordinary, &quick}) {
        one->shared.date = date;
        one->now += later;
        one->send(bytes, split);
        if (step == 12 && round % 5 == 0) one->end();
      }
      CAPTURE(round, step, *last);
      if (step == 0) at_once += quick.answered_again;
      REQUIRE(quick.output == ordinary.output);
      REQUIRE(quick.closed == ordinary.closed);
      REQUIRE(std::memcmp(&quick.counts(), &ordinary.counts(), sizeof(statistics)) == 0);
      REQUIRE(quick.state->read_deadline() == ordinary.state->read_deadline());
    }
    short_ways += quick.answered_again;
  }
  CHECK(short_ways > 2'000);
  CHECK(at_once > 100);
}

TEST_CASE("A folder is its index, with a slash at its end") {
  website web;
  CHECK(web.ask("GET /").ends_with("<h1>home</h1>"));
  CHECK(web.ask("GET /?x=y").ends_with("<h1>home</h1>"));
  CHECK(web.ask("GET /docs/").ends_with("docs"));
  auto const redirect = web.ask("GET /docs?a=b");
  CHECK(statuses(redirect) == "301");
  CHECK(has(redirect, "Location: /docs/?a=b"));
}

TEST_CASE("What is not a file is 404 with the site's page, or 400, and never a file outside") {
  website web;
  for (std::string_view const path : {"/none", "/docs/none", "/../index.html", "/docs/../index.html", "/./index.html", "//index.html",
                                      "//h/..", "/index.html/", "/docs//site.css", "/%2e%2e/index.html", "/DOCS/"}) {
    CAPTURE(path);
    auto const answer = web.ask("GET " + std::string(path));
    CHECK(statuses(answer) == "404");
    CHECK(answer.ends_with("nothing here"));
  }
  for (std::string_view const path : {"/docs%2fsite.css", "/index.html%00", "/%", "/%zz"}) {
    CAPTURE(path);
    CHECK(statuses(web.ask("GET " + std::string(path))) == "400");
  }
  CHECK(statuses(web.ask("GET /" + std::string(5'000, 'a'))) == "404");
}

TEST_CASE("Other methods than GET and HEAD are 405 and say which are allowed") {
  website web;
  for (std::string_view const line : {"POST /", "DELETE /index.html", "OPTIONS *", "PROPFIND /"}) {
    auto const answer = web.ask(line);
    CHECK(statuses(answer) == "405");
    CHECK(has(answer, "Allow: GET, HEAD"));
  }
}

TEST_CASE("Conditions are applied in the order of RFC 9110 section 13.2.2") {
  website web;
  auto const tag = web.tag_of("/");
  std::string const same = "Sun, 06 Nov 1994 08:49:37 GMT";
  std::string const before = "Sun, 06 Nov 1994 08:49:36 GMT";
  struct row {
    std::string fields;
    std::string_view status;
  };
  row const rows[] = {
      {"If-None-Match: " + tag + "\r\n", "304"},
      {"If-None-Match: W/" + tag + "\r\n", "304"},
      {"If-None-Match: \"x\", " + tag + "\r\n", "304"},
      {"If-None-Match: \"x\"\r\nIf-None-Match: " + tag + "\r\n", "304"},
      {"If-None-Match: *\r\n", "304"},
      {"If-None-Match: \"x\"\r\n", "200"},
      {"If-None-Match: \"x\"\r\nIf-Modified-Since: " + same + "\r\n", "200"},   // the tag decides
      {"If-Modified-Since: " + same + "\r\n", "304"},
      {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", "304"},
      {"If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", "304"},
      {"If-Modified-Since: " + before + "\r\n", "200"},
      {"If-Modified-Since: yesterday\r\n", "200"},
      {"If-Match: " + tag + "\r\n", "200"},
      {"If-Match: *\r\n", "200"},
      {"If-Match: W/" + tag + "\r\n", "412"},
      {"If-Match: \"x\"\r\n", "412"},
      {"If-Match: \"x\"\r\nIf-None-Match: " + tag + "\r\n", "412"},
      {"If-Unmodified-Since: " + before + "\r\n", "412"},
      {"If-Unmodified-Since: " + same + "\r\n", "200"},
      {"If-None-Match: " + tag + "\r\nRange: bytes=0-1\r\n", "304"},
  };
  for (auto const& [fields, expected] : rows) {
    CAPTURE(fields);
    CHECK(statuses(web.ask("GET /", fields)) == expected);
  }
  CHECK(web.ask("GET /", "If-None-Match: *\r\n") ==
        "HTTP/1.1 304 Not Modified\r\nETag: " + tag + "\r\nLast-Modified: " + same + "\r\n\r\n");
}

TEST_CASE("One range is sent as a part; several, or a malformed one, as the whole") {
  website web;
  auto const tag = web.tag_of("/a%20b.txt");
  struct row {
    std::string range;
    std::string_view status;
    std::string_view body;
    std::string_view content_range;
  };
  row const rows[] = {
      {"bytes=0-0", "206", "0", "bytes 0-0/10"},
      {"bytes=2-4", "206", "234", "bytes 2-4/10"},
      {"BYTES=2-4", "206", "234", "bytes 2-4/10"},
      {"bytes=7-", "206", "789", "bytes 7-9/10"},
      {"bytes=7-1000", "206", "789", "bytes 7-9/10"},
      {"bytes=-3", "206", "789", "bytes 7-9/10"},
      {"bytes=-1000", "206", "0123456789", "bytes 0-9/10"},
      {"bytes=10-", "416", "Range Not Satisfiable\n", "bytes */10"},
      {"bytes=-0", "416", "Range Not Satisfiable\n", "bytes */10"},
      {"bytes=4-2", "200", "0123456789", ""},
      {"bytes=0-1,3-4", "200", "0123456789", ""},
      {"bytes=a-b", "200", "0123456789", ""},
      {"bytes=", "200", "0123456789", ""},
      {"bytes=-", "200", "0123456789", ""},
      {"lines=0-1", "200", "0123456789", ""},
      {"bytes=99999999999999999999-", "200", "0123456789", ""},
      {"bytes=0-1\r\nIf-Range: " + tag, "206", "01", "bytes 0-1/10"},
      {"bytes=0-1\r\nIf-Range: \"x\"", "200", "0123456789", ""},
      {"bytes=0-1\r\nIf-Range: W/" + tag, "200", "0123456789", ""},
      {"bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT", "206", "01", "bytes 0-1/10"},
      {"bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT", "200", "0123456789", ""},
  };
  for (auto const& [range, expected, body, content_range] : rows) {
    auto const answer = web.ask("GET /a%20b.txt", "Range: " + range + "\r\n");
    CAPTURE(range, answer);
    CHECK(statuses(answer) == expected);
    CHECK(answer.substr(answer.find("\r\n\r\n") + 4) == body);
    CHECK(has(answer, "Content-Length: " + std::to_string(body.size())));
    CHECK(has(answer, "Content-Range: " + std::string(content_range)) == !content_range.empty());
  }
  CHECK(statuses(web.ask("HEAD /a%20b.txt", "Range: bytes=0-1\r\n")) == "200");
}

TEST_CASE("Dates are written in one form and read in three") {
  auto const text = [](std::int64_t seconds) {
    auto const made = format_date(seconds);
    return std::string(made.data(), made.size());
  };
  CHECK(text(modified) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(text(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(text(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
  CHECK(text(951'782'400) == "Tue, 29 Feb 2000 00:00:00 GMT");
  CHECK(text(INT64_MAX) == "Fri, 31 Dec 9999 23:59:59 GMT");
  for (std::int64_t seconds = -3'000'000'000; seconds < 9'000'000'000; seconds += 86'399 * 97) {
    CHECK(parse_date(text(seconds)) == seconds);
  }
  CHECK(parse_date("Sunday, 06-Nov-94 08:49:37 GMT") == modified);
  CHECK(parse_date("Sun Nov  6 08:49:37 1994") == modified);
  CHECK(parse_date("Tuesday, 01-Jan-30 00:00:00 GMT") == 1'893'456'000);   // not 1930
  for (std::string_view const bad :
       {"", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994"}) {
    CAPTURE(bad);
    CHECK(!parse_date(bad));
  }
}

TEST_CASE("Media types follow the extension in any case") {
  CHECK(content_type_of("a/index.html") == "text/html; charset=utf-8");
  CHECK(content_type_of("LOGO.SVG") == "image/svg+xml");
  CHECK(content_type_of("a.b/c") == "application/octet-stream");
  CHECK(content_type_of("x.tar.gz") == "application/gzip");
  CHECK(content_type_of("x.a-very-long-extension") == "application/octet-stream");
  CHECK(content_type_of("noextension") == "application/octet-stream");
}

namespace {

struct fixed_store : memory_store {
  static constexpr bool is_in_memory = true;
};

}  // namespace

TEST_CASE("A site of what is in memory for good answers everything at once, one without a file, too") {
  static_assert(static_site<fixed_store>::answers_at_once && !static_site<memory_store>::answers_at_once);
  fixed_store store;
  static_site<fixed_store> site(store);
  peer sender([&](request const& asked, response_writer& response) { CHECK(site.try_handle(asked, response)); });
  sender.send("GET /none HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(statuses(sender.output) == "404");
}
