// The coroutine shell over a network in memory, in virtual time.
#include "morgana/http/server.hpp"

#include <deque>
#include <memory>

#include "fake_platform.hpp"
#include "morgana/core/event.hpp"
#include "morgana/core/system_devices.hpp"
#include "support.hpp"

using namespace morgana;
using namespace morgana::http;

namespace {

/// Both directions of one connection. As a network does, it looks a turn after each write what there is to send.
struct pipe final : ready_node {
  std::string to_server, to_client;
  bool client_ended = false, server_ended = false, takes = true;
  std::size_t reads = 0, writes = 0;
  std::deque<std::string> later;   ///< what the client sends next, one piece for each answer
  bool ended_with_answer = false;  ///< the stream was gone when what it wrote left
  instant arrives{};

 private:
  void run() override { ended_with_answer = server_ended; }
};

class memory_stream {
 public:
  explicit memory_stream(std::shared_ptr<pipe> of) : pipe_(std::move(of)) {}
  memory_stream(memory_stream&&) = default;
  memory_stream& operator=(memory_stream&&) = default;
  ~memory_stream() {
    if (pipe_) pipe_->server_ended = true;
  }
  task<result<std::size_t>> read(std::span<std::byte> into, instant deadline) {
    if (pipe_->to_server.empty() && !pipe_->client_ended) {
      co_await sleep_until(deadline);   // the client says nothing more on its own
      co_return failure(net::net_error::timed_out);
    }
    ++pipe_->reads;
    auto const count = std::min(into.size(), pipe_->to_server.size());
    std::memcpy(into.data(), pipe_->to_server.data(), count);
    pipe_->to_server.erase(0, count);
    co_return count;
  }
  task<result<void>> write(std::span<std::byte const> from, instant deadline) {
    std::span<std::byte const> const one[] = {from};
    co_return co_await write(std::span<std::span<std::byte const> const>(one), deadline);
  }
  task<result<void>> write(std::span<std::span<std::byte const> const> parts, instant deadline) {
    if (!pipe_->takes) {
      co_await sleep_until(deadline);
      co_return failure(net::net_error::timed_out);
    }
    ++pipe_->writes;
    (co_await this_context()).executor().make_ready(*pipe_);
    for (auto const part : parts) pipe_->to_client.append(reinterpret_cast<char const*>(part.data()), part.size());
    if (!pipe_->later.empty()) {
      pipe_->to_server += pipe_->later.front();
      pipe_->later.pop_front();
    }
    co_return result<void>();
  }
  result<void> shutdown() { return {}; }
  void abort() noexcept { pipe_->server_ended = true; }
  net::endpoint local() { return {}; }
  net::endpoint peer() { return {}; }

 private:
  std::shared_ptr<pipe> pipe_;
};

struct unused_socket {
  task<result<net::received_datagram>> receive(std::span<std::byte>, instant) { co_return failure(core_error::not_supported); }
  task<result<void>> send(std::span<std::byte const>, net::endpoint const&, instant) { co_return failure(core_error::not_supported); }
  net::endpoint local() { return {}; }
};

struct memory_stack;
class memory_listener {
 public:
  explicit memory_listener(memory_stack& in) : stack_(&in) {}
  using stream = memory_stream;
  task<result<memory_stream>> accept(instant deadline);
  net::endpoint local() { return {net::ipv4_address{{127, 0, 0, 1}}, 80}; }

