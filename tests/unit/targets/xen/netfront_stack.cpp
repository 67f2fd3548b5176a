// Two domains whose stacks speak over netfront, backends and a bridge, in virtual time: with loss, doubles
// and delays drawn from a seed, super-packets and blank checksums as they are, and a suspend in the midst of
// it.
#include <deque>
#include <random>

#include "morgana/core/deadline.hpp"
#include "morgana/net/direct_stack.hpp"
#include "netfront_guest.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using namespace std::chrono_literals;
using morgana::xen::test::at;
using morgana::xen::test::net_domain;
using morgana::xen::test::sent_frame;
using network = net::direct_stack<netfront>;

constexpr std::size_t echoed_bytes = 400'000;
constexpr duration hop = 200us;

/// What joins the backends: frames wait for some hops, unless they are lost, and some come twice.
class bridge {
 public:
  bridge(net_domain& one, net_domain& two, unsigned seed, unsigned loss_percent)
      : ends_{&one, &two}, random_(seed), loss_percent_(loss_percent) {}

  task<> run() {
    for (;;) {
      co_await sleep_for(hop);
      for (auto const side : {0u, 1u}) take(side);
      for (auto const side : {0u, 1u}) give(side);
    }
  }
  unsigned lost = 0, large = 0;

 private:
  struct waiting_frame {
    sent_frame frame;
    unsigned hops = 0;
  };

  void take(unsigned side) {
    auto& sent = ends_[side]->backend.sent;
    for (auto& frame : sent) {
      large += frame.bytes.size() > 1514 ? 1 : 0;
      if (random_() % 100 < loss_percent_) {
        ++lost;
        continue;
      }
      auto const copies = loss_percent_ != 0 && random_() % 50 == 0 ? 2 : 1;
      for (int i = 0; i < copies; ++i)
        under_way_[1 - side].push_back({.frame = frame, .hops = static_cast<unsigned>(random_() % 4)});
    }
    sent.clear();
  }
  void give(unsigned side) {
    auto& back = ends_[side]->backend;
    std::erase_if(under_way_[side], [&](waiting_frame& one) {
      if (one.hops != 0) {
        --one.hops;
        return false;
      }
      auto const& frame = one.frame;
      auto const flags =
          ((frame.flags & net_wire::sends_blank_checksum) != 0 ? net_wire::came_blank_checksum : 0) |
          ((frame.flags & net_wire::sends_validated) != 0 ? net_wire::came_validated : 0);
      auto const is_connected = back.receive.page != nullptr;
      if (is_connected)
        (void)back.deliver(frame.bytes, static_cast<std::uint16_t>(flags),
                           frame.has_extra ? &frame.extra : nullptr);
      return true;
    });
  }

  std::array<net_domain*, 2> ends_;
  std::array<std::deque<waiting_frame>, 2> under_way_;
  std::mt19937 random_;
  unsigned loss_percent_;
};

net::direct_stack_options address(std::uint8_t number) {
  net::direct_stack_options made;
  made.ipv4.address = {net::ipv4_address{{10, 0, 0, number}}, 24};
  made.accept_ra = false;
  return made;
}

