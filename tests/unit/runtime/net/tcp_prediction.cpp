// Header prediction is a short cut, never another behaviour: two pairs of hosts live through the same script,
// one pair with prediction and one without. What they send, what they say of themselves and when they want to
// be woken is compared after each step.
#include <catch2/catch.hpp>

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "tcp_twins.hpp"

using namespace tcp_test;

namespace {

/// The two pairs: 0 and 1 predict, 2 and 3 do not; 0 talks to 1 and 2 to 3.
class script {
 public:
  script(std::uint64_t seed, tcp::settings const& with, bool offloads) : choice_(secrets(seed).jitter) {
    for (unsigned i = 0; i < 4; ++i) {
      halves_.push_back(std::make_unique<half>(seed * 2 + i % 2, v4(static_cast<std::uint8_t>(1 + i % 2)),
                                               i < 2, offloads));
      if (i % 2 == 0) continue;
      auto& server = *halves_[i];
      server.engine.ports.push_back(
          std::make_unique<tcp::port>(server.engine, listen_options{.port = 7}, with));
      server.listening = server.engine.ports.back().get();
    }
    for (unsigned i : {0u, 2u}) {
      tcp::flow_key const key{v4(1), v4(2), 4000, 7};
      auto made = halves_[i]->engine.connect(key, halves_[i]->engine.flows.hash_new(key), with, now_);
      REQUIRE(made.has_value());
      halves_[i]->end = static_cast<tcp::tcb*>(*made);
    }
  }
  ~script() {
    for (auto& one : halves_) {
      if (one->end != nullptr) one->end->abort(now_), one->end->release(now_);
    }
    for (auto& one : queues_) one.clear();
  }
  script(script const&) = delete;
  script& operator=(script const&) = delete;

