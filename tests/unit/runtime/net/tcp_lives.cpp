// Whole lives of connections, many after and beside each other, are the same with the short ways of how they begin and end
// (predicted_opens.cpp, predicted_ends.cpp) and without: two clients and two servers live the same script, one pair with
// prediction and one without. Segments are lost, reordered, broken, and changed in one field with a checksum that is right
// again, so that all that a short way asks of one makes a difference here.
#include <catch2/catch.hpp>

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "morgana/net/wire/bytes.hpp"
#include "tcp_twins.hpp"

using namespace tcp_test;

namespace {

constexpr std::uint16_t port = 7;

struct circumstances {
  tcp::settings client, server;
  network_limits limits;
  listen_options listening{.port = port};
  std::uint16_t mtu = 1500;
  bool v6 = false, offloads = false, is_known = false;
  bool lasting = false;   ///< few connections, which live long enough to say something
  std::uint32_t lost = 0, reordered = 0, broken = 0, changed = 0;   ///< millionths
};

circumstances chosen(random_stream& choice) {
  circumstances made;
  auto& all = made.client;
  all.timestamps = !choice.chance(100'000);
  all.ecn = choice.chance(100'000);
  all.differentiated_services = choice.chance(200'000) ? 46 : 0;
  all.keepalive = choice.chance(100'000);
  all.user_timeout = choice.chance(100'000) ? duration(3s) : duration(0s);
  all.fast_open = choice.chance(100'000) ? tcp::fast_open::with_cookie : tcp::fast_open::no;
  constexpr std::array buffers{50u, 3'000u, 3'000u, tcp::receive_buffer_bytes_default};
  if (choice.chance(400'000)) all.receive_buffer_bytes = buffers[choice.below(buffers.size())];
  all.maximum_segment_bytes = choice.chance(200'000) ? 700 : 0;
  all.loss_probe = !choice.chance(100'000);
  made.server = all;
  made.server.fast_open = tcp::fast_open::no;
  made.server.timestamps = !choice.chance(100'000);
  if (choice.chance(200'000)) made.limits.connections = 3;
  if (choice.chance(200'000)) made.limits.syn_received = 2;
  if (choice.chance(200'000)) made.limits.time_wait = 2;
  if (choice.chance(100'000)) made.limits.mss_bytes_min = 1'000;
  if (choice.chance(100'000)) made.limits.receive_buffer_bytes = 40'000;   // no scale
  if (choice.chance(300'000)) made.limits.time_wait_length = 1s;
  if (choice.chance(300'000)) made.listening.backlog = 1;
  if (choice.chance(100'000)) made.listening.fast_open = 2;
  made.mtu = choice.chance(200'000) ? 1'280 : 1'500;
  made.v6 = choice.chance(200'000);
  made.offloads = choice.chance(300'000);
  made.is_known = choice.chance(600'000);
  made.lasting = choice.chance(500'000);
  if (choice.chance(300'000)) made.lost = 30'000;
  if (choice.chance(300'000)) made.reordered = 30'000;
  if (choice.chance(300'000)) made.broken = 30'000;
  if (choice.chance(500'000)) made.changed = choice.chance(300'000) ? 400'000 : 100'000;
  return made;
}

class lives {
 public:
  lives(std::uint64_t seed, circumstances const& all, random_stream& choice) : all_(all), choice_(choice) {
    for (unsigned i = 0; i < 4; ++i) {
      auto limits = all.limits;
      if (i % 2 == 0) limits.connections = network_limits{}.connections;   // it is to reach the server's limit
      halves_.push_back(std::make_unique<half>(seed * 2 + i % 2, address(i % 2), i < 2, all.offloads, limits));
      auto& one = *halves_.back();
      one.route.how.mtu_bytes = all.mtu;
      if (all.is_known) {
        one.route.how.way = 5 + i % 2;
        one.route.number = 3;
      }
      if (i % 2 == 0) continue;
      one.engine.ports.push_back(std::make_unique<tcp::port>(one.engine, all.listening, all.server));
      one.listening = one.engine.ports.back().get();
      one.listening->fast = {.pending_max = all.listening.fast_open, .key = one.engine.fast_open_key};
    }
  }
  ~lives() {
    for (unsigned side : {0u, 1u}) {
      for (auto& both : ends_[side]) {
        for (auto* const one : both) {
          if (one != nullptr) one->abort(now_), one->release(now_);
        }
      }
    }
    for (auto& one : halves_) {
      if (one->listening != nullptr) one->listening->release(now_);
    }
  }
  lives(lives const&) = delete;
  lives& operator=(lives const&) = delete;

  void step() {
    auto const side = static_cast<unsigned>(choice_.below(2));
    auto what = choice_.below(13);
    // Who lasts is taken at once, and begins and ends seldom.
    bool const is_seldom = what == 0 || what == 4 || what == 5;
    if (all_.lasting && is_seldom && choice_.chance(700'000)) what = what == 0 ? 7 : 1;
    switch (what) {
      case 0:
        connect();
        break;
      case 1:
      case 2:
        with_one(side, [&](tcp::tcb& c) { write(c); });
        break;
      case 3:
        with_one(side, [&](tcp::tcb& c) { read(c); });
        break;
      case 4:
        with_one(side, [&](tcp::tcb& c) { c.shutdown(now_); });
        break;
      case 5:
        leave(side);
        break;
      case 6:
        wait();
        break;
      case 7:
        accept();
        break;
      case 8:
        end_after_two(side);
        break;
      default:
        carry(side);
        break;
    }
    compare();
  }
  std::uint64_t predicted() const {
    return counters(0).predicted_in + counters(1).predicted_in + counters(0).predicted_out + counters(1).predicted_out;
  }
  std::uint64_t unpredicted() const {
    return counters(2).predicted_in + counters(3).predicted_in + counters(2).predicted_out + counters(3).predicted_out;
  }
  std::uint64_t accepted = 0, ended = 0;

 private:
  using twin = std::array<tcp::tcb*, 2>;

  ip_address address(unsigned side) const {
    auto const last = static_cast<std::uint8_t>(1 + side);
    return all_.v6 ? v6(last) : v4(last);
  }
  tcp::engine_counters const& counters(unsigned i) const { return halves_[i]->engine.counters; }

  /// Few ports, so that they come again while the last connection from there is in TIME-WAIT, or still there.
  void connect() {
    tcp::flow_key const key{address(0), address(1), static_cast<std::uint16_t>(4000 + choice_.below(all_.lasting ? 2 : 6)), port};
    twin made{};
    std::array<bool, 2> has{};
    auto const wants = all_.client;
    for (unsigned world : {0u, 1u}) {
      auto& engine = halves_[world * 2]->engine;
      auto const hash = engine.flows.hash_new(key);
      if (engine.flows.find(key, hash) != nullptr) continue;
      auto opened = engine.connect(key, hash, wants, now_);
      has[world] = opened.has_value();
      if (opened) made[world] = static_cast<tcp::tcb*>(*opened);
    }
    REQUIRE(has[0] == has[1]);
    if (has[0]) ends_[0].push_back(made);
    if (choice_.chance(900'000)) send(0);
  }
  void accept() {
    for (;;) {
      twin const made{static_cast<tcp::tcb*>(halves_[1]->listening->accept()),
                      static_cast<tcp::tcb*>(halves_[3]->listening->accept())};
      REQUIRE((made[0] == nullptr) == (made[1] == nullptr));
      if (made[0] == nullptr) return;
      ends_[1].push_back(made);
      ++accepted;
    }
  }
  template <class What>
  void with_one(unsigned side, What const& what) {
    if (ends_[side].empty()) return;
    auto const& both = ends_[side][choice_.below(ends_[side].size())];
    auto const at = now_;
    auto const before = choice_;
    what(*both[0]);
    choice_ = before;   // the same numbers for the other
    what(*both[1]);
    REQUIRE(at == now_);
    if (choice_.chance(900'000)) send(side);
  }
  void write(tcp::tcb& c) {
    constexpr std::array sizes{1u, 64u, 64u, 64u, 74u, 75u, 126u, 127u, 3000u};
    std::vector<std::byte> const what(sizes[choice_.below(sizes.size())], std::byte{0x5a});
    outcomes_[outcome_++ % 2] = c.write(what, now_, tcp::more::none).value_or(SIZE_MAX);
    REQUIRE((outcome_ % 2 != 0 || outcomes_[0] == outcomes_[1]));
  }
  void read(tcp::tcb& c) {
    std::vector<std::byte> into(64 * 1024);
    auto const got = c.read(into, now_);
    outcomes_[outcome_++ % 2] = !got ? SIZE_MAX : got->value_or(SIZE_MAX - 1);
    REQUIRE((outcome_ % 2 != 0 || outcomes_[0] == outcomes_[1]));
  }
  /// The end of one side comes with the acknowledgment of two messages.
  void end_after_two(unsigned side) {
    if (ends_[0].size() != 1 || ends_[1].size() != 1) return;
    constexpr std::array<std::byte, 64> message{};
    for (unsigned i = 0; i < 2; ++i) {
      for (auto* const one : ends_[1 - side][0]) (void)one->write(message, now_, tcp::more::none);
      send(1 - side);
    }
    while (!queues_[side].empty()) arrive(side);
    events(side);
    for (auto* const one : ends_[side][0]) one->shutdown(now_);
    send(side);
  }
  void leave(unsigned side) {
    if (ends_[side].empty()) return;
    auto const at = ends_[side].begin() + static_cast<std::ptrdiff_t>(choice_.below(ends_[side].size()));
    bool const aborts = choice_.chance(100'000);
    for (auto* const one : *at) {
      if (aborts) one->abort(now_);
      one->release(now_);
    }
    ends_[side].erase(at);
    ++ended;
    if (choice_.chance(900'000)) send(side);
  }
  void wait() {
    constexpr std::array<duration, 8> lengths{0ns, 70us, 70us, 1ms, 12ms, 45ms, 400ms, 2s};
    now_ += lengths[choice_.below(lengths.size())];
    for (auto& one : halves_) {
      if (one->engine.next_deadline() <= now_) one->engine.on_deadline(now_);
    }
    for (unsigned side : {0u, 1u}) send(side);
  }
  void send(unsigned side) {
    for (;;) {
      std::array<tcp::addressing, 2> between;
      std::array<segment, 2> packet;
      std::array<bool, 2> made;
      for (unsigned world : {0u, 1u}) made[world] = halves_[side + world * 2]->engine.poll_transmit(between[world], packet[world], now_);
      REQUIRE(made[0] == made[1]);
      if (!made[0]) return;
      auto one = to_frame(between[0], packet[0]);
      auto const other = to_frame(between[1], packet[1]);
      REQUIRE(one.bytes == other.bytes);
      REQUIRE(one.gso_size == other.gso_size);
      REQUIRE(one.checked == other.checked);
      REQUIRE((!one.checked || (packet[0].checksum_offset == packet[1].checksum_offset &&
                                packet[0].checksum_start == packet[1].checksum_start)));
      REQUIRE(one.between.source == other.between.source);
      REQUIRE(one.between.destination == other.between.destination);
      REQUIRE(one.between.traffic_class == other.between.traffic_class);
      REQUIRE((one.between.way != nullptr ? *one.between.way : 0) == (other.between.way != nullptr ? *other.between.way : 0));
      REQUIRE((one.checked || checksum_right(one)));
      if (choice_.chance(all_.lost)) continue;
      if (choice_.chance(all_.broken)) break_one(one);
      if (choice_.chance(all_.changed)) change(one);
      auto& queue = queues_[1 - side];
      choice_.chance(all_.reordered) ? queue.push_front(std::move(one)) : queue.push_back(std::move(one));
    }
  }
  void break_one(frame& one) {
    auto const bit = choice_.below(one.bytes.size() * 8);
    one.bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
  /// Some field says something else, and the checksum is right.
  void change(frame& one) {
    auto& bytes = one.bytes;
    auto const header = static_cast<std::size_t>(wire::load8(bytes, 12) >> 4) * 4;
    auto const nudge = [&](std::size_t at) {
      constexpr std::array<std::uint32_t, 6> by{1, UINT32_MAX, 64, 0u - 64, 70'000, 0u - 70'000};
      wire::store32(bytes, at, wire::load32(bytes, at) + by[choice_.below(by.size())]);
    };
    switch (choice_.below(10)) {
      case 0:
        nudge(4);
        break;
      case 1:
        nudge(8);
        break;
      case 2:
        wire::store8(bytes, 13, static_cast<std::uint8_t>(wire::load8(bytes, 13) ^ 1u << choice_.below(8)));
        break;
      case 3:
        wire::store16(bytes, 14, choice_.chance(500'000) ? std::uint16_t{0} : static_cast<std::uint16_t>(choice_.below(65'536)));
        break;
      case 4:
        if (header == 32) nudge(24);
        if (header == 40) nudge(28);
        break;
      case 5:
        if (header == 40) wire::store16(bytes, 22, static_cast<std::uint16_t>(choice_.below(3'000)));
        break;
      case 6:
        if (header == 40) wire::store8(bytes, 39, static_cast<std::uint8_t>(12 + choice_.below(4)));
        one.between.traffic_class |= 3;   // a router marks it
        break;
      case 7:
        if (header > 20) wire::store8(bytes, 20 + choice_.below(header - 20), static_cast<std::uint8_t>(choice_.below(10)));
        break;
      case 8:
        if (header == 20 && (wire::load8(bytes, 13) & wire::tcp_syn) == 0) {   // timestamps that nobody agreed on
          bytes.insert(bytes.begin() + 20, 12, std::byte{0});
          wire::store8(bytes, 12, 0x80);
          wire::store32(bytes, 20, 0x0101'080a);
          wire::store32(bytes, 24, 7);
        }
        break;
      default:
        bytes.resize(bytes.size() + choice_.below(3));   // something behind it
        break;
    }
    wire::store16(bytes, 16, 0);
    wire::checksum sum;
    sum.add_pseudo_header(one.between.source, one.between.destination, 6, static_cast<std::uint32_t>(bytes.size()));
    sum.add(bytes);
    wire::store16(bytes, 16, sum.finish());
  }
  void arrive(unsigned side) {
    auto const one = std::move(queues_[side].front());
    queues_[side].pop_front();
    bool const in_front = choice_.chance(800'000);
    for (unsigned world : {0u, 1u}) give(*halves_[side + world * 2], one, in_front);
  }
  void carry(unsigned side) {
    auto const count = choice_.chance(700'000) ? queues_[side].size() : std::size_t{1};
    for (std::size_t i = 0; i < count && !queues_[side].empty(); ++i) arrive(side);
    events(side);
    if (choice_.chance(800'000)) send(side);
  }
  void give(half& to, frame const& f, bool in_front) {
    std::array<segment, 1> packets;
    auto& packet = packets[0];
    put(to, f, packet, in_front);
    to.engine.input(f.between, packets, now_);
    packet.clear();
  }
  /// What users are told is the same, too.
  void events(unsigned side) {
    for (;;) {
      std::array<tcp::event_source*, 2> told{};
      for (unsigned world : {0u, 1u}) {
        auto& all = halves_[side + world * 2]->engine.events;
        told[world] = all.front();
        if (told[world] != nullptr) static_cast<tcp::hook<tcp::event_tag>&>(*told[world]).unlink();
      }
      REQUIRE((told[0] == nullptr) == (told[1] == nullptr));
      if (told[0] == nullptr) return;
      REQUIRE(told[0]->what == told[1]->what);
      REQUIRE(std::exchange(told[0]->ready, std::uint8_t{0}) == std::exchange(told[1]->ready, std::uint8_t{0}));
    }
  }
  void compare() {
    for (unsigned side : {0u, 1u}) {
      auto& fast = halves_[side]->engine;
      auto& slow = halves_[side + 2]->engine;
      REQUIRE(fast.next_deadline() == slow.next_deadline());
      REQUIRE(fast.live == slow.live);
      REQUIRE(fast.flows.size() == slow.flows.size());
      REQUIRE(fast.half_opens.entries.used() == slow.half_opens.entries.used());
      REQUIRE(fast.time_waits.entries.used() == slow.time_waits.entries.used());
      REQUIRE(fast.has_output() == slow.has_output());
      REQUIRE(halves_[side]->route.confirmed == halves_[side + 2]->route.confirmed);
      REQUIRE(counted(fast.counters) == counted(slow.counters));
      for (auto const& both : ends_[side]) REQUIRE(described(*both[0]) == described(*both[1]));
    }
  }
  /// All of them but who predicted what.
  static std::array<std::uint64_t, sizeof(tcp::engine_counters) / 8> counted(tcp::engine_counters of) {
    of.predicted_in = of.predicted_out = 0;
    return std::bit_cast<std::array<std::uint64_t, sizeof(tcp::engine_counters) / 8>>(of);
  }

  circumstances const& all_;
  random_stream& choice_;
  instant now_ = instant() + 10s;
  std::vector<std::unique_ptr<half>> halves_;
  std::array<std::vector<twin>, 2> ends_;
  std::array<std::deque<frame>, 2> queues_;
  std::array<std::size_t, 2> outcomes_{};
  unsigned outcome_ = 0;
};

}  // namespace

TEST_CASE("Lives of connections are the same with the short ways of how they begin and end, seed by seed") {
  std::uint64_t predicted = 0, accepted = 0, ended = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    random_stream choice(secrets(seed ^ 0x6c69'7665'73u).jitter);
    auto const all = chosen(choice);
    lives both(seed, all, choice);
    for (unsigned i = 0; i < 500; ++i) {
      INFO("SEED=" << seed << " step " << i);
      both.step();
    }
    predicted += both.predicted();
    accepted += both.accepted;
    ended += both.ended;
    REQUIRE(both.unpredicted() == 0);
  }
  // Otherwise nothing was compared.
  CHECK(predicted > 5'000);
  CHECK(accepted > 500);
  CHECK(ended > 500);
}