std::byte byte_at(std::size_t where) {
  return static_cast<std::byte>(where * 2'654'435'761u >> 13);
}

task<result<void>> echo(network& on) {
  auto listening = on.listen({.port = 7});
  if (!listening) co_return failure(std::move(listening.error()));
  auto stream = co_await listening->accept(never);
  if (!stream) co_return failure(std::move(stream.error()));
  std::vector<std::byte> some(30'000);
  for (;;) {
    auto const count = co_await stream->read(some, never);
    if (!count) co_return failure(count.error());
    if (*count == 0) co_return stream->shutdown();
    if (auto sent = co_await stream->write(std::span(some).first(*count), never); !sent) co_return sent;
  }
}

task<result<void>> say(net::direct_stream& to) {
  std::vector<std::byte> piece(20'000);
  for (std::size_t done = 0; done < echoed_bytes; done += piece.size()) {
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = byte_at(done + i);
    if (auto sent = co_await to.write(piece, never); !sent) co_return sent;
  }
  co_return to.shutdown();
}

/// How many bytes came back, all of them right. Suspends `suspended` after half of them, if there is one.
task<result<std::size_t>> hear(net::direct_stream& from, net_domain* suspended) {
  std::vector<std::byte> piece(30'000);
  std::size_t got = 0;
  for (;;) {
    auto const count = co_await from.read(piece, never);
    if (!count) co_return failure(count.error());
    if (*count == 0) co_return got;
    for (std::size_t i = 0; i < *count; ++i, ++got) {
      if (piece[i] != byte_at(got))
        co_return failure(core_error::invalid_argument, static_cast<std::int64_t>(got));
    }
    if (suspended == nullptr || got < echoed_bytes / 2) continue;
    auto& domain = *std::exchange(suspended, nullptr);
    for (int hops = 0; !domain.host.quiesce(); ++hops) {
      if (hops == 10'000) co_return failure(core_error::timed_out);
      co_await sleep_for(hop);
    }
    domain.keys.watches.clear();
    domain.keys.keys[at("state")] = "2";
    domain.keys.keys["device/vif/0/state"] = "1";
    domain.host.open_ports.clear();
    domain.backend.transmit = {};
    domain.backend.receive = {};
    domain.backend.sent.clear();
    domain.backend.answers.clear();
    domain.host.resumed(resumption::elsewhere);
  }
}

task<result<std::size_t>> client(network& on, net_domain* suspended) {
  auto stream = co_await on.connect(net::endpoint{*net::ip_address::parse("10.0.0.2"), 7}, on.now() + 10s);
  if (!stream) co_return failure(std::move(stream.error()));
  auto [sent, got] = co_await all(say(*stream), hear(*stream, suspended));
  if (!sent) co_return failure(std::move(sent.error()));
  co_return std::move(got);
}

struct two_domains {
  two_domains(unsigned seed, unsigned loss_percent) : joined(one, two, seed, loss_percent) {
    auto made_first = world.run(network::connect(world.context(), *first_device, address(1)));
    auto made_second = world.run(network::connect(world.context(), *second_device, address(2)));
    REQUIRE((made_first && *made_first && made_second && *made_second));
    first = std::move(**made_first);
    second = std::move(**made_second);
  }
  /// What came back to the client.
  result<std::size_t> echoed(net_domain* suspended = nullptr) {
    auto const work = [&]() -> task<result<std::size_t>> {
      auto [served, got] = co_await all(echo(*second), client(*first, suspended));
      if (!served) co_return failure(std::move(served.error()));
      co_return std::move(got);
    };
    auto ended = world.run(race(work(), joined.run()));
    REQUIRE(ended);
    REQUIRE(ended->index() == 0);
    return std::get<0>(std::move(*ended));
  }

  morgana::test::world world;
  net_domain one{world, "00:16:3e:00:00:01"}, two{world, "00:16:3e:00:00:02"};
  std::unique_ptr<netfront> first_device = one.connect(), second_device = two.connect();
  bridge joined;
  std::unique_ptr<network> first, second;
};

}  // namespace

TEST_CASE("stacks of two domains speak over their backends, in super-packets", "[netfront]") {
  two_domains domains(1, 0);
  CHECK(domains.echoed() == echoed_bytes);
  CHECK(domains.joined.large != 0);
}

TEST_CASE("stacks of two domains get everything across a bridge that loses, doubles and delays",
          "[netfront]") {
  unsigned lost = 0;
  for (unsigned seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    two_domains domains(seed, 10);
    CHECK(domains.echoed() == echoed_bytes);
    lost += domains.joined.lost;
  }
  CHECK(lost > 50);
}

TEST_CASE("a connection over netfront lives through a suspend of either domain", "[netfront]") {
  for (bool const is_client : {true, false}) {
    two_domains domains(1, 0);
    CHECK(domains.echoed(is_client ? &domains.one : &domains.two) == echoed_bytes);
    CHECK(domains.two.host.grants.stuck() == 0);
  }
}
