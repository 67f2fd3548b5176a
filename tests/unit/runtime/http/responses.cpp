// Responses byte for byte.
#include "morgana/core/context.hpp"
#include "support.hpp"

using namespace morgana;
using namespace morgana::http;
using namespace morgana::http::test;

namespace {

std::string answer(std::string_view wire, handler_function handler, std::string_view date = {}) {
  peer sender(std::move(handler));
  sender.shared.date.line = date;
  sender.send(wire);
  return sender.output;
}

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Runs a task that never waits.
template <class T>
T run_now(task<T> one) {
  struct silent final : log_sink {
    void write(log_record const&) override {}
    [[nodiscard]] log_level level_of(std::string_view) const override { return log_level::error; }
    [[nodiscard]] instant now() const override { return {}; }
  } log;
  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
  } told;
  executor runs;
  context here(runs, log);
  one.start(here, told);
  REQUIRE(one.is_done());
  return one.take();
}

/// A transport that takes everything at once.
struct collecting final : transport {
  explicit collecting(peer& of) : owner(of) {}
  task<result<void>> flush() override {
    for (auto const part : owner.state->output()) {
      owner.output.append(reinterpret_cast<char const*>(part.data()), part.size());
    }
    owner.state->written();
    ++flushes;
    co_return result<void>();
  }
  task<result<void>> fill() override {
    auto const part = input.substr(0, 3);
    input.remove_prefix(part.size());
    if (part.empty()) {
      owner.state->input_ended();
    } else {
      std::memcpy(owner.state->input_room().data(), part.data(), part.size());
      owner.state->received(part.size(), start);
    }
    co_return result<void>();
  }
  peer& owner;
  std::string_view input;
  int flushes = 0;
};

}  // namespace

