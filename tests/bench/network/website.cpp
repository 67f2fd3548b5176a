// A website on our own stack, as a guest has it but for its device: what a keep-alive request and a connection with one
// request cost the server, from the frames that come to those that go. The client is a host's core, which is not measured.
// usage: test_website_costs request|connection [COUNT]; prints one JSON object. other_request and other_connection: no two
// requests are the same.
#include <deque>
#include <memory>
#include <string>

#include "fake_platform.hpp"
#include "hosts.hpp"
#include "measure.hpp"
#include "morgana/core/system_devices.hpp"
#include "morgana/http/server.hpp"
#include "morgana/http/static_site.hpp"
#include "morgana/net/direct_stack.hpp"
#include "morgana/storage/memory_store.hpp"

namespace morgana::bench {
namespace {

constexpr std::uint16_t port = 8080;
constexpr std::size_t page_bytes = 612;
// What Python's http.client sends, alone or with one field more.
constexpr std::string_view request =
    "GET /bench.html HTTP/1.1\r\nHost: 10.0.0.2:8080\r\nAccept-Encoding: identity\r\n\r\n";
constexpr std::string_view numbered =
    "GET /bench.html HTTP/1.1\r\nHost: 10.0.0.2:8080\r\nAccept-Encoding: identity\r\nX-Number: 1000\r\n\r\n";

/// The server's device: it cuts segments and completes sums, as netfront does.
class memory_device {
 public:
  class receive_wait final : public waiter {
   public:
    receive_wait(memory_device& on, std::span<net::segment> into, instant deadline)
        : on_(&on), into_(into), deadline_(deadline) {}
    bool await_ready() const { return !on_->came_.empty(); }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->readers_, deadline_);
    }
    result<std::size_t> await_resume() {
      std::size_t count = 0;
      for (auto& one : on_->came_.first(std::min(on_->came_.size(), into_.size()))) into_[count++] = std::move(one);
      on_->came_ = on_->came_.subspan(count);
      return count;
    }

   private:
    memory_device* on_;
    std::span<net::segment> into_;
    instant deadline_;
  };
  [[nodiscard]] net::device_capabilities capabilities() const {
    net::device_capabilities made;
    made.address = {{2, 0, 0, 0, 0, 2}};
    made.transmit_checksum = made.receive_checksum = made.segmentation_tcp_v4 = true;
    return made;
  }
  [[nodiscard]] receive_wait receive(std::span<net::segment> into, instant deadline) { return {*this, into, deadline}; }
  [[nodiscard]] result<std::size_t> transmit(std::span<net::segment> from) {
    for (auto& one : from) {
      must(sent_count < sent.size(), "too many frames");
      sent[sent_count++] = std::move(one);
    }
    return from.size();
  }
  void give(std::span<net::segment> frames) {
    came_ = frames;
    readers_.complete_all();
  }

  std::array<net::segment, burst_frames> sent;
  std::size_t sent_count = 0;

 private:
  std::span<net::segment> came_;
  wait_queue readers_;
};

class bench {
 public:
  explicit bench(bool counts) : counts_(counts), pool_(4096, 16u << 20), client_(configuration(), keyed_secrets(), pool_, now()) {
    std::array<std::byte, page_bytes> page;
    page.fill(std::byte{'p'});
    must(store_.put("bench.html", page, 784'111'777).has_value(), "no page");
    site_.emplace(store_);
    net::direct_stack_options options;
    options.ipv4.address = {net::ipv4_address{{10, 0, 0, 2}}, 24};
    options.accept_ra = false;
    auto made = world_.run(net::direct_stack<memory_device>::connect(world_.context(), device_, options));
    must(made && made->has_value(), "no network");
    network_ = std::move(**made);
    serving_ = server_.serve(*network_, clock_, *site_);
    serving_.start(world_.context(), nobody_);
    pass(1s);
  }
  ~bench() { serving_ = {}; }

  /// One request and its answer, each alone under way.
  void ask(net::tcp::connection& on) {
    auto const bytes = std::as_bytes(counts_ ? next_numbered() : std::span<char const>(request));
    auto const written = on.write(bytes, now());
    must(written && *written == bytes.size(), "the request was not taken");
    turn();
    std::array<std::byte, 2048> into;
    auto const got = on.read(into, now());
    must(got && *got && **got > page_bytes && std::memcmp(into.data(), "HTTP/1.1 200 OK\r\n", 17) == 0, "no answer");
    drop_events(client_);
    pass(1ms);
  }
  [[nodiscard]] net::tcp::connection& open() {
    auto const opened = client_.tcp().connect({hosts::address(2), port}, {}, now());
    must(opened.has_value(), "connect() failed");
    turn();
    drop_events(client_);
    turn();
    must((*opened)->state() == net::tcp::state::established, "no connection");
    return **opened;
  }
  void close(net::tcp::connection& one) {
    one.shutdown(now());
    turn();
    drop_events(client_);
    one.release(now());
    turn();
    pass(10ms);
  }