 private:
  memory_stack* stack_;
};

struct memory_stack {
  using stream = memory_stream;
  using listener = memory_listener;
  using datagram_socket = unused_socket;
  result<memory_listener> listen(net::listen_options const&) { return memory_listener(*this); }
  task<result<memory_stream>> connect(net::endpoint const&, instant) { co_return failure(net::net_error::refused); }
  result<unused_socket> bind(net::endpoint const&) { return unused_socket(); }
  std::deque<std::shared_ptr<pipe>> arriving;
};
static_assert(net::stack<memory_stack>);

task<result<memory_stream>> memory_listener::accept(instant deadline) {
  if (stack_->arriving.empty()) {
    co_await sleep_until(std::min(deadline, instant(std::chrono::hours(2))));
    co_return failure(net::net_error::timed_out);
  }
  auto next = std::move(stack_->arriving.front());
  stack_->arriving.pop_front();
  if (next->arrives > (co_await this_context()).now()) co_await sleep_until(next->arrives);
  co_return memory_stream(std::move(next));
}

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Serves what has been put into `network` for an hour of virtual time.
template <class Handler>
void serve_an_hour(http::server& server, memory_stack& network, Handler& handler, morgana::test::world& world) {
  system_wall_clock clock;
  static_cast<void>(world.run(with_deadline(instant(std::chrono::hours(1)), server.serve(network, clock, handler))));
}

std::shared_ptr<pipe> client(memory_stack& network, std::string_view sends) {
  auto made = std::make_shared<pipe>();
  made->to_server = sends;
  network.arriving.push_back(made);
  return made;
}

}  // namespace

TEST_CASE("A request costs one read and one write, and pipelined ones share them") {
  morgana::test::world world;
  memory_stack network;
  http::server server;
  auto handler = [](request const&, response_writer& response) { response.reply(status::ok, "text/plain", "x"); };
  auto one = client(network, get);
  one->later = {std::string(get), std::string(get)};
  auto many = client(network, std::string(get) + std::string(get) + std::string(get));
  serve_an_hour(server, network, handler, world);
  CHECK(http::test::statuses(one->to_client) == "200 200 200");
  CHECK(one->reads == 3);
  CHECK(one->writes == 3);
  CHECK(http::test::statuses(many->to_client) == "200 200 200");
  CHECK(many->reads == 1);
  CHECK(many->writes == 1);
  CHECK(one->to_client.find("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n") != std::string::npos);
  CHECK(one->server_ended);
  CHECK(server.statistics().idle_timeouts == 2);
  CHECK(server.statistics().connections_open == 0);
}