TEST_CASE("A reply has a status line, Date, the handler's fields, a type, a length and a body") {
  auto const handler = [](request const&, response_writer& response) {
    response.header("Cache-Control", "no-store");
    response.header("X-Two", "2");
    response.reply(status::created, "text/plain", "hello\n");
  };
  CHECK(answer(get, handler, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") ==
        "HTTP/1.1 201 Created\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-store\r\nX-Two: 2\r\n"
        "Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n");
  CHECK(answer(head, handler) ==
        "HTTP/1.1 201 Created\r\nCache-Control: no-store\r\nX-Two: 2\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n");
}

TEST_CASE("204 and 304 have no content, and a code without a name has no reason") {
  CHECK(answer(get, [](auto const&, auto& response) { response.reply(status::no_content); }) ==
        "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(answer(get, [](auto const&, auto& response) { response.reply(status::not_modified, "text/plain", "x"); }) ==
        "HTTP/1.1 304 Not Modified\r\n\r\n");
  CHECK(answer(get, [](auto const&, auto& response) { response.reply(static_cast<status>(418), "a/b", "x"); }) ==
        "HTTP/1.1 418 \r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\nx");
}

TEST_CASE("A body of any size arrives whole") {
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4'000}, std::size_t{8'192}, std::size_t{100'000}}) {
    std::string const body(size, 'b');
    auto const got = answer(get, [&](auto const&, auto& response) { response.reply(status::ok, "a/b", body); });
    CHECK(got == "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body);
  }
}

TEST_CASE("A prepared answer is sent without a copy") {
  static std::string const body(70'000, 'p');
  peer sender;
  sender.handler = [&](request const&, response_writer& response) {
    response.reply_prepared({status_line(status::ok), "Content-Length: 70000\r\n"}, std::as_bytes(std::span(body)));
    CHECK(sender.state->output().back().data() == reinterpret_cast<std::byte const*>(body.data()));
  };
  sender.send(get);
  CHECK(sender.output == "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + body);
}

TEST_CASE("A prepared answer that is shared has the bytes of one that is written for each request") {
  constexpr std::string_view asked[] = {
      get, head, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n"};
  constexpr date_stamp dates[] = {{"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 784'111'777},
                                  {"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 784'111'778},
                                  {},
                                  {"Date: Sun, 06 Nov 1994 08:49:39 GMT\r\n", 784'111'779}};
  for (std::size_t const size : {0u, 1u, 612u, 1024u, 1025u, 20'000u}) {
    std::string const body(size, 'b');
    auto const fields = "Content-Length: " + std::to_string(size) + "\r\n";
    for (bool const takes_slices : {false, true}) {
      for (bool const adds : {false, true}) {
        prepared_answer once({status_line(status::ok), fields}, std::as_bytes(std::span(body)));
        for (auto const wire : asked) {
          CAPTURE(size, takes_slices, adds, wire);
          std::string kept, expected_kept;
          std::vector<net::slice> held;
          for (auto const& date : dates) {
            auto const of = [&](bool shares) {
              peer sender([&](request const&, response_writer& response) {
                if (adds) response.header("X-More", "1");
                shares ? response.reply_prepared(once) : response.reply_prepared(once.head(), once.body());
              });
              sender.takes_slices = takes_slices;
              sender.shared.date = date;
              // Twice at the same date.
              sender.send(wire);
              sender.send(wire);
              for (auto& one : sender.held) held.push_back(std::move(one));
              return sender.output;
            };
            auto const written = of(false);
            CHECK(of(true) == written);
            if (takes_slices && wire == get) expected_kept += written;
          }
          // Those that are still under way at a later date have their own.
          for (auto const& one : held) kept.append(reinterpret_cast<char const*>(one.bytes().data()), one.size());
          if (!adds && once.is_shared()) CHECK((wire != get || kept == expected_kept));
        }
      }
    }
  }
}

TEST_CASE("A shared answer is put together once a second, and anew while somebody has it") {
  std::string const body(100, 'b');
  prepared_answer once({status_line(status::ok), "Content-Length: 100\r\n"}, std::as_bytes(std::span(body)));
  date_stamp const first{"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 1}, second{"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 2};
  auto const* const at = once.at(first).bytes().data();
  CHECK(once.at(first).bytes().data() == at);
  CHECK(once.at(second).bytes().data() == at);
  auto const held = once.at(second);
  CHECK(once.at(first).bytes().data() != at);
  CHECK(held.bytes().data() == at);
}

TEST_CASE("Answers to pipelined requests are one gathered write, in order") {
  peer sender;
  std::string wire;
  for (int i = 0; i < 10; ++i) wire += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  sender.send(wire);
  CHECK(sender.counts().writes == 1);
  CHECK(sender.counts().requests == 10);
  std::string expected;
  for (int i = 0; i < 10; ++i) {
    expected += "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n/" + std::to_string(i);
  }
  CHECK(sender.output == expected);
}

TEST_CASE("A field that would split the response makes it a 500") {
  for (auto const& [name, value] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"X", "a\r\nSet-Cookie: b"}, {"X\r\nY", "a"}, {"X", std::string_view("a\0b", 3)}, {"", "a"}, {"X Y", "a"},
           {"Content-Length", "5"}, {"transfer-encoding", "chunked"}}) {
    peer sender([&](request const&, response_writer& response) {
      response.header(name, value);
      response.reply(status::ok, "text/plain", "x");
    });
    sender.send(get);
    CAPTURE(name, value);
    CHECK(statuses(sender.output) == "500");
    CHECK(sender.output.find("Set-Cookie") == std::string::npos);
    CHECK(sender.counts().headers_refused == 1);
  }
  peer bad_type([](request const&, response_writer& response) { response.reply(status::ok, "a\r\nb: c", "x"); });
  bad_type.send(get);
  CHECK(statuses(bad_type.output) == "500");
}

TEST_CASE("A handler that says nothing is answered for with 500, and the connection goes on") {
  peer sender([](request const&, response_writer&) {});
  sender.send(get);
  sender.send(get);
  CHECK(statuses(sender.output) == "500 500");
  CHECK(sender.counts().handlers_silent == 2);
}

TEST_CASE("Only the first of several answers is sent") {
  CHECK(statuses(answer(get, [](auto const&, auto& response) {
          response.reply(status::not_found);
          response.reply(status::ok, "text/plain", "x");
          response.begin(status::ok, "text/plain");
        })) == "404");
}

TEST_CASE("A streamed answer is chunked, of a known length, or ends with the connection") {
  auto const streamed = [](std::string_view wire, std::optional<std::uint64_t> length, bool* closed = nullptr) {
    peer sender;
    sender.run();
    collecting waits(sender);
    sender.state->attach(waits);
    sender.handler = [&](request const&, response_writer& response) {
      response.begin(status::ok, "text/csv", length);
      CHECK(run_now(response.write("one,")));
      CHECK(run_now(response.write(std::string(2'000, '2'))));
      CHECK(run_now(response.write("")));
      CHECK(run_now(response.write("three")));
    };
    sender.send(wire);
    if (closed != nullptr) *closed = sender.closed;
    return sender.output;
  };
  std::string const two(2'000, '2');
  CHECK(streamed(get, {}) == "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none,\r\n7d0\r\n" +
                                 two + "\r\n5\r\nthree\r\n0\r\n\r\n");
  CHECK(streamed(get, 2'009) ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 2009\r\n\r\none," + two + "three");
  CHECK(streamed(head, {}) == "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n");
  bool closed = false;
  CHECK(streamed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", {}, &closed) ==
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/csv\r\n\r\none," + two + "three");
  CHECK(closed);
}

TEST_CASE("A streamed answer shorter than announced cuts the connection, and a longer one is refused") {
  peer sender;
  sender.run();
  collecting waits(sender);
  sender.state->attach(waits);
  sender.handler = [&](request const&, response_writer& response) {
    response.begin(status::ok, "text/csv", 5);
    CHECK(run_now(response.write("four")));
    auto const over = run_now(response.write("xx"));
    REQUIRE(!over);
    CHECK(over.error().is(http_error::wrong_length));
  };
  sender.send(get);
  CHECK(sender.closed);
  CHECK(sender.counts().responses_cut == 1);
}

TEST_CASE("100 Continue is sent when the handler reads, and not when it refuses") {
  std::string_view const wire = "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  peer reader;
  reader.run();
  collecting waits(reader);
  waits.input = "hello";
  reader.state->attach(waits);
  std::string body;
  reader.handler = [&](request const& asked, response_writer& response) {
    CHECK(asked.body().length() == 5u);
    for (;;) {
      auto const piece = run_now(asked.body().next());
      REQUIRE(piece);
      if (piece->empty()) break;
      body.append(reinterpret_cast<char const*>(piece->data()), piece->size());
    }
    response.reply(status::ok, "text/plain", body);
  };
  reader.send(wire);
  CHECK(body == "hello");
  CHECK(statuses(reader.output) == "100 200");
  CHECK(!reader.closed);

  peer refuser([](request const&, response_writer& response) { response.reply(status::forbidden); });
  refuser.send(wire);
  CHECK(statuses(refuser.output) == "403");
  CHECK(refuser.half_closed);   // what follows could be the body or a request
}

TEST_CASE("A peer that ends in the middle of a body fails the reader") {
  peer reader;
  reader.run();
  collecting waits(reader);
  waits.input = "hel";
  reader.state->attach(waits);
  reader.handler = [&](request const& asked, response_writer&) {
    auto piece = run_now(asked.body().next());
    REQUIRE(piece);
    CHECK(piece->size() == 3);
    piece = run_now(asked.body().next());
    REQUIRE(!piece);
    CHECK(piece.error().is(http_error::peer_closed));
  };
  reader.send("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
  CHECK(reader.closed);
  CHECK(reader.counts().peers_lost == 1);
}

TEST_CASE("A client that shuts down after its request still gets the answer") {
  peer sender;
  sender.now = start;
  std::string_view const wire = "GET /last HTTP/1.1\r\nHost: h\r\n\r\n";
  std::memcpy(sender.state->input_room().data(), wire.data(), wire.size());
  sender.state->received(wire.size(), start);
  sender.state->input_ended();
  sender.run();
  CHECK(statuses(sender.output) == "200");
  CHECK(sender.closed);
  CHECK(!sender.half_closed);
}