  cost spent;
  bool is_measured = false;

 private:
  static net::core_configuration configuration() {
    net::core_configuration made;
    made.device.address = {{2, 0, 0, 0, 0, 1}};
    made.device.transmit_checksum = made.device.segmentation_tcp_v4 = true;
    made.addresses = {net::cidr{hosts::address(1), 24}};
    made.router_advertisements = made.detect_conflicts = false;
    return made;
  }
  std::span<char const> next_numbered() {
    auto const digits = std::span(numbered_).subspan(numbered.find("1000"), 4);
    number_ = number_ % 9'999 + 1;
    for (auto [i, left] = std::pair(digits.size(), number_); i != 0; left /= 10) digits[--i] = static_cast<char>('0' + left % 10);
    return numbered_;
  }
  static net::keyed_secrets keyed_secrets() { return net::keyed_secrets::derive(std::array<std::byte, 32>{}); }
  [[nodiscard]] static instant now() { return morgana::test::fake().now; }

  /// What the client has to say, one frame after the other, and what the server says to each.
  void turn() {
    for (;;) {
      auto const count = client_.poll_transmit(frames_, now());
      if (count == 0) return;
      for (std::size_t i = 0; i < count; ++i) {
        // In a buffer of the device's, in one piece.
        auto part = pool_.take_slice(frames_[i].size());
        must(part.size() != 0 && frames_[i].copy_out(0, part.writable()), "no buffer for a frame");
        frames_[i].assign(std::move(part));
        frames_[i].checksum = net::checksum_state::valid;
        serve(std::span(frames_).subspan(i, 1));
      }
    }
  }
  void serve(std::span<net::segment> came) {
    auto const work = [&] {
      if (!came.empty()) device_.give(came);
      while (world_.executor().run_ready(now()) <= now()) {}
    };
    is_measured ? measure(spent, work) : work();
    auto const sent = std::span(device_.sent).first(std::exchange(device_.sent_count, 0u));
    for (auto& one : sent) one.checksum = net::checksum_state::valid;
    if (!sent.empty()) client_.input(sent, now());
  }
  void pass(duration time) {
    morgana::test::fake().now += time;
    if (client_.next_deadline() <= now()) client_.on_deadline(now());
    serve({});
    turn();
  }

  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
  };
  bool counts_;
  unsigned number_ = 0;
  std::string numbered_{numbered};
  morgana::test::world world_;
  nobody nobody_;
  net::buffer_pool pool_;
  net::core client_;
  std::array<net::segment, burst_frames> frames_;
  memory_device device_;
  memory_store store_;
  std::optional<http::static_site<memory_store>> site_;
  system_wall_clock clock_;
  http::server server_{{.port = port}};
  std::unique_ptr<net::direct_stack<memory_device>> network_;
  task<result<void>> serving_;
};

}  // namespace

extern "C" [[gnu::noinline]] void morgana_measured_region(void (*body)(void*), void* context) {
  body(context);
  asm volatile("" ::: "memory");  // no tail call: the region ends with this frame
}
// Allocations are not what this counts.
std::uint64_t allocations() { return 0; }
std::uint64_t live_bytes() { return 0; }

}  // namespace morgana::bench

int main(int count, char** words) {
  using namespace morgana::bench;
  constexpr std::string_view other = "other_";
  std::string_view const workload = count > 1 ? words[1] : "";
  auto const counts = workload.starts_with(other);
  auto const what = workload.substr(counts ? other.size() : 0);
  must(what == "request" || what == "connection", "request, connection, other_request or other_connection?");
  auto const wanted = count > 2 ? std::strtoull(words[2], nullptr, 10) : 100;
  auto const one = std::make_unique<bench>(counts);
  auto const some = [&](std::uint64_t of) {
    if (what == "connection") {
      for (; of != 0; --of) {
        auto& connection = one->open();
        one->ask(connection);
        one->close(connection);
      }
      return;
    }
    one->is_measured = false;
    auto& connection = one->open();
    one->ask(connection);
    one->is_measured = true;
    for (; of != 0; --of) one->ask(connection);
    one->is_measured = false;
    one->close(connection);
  };
  some(20);
  one->is_measured = true;
  one->spent = {};
  some(wanted);
  std::printf("{\"workload\": \"%s\", \"operations\": %llu}\n", words[1], static_cast<unsigned long long>(wanted));
}