TEST_CASE("The last answer and the end of the connection leave together") {
  morgana::test::world world;
  memory_stack network;
  http::server server;
  auto handler = [](request const&, response_writer& response) { response.reply(status::ok, "text/plain", "x"); };
  auto closes = client(network, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  auto stays = client(network, get);
  serve_an_hour(server, network, handler, world);
  CHECK(http::test::statuses(closes->to_client) == "200");
  CHECK(closes->ended_with_answer);
  CHECK_FALSE(stays->ended_with_answer);
}

TEST_CASE("A handler may wait, read a body and stream its answer") {
  morgana::test::world world;
  memory_stack network;
  http::server server;
  auto echo = [](request const& asked, response_writer& response) -> task<> {
    co_await sleep_for(1s);
    response.begin(status::ok, "application/octet-stream", asked.body().length());
    for (;;) {
      auto const piece = co_await asked.body().next();
      if (!piece || piece->empty()) co_return;
      if (!co_await response.write(*piece)) co_return;
    }
  };
  std::string const body(200'000, 'e');
  auto sender = client(network, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + body + std::string(get));
  serve_an_hour(server, network, echo, world);
  CHECK(sender->to_client.find("\r\n\r\n" + body + "HTTP/1.1 200 OK\r\n") != std::string::npos);
  CHECK(server.statistics().responses == 2);
}

TEST_CASE("At the limit of connections the next one waits until one ends") {
  morgana::test::world world;
  memory_stack network;
  limits few;
  few.connections = 2;
  http::server server({.limits = few});
  auto handler = [](request const&, response_writer& response) { response.reply(status::ok, "text/plain", "x"); };
  std::vector<std::shared_ptr<pipe>> all;
  for (int i = 0; i < 5; ++i) all.push_back(client(network, get));
  serve_an_hour(server, network, handler, world);
  for (auto const& one : all) CHECK(http::test::statuses(one->to_client) == "200");
  CHECK(server.statistics().accepts_delayed == 2);
  CHECK(server.statistics().connections_accepted == 5);
}

TEST_CASE("A session that has ended serves the next connection, which sees nothing of the one before it") {
  morgana::test::world world;
  memory_stack network;
  limits few;
  few.resting_sessions = 1;
  http::server server({.limits = few});
  auto handler = [](request const& asked, response_writer& response) {
    response.header("X-Fields", asked.header("X-Secret").value_or("none"));
    response.reply(status::ok, "text/plain", asked.path());
  };
  // Two at once, of which one rests afterwards; both leave a head that is not complete.
  auto first = client(network, "GET /1 HTTP/1.1\r\nHost: h\r\nX-Secret: one\r\n\r\nGET /left HTTP/1.1\r\n");
  auto second = client(network, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /left HTTP/1.1\r\n");
  first->client_ended = second->client_ended = true;
  auto third = client(network, "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  third->arrives = instant(1s);
  auto fourth = client(network, "Host: h\r\n\r\n");
  fourth->arrives = instant(2s);
  auto fifth = client(network, get), sixth = client(network, get);
  fifth->arrives = sixth->arrives = instant(20s);
  serve_an_hour(server, network, handler, world);
  CHECK(first->to_client.find("X-Fields: one\r\n") != std::string::npos);
  CHECK(first->to_client.ends_with("/1"));
  CHECK(second->to_client.ends_with("/2"));
  CHECK(third->to_client.find("X-Fields: none\r\n") != std::string::npos);
  CHECK(third->to_client.ends_with("/3"));
  CHECK(http::test::statuses(fourth->to_client) == "501");
  CHECK(http::test::statuses(fifth->to_client) == "200");
  CHECK(http::test::statuses(sixth->to_client) == "200");
  CHECK(server.statistics().connections_accepted == 6);
  CHECK(server.statistics().sessions_made == 3);
  CHECK(server.statistics().connections_open == 0);
}

TEST_CASE("Where no session may rest each connection has its own") {
  morgana::test::world world;
  memory_stack network;
  limits few;
  few.resting_sessions = 0;
  http::server server({.limits = few});
  auto handler = [](request const&, response_writer& response) { response.reply(status::ok, "text/plain", "x"); };
  for (int i = 0; i < 3; ++i) client(network, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")->arrives = instant(i * 1s);
  serve_an_hour(server, network, handler, world);
  CHECK(server.statistics().responses == 3);
  CHECK(server.statistics().sessions_made == 3);
}

TEST_CASE("A peer that does not take its answer is cut off") {
  morgana::test::world world;
  memory_stack network;
  http::server server;
  auto handler = [](request const&, response_writer& response) { response.reply(status::ok, "text/plain", "x"); };
  auto stuck = client(network, get);
  stuck->takes = false;
  serve_an_hour(server, network, handler, world);
  CHECK(stuck->server_ended);
  CHECK(server.statistics().write_timeouts == 1);
  CHECK(server.statistics().connections_open == 0);
}

TEST_CASE("A body that comes too slowly is answered with 408 through its reader") {
  morgana::test::world world;
  memory_stack network;
  http::server server;
  auto handler = [](request const& asked, response_writer& response) -> task<> {
    for (;;) {
      auto const piece = co_await asked.body().next();
      if (!piece) co_return;
      if (piece->empty()) break;
    }
    response.reply(status::ok);
  };
  auto slow = client(network, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  serve_an_hour(server, network, handler, world);
  CHECK(http::test::statuses(slow->to_client) == "408");
  CHECK(slow->server_ended);
  CHECK(server.statistics().body_timeouts == 1);
}

TEST_CASE("Ending the server ends its connections") {
  morgana::test::world world;
  memory_stack network;
  http::server server;
  auto handler = [](request const&, response_writer&) -> task<> { co_await sleep_for(std::chrono::hours(10)); };
  auto waiting = client(network, get);
  serve_an_hour(server, network, handler, world);
  CHECK(waiting->server_ended);
  CHECK(server.statistics().connections_open == 0);
}