  void step() {
    auto const side = static_cast<unsigned>(choice_.below(2));
    switch (choice_.below(10)) {
      case 0:
      case 1:
      case 2:
        write(side);
        break;
      case 3:
      case 4:
        read(side);
        break;
      case 5:
      case 6:
      case 7:
        carry(side);
        break;
      case 8:
        wait();
        break;
      default:
        send(side);
        break;
    }
    if (halves_[1]->end == nullptr) accept();
    constexpr unsigned steps_open = 400;  // then one side after the other may end its stream
    if (++steps_ > steps_open && choice_.chance(10'000) && halves_[side]->end != nullptr) {
      bool const leaves = choice_.chance(300'000);
      for (unsigned world : {0u, 2u}) {
        auto*& end = halves_[side + world]->end;
        leaves ? end->release(now_) : end->shutdown(now_);
        if (leaves) end = nullptr;
      }
    }
    compare();
  }
  void compare() {
    for (unsigned side = 0; side < 2; ++side) {
      auto& fast = *halves_[side];
      auto& slow = *halves_[side + 2];
      REQUIRE(fast.engine.next_deadline() == slow.engine.next_deadline());
      REQUIRE((fast.end == nullptr) == (slow.end == nullptr));
      if (fast.end != nullptr) REQUIRE(described(*fast.end) == described(*slow.end));
    }
  }
  std::uint64_t predicted_in() const { return counters(0).predicted_in + counters(1).predicted_in; }
  std::uint64_t predicted_out() const { return counters(0).predicted_out + counters(1).predicted_out; }
  std::uint64_t followed() const { return followed_; }
  tcp::engine_counters const& counters(unsigned i) const { return halves_[i]->engine.counters; }

  std::uint32_t lost_millionths = 0, reordered_millionths = 0;

 private:
  void accept() {
    for (unsigned i : {1u, 3u}) {
      if (auto* const made = halves_[i]->listening->accept()) halves_[i]->end = static_cast<tcp::tcb*>(made);
    }
  }
  void write(unsigned side) {
    constexpr std::array sizes{1u, 64u, 100u, 700u, 1448u, 3000u, 20'000u};
    auto const what = std::vector<std::byte>(sizes[choice_.below(sizes.size())], std::byte{0x5a});
    auto const more = choice_.chance(50'000) ? tcp::more::follows : tcp::more::none;
    if (halves_[side]->end == nullptr) return;
    auto const first = halves_[side]->end->write(what, now_, more);
    auto const second = halves_[side + 2]->end->write(what, now_, more);
    REQUIRE(first.has_value() == second.has_value());
    if (first) REQUIRE(*first == *second);
    if (choice_.chance(900'000)) send(side);
  }
  void read(unsigned side) {
    std::vector<std::byte> into(choice_.chance(700'000) ? 64 * 1024 : 500);
    if (halves_[side]->end == nullptr) return;
    auto const first = halves_[side]->end->read(into, now_);
    auto const second = halves_[side + 2]->end->read(into, now_);
    REQUIRE(first.has_value() == second.has_value());
    if (first) REQUIRE(*first == *second);
  }
  void send(unsigned side) {
    // Of the pair that predicts, in runs of some length; behind what IP would have put in front of the first.
    tcp::addressing between[2];
    std::array<segment, 9> run;
    std::size_t next = 0, made = 0;
    for (;; ++next) {
      if (next == made) {
        next = made = 0;
        auto& engine = halves_[side]->engine;
        if (engine.poll_transmit(between[0], run[0], now_)) {
          made = 1;
          (void)run[0].push_header(20);
          auto const room = std::span(run).subspan(1, choice_.below(run.size()));
          made += engine.transmit_following(between[0], run[0], room, now_);
          for (auto& each : std::span(run).first(made)) each.drop_front(20);
          followed_ += made - 1;
        }
      }
      segment packet[2];
      bool const first = made != 0;
      REQUIRE(first == halves_[side + 2]->engine.poll_transmit(between[1], packet[1], now_));
      if (!first) return;
      packet[0] = std::move(run[next]);
      auto one = to_frame(between[0], packet[0]);
      auto const other = to_frame(between[1], packet[1]);
      REQUIRE(one.bytes == other.bytes);
      REQUIRE(one.gso_size == other.gso_size);
      REQUIRE(one.checked == other.checked);
      REQUIRE(packet[0].checksum_offset == packet[1].checksum_offset);
      REQUIRE(one.between.source == other.between.source);
      REQUIRE(one.between.destination == other.between.destination);
      REQUIRE(one.between.traffic_class == other.between.traffic_class);
      REQUIRE((one.checked || checksum_right(one)));
      if (choice_.chance(lost_millionths)) continue;
      auto& queue = queues_[1 - side];
      if (choice_.chance(reordered_millionths))
        queue.push_front(std::move(one));
      else
        queue.push_back(std::move(one));
    }
  }
  /// What is under way to that side arrives, or the first of it.
  void carry(unsigned side) {
    auto const count = choice_.chance(500'000) ? queues_[side].size() : std::size_t{1};
    bool const together = choice_.chance(500'000);
    for (std::size_t i = 0; i < count && !queues_[side].empty();) {
      // What comes together has one traffic class.
      std::vector<frame> those;
      do {
        those.push_back(std::move(queues_[side].front()));
        queues_[side].pop_front();
        ++i;
      } while (together && i < count && !queues_[side].empty() &&
               queues_[side].front().between.traffic_class == those.back().between.traffic_class);
      bool const in_front = choice_.chance(500'000);
      for (unsigned world : {0u, 2u}) give(*halves_[side + world], those, in_front);
    }
    events(side);
    send(side);
  }
  void give(half& to, std::vector<frame> const& those, bool in_front) {
    std::vector<segment> packets(those.size());
    for (std::size_t i = 0; i < those.size(); ++i) put(to, those[i], packets[i], in_front);
    to.engine.input(those.front().between, packets, now_);
    for (auto& packet : packets) packet.clear();
  }
  void events(unsigned side) {
    for (unsigned world : {0u, 2u}) {
      auto& all = halves_[side + world]->engine.events;
      while (auto* const one = all.front()) {
        static_cast<tcp::hook<tcp::event_tag>&>(*one).unlink();
        one->ready = 0;
      }
    }
  }
  void wait() {
    constexpr std::array<duration, 6> lengths{0ns, 70us, 1ms, 12ms, 45ms, 400ms};
    now_ += lengths[choice_.below(lengths.size())];
    for (auto& one : halves_) {
      if (one->engine.next_deadline() <= now_) one->engine.on_deadline(now_);
    }
    for (unsigned side : {0u, 1u}) send(side);
  }

  random_stream choice_;
  unsigned steps_ = 0;
  std::uint64_t followed_ = 0;
  instant now_ = instant() + 10s;
  std::vector<std::unique_ptr<half>> halves_;
  std::array<std::deque<frame>, 2> queues_;
};

}  // namespace

TEST_CASE("What is predicted and what goes the ordinary way is the same, seed by seed") {
  std::uint64_t in = 0, out = 0, followed = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    random_stream choice(secrets(seed ^ 0x7072'6564u).jitter);
    tcp::settings with;
    with.no_delay = !choice.chance(200'000);
    with.control =
        choice.chance(500'000) ? tcp::congestion_control::cubic : tcp::congestion_control::new_reno;
    with.ecn = choice.chance(100'000);
    with.timestamps = !choice.chance(100'000);
    with.leave_slow_start_slowly = choice.chance(500'000);
    with.receive_buffer_bytes = 8'000 + static_cast<std::uint32_t>(choice.below(200'000));
    with.send_buffer_bytes = 8'000 + static_cast<std::uint32_t>(choice.below(200'000));
    with.differentiated_services = choice.chance(200'000) ? 46 : 0;
    script both(seed, with, choice.chance(300'000));
    both.lost_millionths = choice.chance(600'000) ? 0 : static_cast<std::uint32_t>(choice.below(40'000));
    both.reordered_millionths = choice.chance(700'000) ? 0 : static_cast<std::uint32_t>(choice.below(40'000));
    for (unsigned i = 0; i < 600; ++i) {
      INFO("SEED=" << seed << " step " << i);
      both.step();
    }
    in += both.predicted_in();
    out += both.predicted_out();
    followed += both.followed();
    REQUIRE(both.counters(2).predicted_in + both.counters(3).predicted_out == 0);
  }
  // Otherwise nothing was compared.
  CHECK(in > 10'000);
  CHECK(out > 10'000);
  CHECK(followed > 5'000);
}
