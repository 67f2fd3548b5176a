#include "morgana/xen/netfront.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <memory>

#include "common/net_receive.hpp"
#include "fake_netback.hpp"
#include "morgana/net/buffer_pool.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using morgana::xen::test::fake_host;
using morgana::xen::test::fake_netback;
using morgana::xen::test::fake_store;

static_assert(net::device_with_room<netfront>);

constexpr char const* theirs = "/local/domain/0/backend/vif/5/0";

std::string at(std::string const& key) {
  return std::string(theirs) + "/" + key;
}

/// An Ethernet frame of `size` bytes that a test knows again.
std::string frame_of(std::size_t size, char with = 'a') {
  std::string out(size, with);
  for (std::size_t i = 14; i < size; ++i) out[i] = static_cast<char>(i * 7 + static_cast<unsigned char>(with));
  return out;
}

std::string text_of(net::segment const& from) {
  std::string out(from.size(), '\0');
  REQUIRE(from.copy_out(0, std::as_writable_bytes(std::span(out))));
  return out;
}

struct guest {
  guest() {
    keys.keys = {{"device/vif/0/backend", theirs},
                 {"device/vif/0/backend-id", "0"},
                 {"device/vif/0/state", "1"},
                 {"device/vif/0/mac", "00:16:3e:00:00:20"},
                 {at("state"), "2"},
                 {at("feature-rx-copy"), "1"},
                 {at("feature-sg"), "1"},
                 {at("feature-gso-tcpv4"), "1"},
                 {at("feature-gso-tcpv6"), "1"},
                 {at("feature-ipv6-csum-offload"), "1"},
                 {at("feature-split-event-channels"), "1"}};
    keys.on_write = [this](std::string const& path, std::string const& value) {
      if (path != "device/vif/0/state") return;
      if (value == "1" && keys.value(at("state")) == "6") keys.set(at("state"), "2");
      if (value == "4" && connects) attach();
      if (value == "5") keys.set(at("state"), "5");
      if (value == "6") keys.set(at("state"), "6");
    };
    host.on_event = [this] { backend.serve(); };
  }

  /// The backend maps the rings, as it finds them in xenstore.
  void attach() {
    auto const map = [&](char const* key) {
      return host.map(static_cast<grant_reference>(std::stoul(keys.value(std::string("device/vif/0/") + key))));
    };
    backend.transmit = {.page = map("tx-ring-ref")};
    backend.receive = {.page = map("rx-ring-ref")};
    keys.set(at("state"), "4");
  }

  std::unique_ptr<netfront> connect() {
    auto made = world.run(netfront::connect(world.context(), host, device_name{"network"}, {})).value();
    REQUIRE(made);
    return *std::move(made);
  }
  result<std::size_t> receive(netfront& on, std::span<net::segment> into, duration time = 1s) {
    return world.run([&]() -> task<result<std::size_t>> {
                  co_return co_await on.receive(into, after(world.context().now(), time));
                }())
        .value();
  }
  net::segment made_of(std::string const& bytes, std::size_t header = 54) {
    net::segment out;
    auto const front = out.push_header(std::min(header, bytes.size()));
    std::memcpy(front.data(), bytes.data(), front.size());
    for (std::size_t done = front.size(); done < bytes.size();) {
      auto part = pool.take_slice(std::min<std::size_t>(bytes.size() - done, 5000));
      std::memcpy(part.writable().data(), bytes.data() + done, part.size());
      done += part.size();
      REQUIRE(out.append(std::move(part)));
    }
    return out;
  }

  morgana::test::world world;
  fake_store keys{world.executor()};
  fake_host host{world.executor(), keys};
  fake_netback backend{host};
  net::buffer_pool pool{5000, 4u << 20};
  bool connects = true;
};

}  // namespace

TEST_CASE("a network is connected with what its backend offers", "[netfront]") {
  guest on;
  auto const device = on.connect();
  auto const as = device->capabilities();
  CHECK(as.address == net::mac_address::parse("00:16:3e:00:00:20"));
  CHECK(as.mtu_bytes == 1500);
  CHECK((as.transmit_checksum && as.receive_checksum && as.segmentation_tcp_v4 && as.segmentation_tcp_v6));
  CHECK_FALSE(as.segmentation_udp);
  CHECK(on.keys.value("device/vif/0/request-rx-copy") == "1");
  CHECK(on.keys.value("device/vif/0/event-channel-tx") != on.keys.value("device/vif/0/event-channel-rx"));
  CHECK(on.host.open_ports.size() == 2);
}

TEST_CASE("what a backend does not offer is not used", "[netfront]") {
  guest on;
  SECTION("no sums of IPv6") {
    on.keys.keys.erase(at("feature-ipv6-csum-offload"));
    auto const as = on.connect()->capabilities();
    CHECK_FALSE((as.transmit_checksum || as.segmentation_tcp_v4 || as.segmentation_tcp_v6));
  }
  SECTION("no sums at all") {
    on.keys.keys[at("feature-no-csum-offload")] = "1";
    CHECK_FALSE(on.connect()->capabilities().transmit_checksum);
  }
  SECTION("no scatter-gather: a frame is one page") {
    on.keys.keys.erase(at("feature-sg"));
    on.keys.keys["device/vif/0/mtu"] = "9000";
    auto const as = on.connect()->capabilities();
    CHECK_FALSE((as.segmentation_tcp_v4 || as.segmentation_tcp_v6));
    CHECK(as.mtu_bytes == 4096 - 18);
  }
  SECTION("one event channel") {
    on.keys.keys.erase(at("feature-split-event-channels"));
    auto const device = on.connect();
    CHECK(on.host.open_ports.size() == 1);
    CHECK(on.keys.value("device/vif/0/event-channel") == std::to_string(on.host.open_ports[0]));
  }
  SECTION("a larger MTU, and one that is none") {
    on.keys.keys["device/vif/0/mtu"] = "9000";
    CHECK(on.connect()->capabilities().mtu_bytes == 9000);
    on.keys.keys["device/vif/0/mtu"] = "12";
    CHECK(on.connect()->capabilities().mtu_bytes == 1500);
  }
}

TEST_CASE("a frame goes out as it is, and its pages come back", "[netfront]") {
  guest on;
  auto const device = on.connect();
  for (auto const size : {14u, 60u, 1514u}) {
    auto frame = on.made_of(frame_of(size));
    CHECK(device->transmit({&frame, 1}) == 1u);
    CHECK(frame.size() == 0);
    on.world.settle();
    REQUIRE(on.backend.sent.size() == 1);
    CHECK(on.backend.sent[0].bytes == frame_of(size));
    CHECK((on.backend.sent[0].slots == 1 && !on.backend.sent[0].has_extra && on.backend.sent[0].flags == 0));
    on.backend.sent.clear();
  }
  CHECK(device->counters().sent_frames == 3);
  CHECK(on.pool.used_buffers() == 0);
}

TEST_CASE("a super-packet goes out in pages, with how to cut it and its sum left blank", "[netfront]") {
  guest on;
  auto const device = on.connect();
  auto frame = on.made_of(frame_of(65'000));
  frame.gso_kind = net::segmentation::tcp_v6;
  frame.gso_size = 1440;
  frame.checksum = net::checksum_state::partial;
  frame.checksum_start = 54;
  frame.checksum_offset = 16;
  CHECK(device->transmit({&frame, 1}) == 1u);
  on.world.settle();
  REQUIRE(on.backend.sent.size() == 1);
  auto const& sent = on.backend.sent[0];
  CHECK(sent.bytes == frame_of(65'000));
  CHECK(sent.slots == 16);
  CHECK((sent.flags & (net_wire::sends_blank_checksum | net_wire::sends_validated)) == 3);
  REQUIRE(sent.has_extra);
  CHECK((sent.extra.kind == net_wire::extra::segmentation && sent.extra.segment_bytes == 1440));
  CHECK((sent.extra.protocol == net_wire::extra::tcp_v6 && sent.extra.flags == 0));
}

TEST_CASE("what cannot be on the link is dropped and counted", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 3> frames{on.made_of(frame_of(13)), on.made_of(frame_of(1519)), on.made_of(frame_of(60))};
  frames[2].gso_kind = net::segmentation::udp;
  frames[2].gso_size = 100;
  CHECK(device->transmit(frames) == 3u);
  on.world.settle();
  CHECK(on.backend.sent.empty());
  CHECK(device->counters().dropped_sent == 3);
}

TEST_CASE("a full ring keeps the rest with the caller, who waits for room", "[netfront]") {
  guest on;
  auto const device = on.connect();
  on.backend.holds = true;
  std::vector<net::segment> frames;
  for (int i = 0; i < 300; ++i) frames.push_back(on.made_of(frame_of(100, static_cast<char>('a' + i % 26))));
  auto const taken = device->transmit(frames);
  REQUIRE(taken);
  CHECK(*taken == 256);
  CHECK(frames[256].size() == 100);
  auto waiting = [&]() -> task<result<void>> { co_return co_await device->room(after(on.world.context().now(), 5s)); };
  CHECK(on.world.run(waiting()).value().error().is(core_error::timed_out));
  on.world.settle();
  on.backend.answer_all();
  CHECK(on.world.run(waiting()).value());
  on.backend.holds = false;
  CHECK(device->transmit(std::span(frames).subspan(*taken)) == 300 - *taken);
  on.world.settle();
  CHECK(on.backend.sent.size() == 300);
}

TEST_CASE("responses come in any order", "[netfront]") {
  guest on;
  auto const device = on.connect();
  on.backend.holds = true;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 20; ++i) {
      auto frame = on.made_of(frame_of(60));
      REQUIRE(device->transmit({&frame, 1}) == 1u);
    }
    on.world.settle();
    std::reverse(on.backend.answers.begin(), on.backend.answers.end());
    auto const last = on.backend.answers.back();
    on.backend.answers.pop_back();
    on.backend.answer_all();
    on.backend.answers.push_back(last);
  }
  CHECK(on.backend.sent.size() == 800);
}

TEST_CASE("frames come in, small ones copied, large ones in their pages", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 8> into;
  for (auto const size : {60u, 1024u, 1025u, 1514u}) {
    REQUIRE(on.backend.deliver(frame_of(size)));
    REQUIRE(on.receive(*device, into) == 1u);
    CHECK(text_of(into[0]) == frame_of(size));
    CHECK(into[0].checksum == net::checksum_state::unchecked);
    into[0].clear();
  }
  CHECK(device->counters().received_frames == 4);
}

TEST_CASE("a page that was handed on is not the backend's to write any more", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 1> into;
  auto const request = on.backend.next_lent();
  auto* const memory = on.host.map(request.page);
  REQUIRE(memory != nullptr);
  on.backend.receive.answer(net_wire::receive_response{.id = request.id, .offset = 0, .flags = 0, .status = 1514});
  on.backend.publish_receive();
  REQUIRE(on.receive(*device, into) == 1u);
  CHECK(on.host.map(request.page) == nullptr);
}

TEST_CASE("a super-packet comes in over many pages, with its size, and a blank sum is located", "[netfront]") {
  guest on;
  auto const device = on.connect();
  auto bytes = frame_of(60'000);
  bytes.replace(12, 2, std::string("\x08\x00", 2));
  bytes[14] = 0x45;
  bytes[23] = 6;
  net_wire::extra const about{.kind = net_wire::extra::segmentation, .flags = 0, .segment_bytes = 1448,
                              .protocol = net_wire::extra::tcp_v4, .reserved = 0, .features = 0};
  std::array<net::segment, 2> into;
  for (int round = 0; round < 30; ++round) {
    REQUIRE(on.backend.deliver(bytes, net_wire::came_blank_checksum | net_wire::came_validated, &about));
    REQUIRE(on.receive(*device, into) == 1u);
    CHECK(text_of(into[0]) == bytes);
    CHECK((into[0].gso_size == 1448 && into[0].gso_kind == net::segmentation::tcp_v4));
    CHECK(into[0].checksum == net::checksum_state::partial);
    CHECK((into[0].checksum_start == 34 && into[0].checksum_offset == 16));
    into[0].clear();
  }
}

TEST_CASE("a frame whose rest comes later is waited for", "[netfront]") {
  guest on;
  auto const device = on.connect();
  auto const bytes = frame_of(6000);
  std::array<net::segment, 1> into;
  auto const first = on.backend.next_lent();
  std::memcpy(on.host.map(first.page), bytes.data(), 4096);
  on.backend.receive.answer(net_wire::receive_response{
      .id = first.id, .offset = 0, .flags = net_wire::came_more | net_wire::came_validated, .status = 4096});
  on.backend.publish_receive();
  CHECK(on.receive(*device, into, 1s).error().is(core_error::timed_out));
  auto const second = on.backend.next_lent();
  std::memcpy(on.host.map(second.page), bytes.data() + 4096, 6000 - 4096);
  on.backend.receive.answer(net_wire::receive_response{.id = second.id, .offset = 0, .flags = 0, .status = 6000 - 4096});
  on.backend.publish_receive();
  REQUIRE(on.receive(*device, into) == 1u);
  CHECK(text_of(into[0]) == bytes);
  CHECK(into[0].checksum == net::checksum_state::valid);
}

TEST_CASE("a frame that the backend failed at is dropped, and the next one comes", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 2> into;
  auto const lost = on.backend.next_lent();
  on.backend.receive.answer(net_wire::receive_response{.id = lost.id, .offset = 0, .flags = 0, .status = -1});
  REQUIRE(on.backend.deliver(frame_of(13)));
  REQUIRE(on.backend.deliver(frame_of(100)));
  REQUIRE(on.receive(*device, into) == 1u);
  CHECK(text_of(into[0]) == frame_of(100));
  CHECK(device->counters().dropped_received == 2);
}

TEST_CASE("when the application keeps all pages the backend waits, and goes on when they are back", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::vector<net::segment> kept;
  std::array<net::segment, 64> into;
  while (on.backend.deliver(frame_of(1514))) {
    auto const count = on.receive(*device, into);
    REQUIRE(count);
    for (std::size_t i = 0; i < *count; ++i) kept.push_back(std::move(into[i]));
    REQUIRE(kept.size() < 5000);
  }
  // A guest of this test has 64 MiB.
  CHECK(kept.size() == netfront::receive_pages_max);
  CHECK_FALSE(on.backend.deliver(frame_of(60)));
  kept.clear();
  CHECK(on.backend.deliver(frame_of(60)));
}

TEST_CASE("pages are lent as they are used: few at first, more when many come at once", "[netfront]") {
  guest on;
  auto const device = on.connect();
  auto const lent = [&] { return on.backend.receive.head().requests_put - on.backend.receive.taken; };
  CHECK(lent() == net_receiver::posted_at_first);
  std::array<net::segment, 64> into;
  auto const come = [&](int count) {
    while (count-- != 0) REQUIRE(on.backend.deliver(frame_of(1514)));
    while (on.receive(*device, into, 1ms)) {
      for (auto& one : into) one.clear();
    }
  };
  for (int i = 0; i < 10; ++i) come(20);
  CHECK(lent() == net_receiver::posted_at_first);
  come(60);
  CHECK(lent() == 2 * net_receiver::posted_at_first);
  come(120);
  CHECK(lent() == net_receiver::slots_max);
}

TEST_CASE("a backend that lies about what came ends in an error, for good", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 4> into;
  std::string how;
  auto const answer = [&](std::uint16_t id, unsigned offset, unsigned flags, int status) {
    on.backend.receive.answer(net_wire::receive_response{.id = id,
                                                         .offset = static_cast<std::uint16_t>(offset),
                                                         .flags = static_cast<std::uint16_t>(flags),
                                                         .status = static_cast<std::int16_t>(status)});
  };
  auto const answer_extra = [&](unsigned kind, unsigned flags) {
    on.backend.receive.answer(net_wire::extra{.kind = static_cast<std::uint8_t>(kind),
                                              .flags = static_cast<std::uint8_t>(flags),
                                              .segment_bytes = 1000,
                                              .protocol = 1,
                                              .reserved = 0,
                                              .features = 0});
  };
  SECTION("an id of another slot") {
    answer(static_cast<std::uint16_t>(on.backend.next_lent().id + 1), 0, 0, 60);
    how = "an id that is not the slot's";
  }
  SECTION("a size beyond the page") {
    answer(on.backend.next_lent().id, 0, 0, 4097);
    how = "a length beyond its page";
  }
  SECTION("an offset that makes it so") {
    answer(on.backend.next_lent().id, 4000, 0, 97);
    how = "a length beyond its page";
  }
  SECTION("the largest size there is") {
    answer(on.backend.next_lent().id, 65'535, 0, 32'767);
    how = "a length beyond its page";
  }
  SECTION("parts without end") {
    for (int i = 0; i < 60; ++i) answer(on.backend.next_lent().id, 0, net_wire::came_more, 1000);
    how = "a chain of responses without end";
  }
  SECTION("extra information without end") {
    answer(on.backend.next_lent().id, 0, net_wire::came_extra, 60);
    for (int i = 0; i < 60; ++i) {
      (void)on.backend.next_lent();
      answer_extra(4, net_wire::extra::more);
    }
    how = "a chain of responses without end";
  }
  SECTION("extra information of no kind") {
    answer(on.backend.next_lent().id, 0, net_wire::came_extra, 60);
    (void)on.backend.next_lent();
    answer_extra(9, 0);
    how = "extra information of a kind that is none";
  }
  SECTION("more responses than requests") {
    on.backend.receive.put += 300;
    how = "an index that cannot be";
  }
  SECTION("a page that it keeps mapped") {
    auto const request = on.backend.next_lent();
    on.host.table[request.page].flags |= grant_is_written;
    answer(request.id, 0, 0, 1514);
    how = "a page that it answered and keeps mapped";
  }
  on.backend.publish_receive();
  auto const received = on.receive(*device, into);
  REQUIRE_FALSE(received);
  CHECK(received.error().is(driver_error::backend_lied));
  CHECK_THAT(on.world.log(), Contains("`network`: the backend of device/vif/0 broke the protocol: " + how));
  CHECK(on.receive(*device, into).error().is(driver_error::backend_lied));
  auto frame = on.made_of(frame_of(60));
  CHECK(device->transmit({&frame, 1}).error().is(driver_error::backend_lied));
}

TEST_CASE("a backend that lies about what was sent ends in an error, for good", "[netfront]") {
  guest on;
  auto const device = on.connect();
  on.backend.holds = true;
  std::vector<net::segment> frames;
  for (int i = 0; i < 256; ++i) frames.push_back(on.made_of(frame_of(60)));
  REQUIRE(device->transmit(frames) == 256u);
  on.world.settle();
  std::string how;
  auto const answer = [&](unsigned id, int status) {
    on.backend.transmit.answer(net_wire::transmit_response{.id = static_cast<std::uint16_t>(id),
                                                           .status = static_cast<std::int16_t>(status)});
  };
  SECTION("the same response twice") {
    answer(on.backend.answers[0].id, 0);
    answer(on.backend.answers[0].id, 0);
    how = "a response to a request that is not out";
  }
  SECTION("an id beyond the ring") {
    answer(256, 0);
    how = "a response to a request that is not out";
  }
  SECTION("extra information that was not sent") {
    answer(0, net_wire::transmit_response::none);
    how = "a response to extra information that was not sent";
  }
  SECTION("an index far off") {
    on.backend.transmit.put += 257;
    how = "an index that cannot be";
  }
  on.backend.publish_transmit();
  auto frame = on.made_of(frame_of(60));
  CHECK(device->transmit({&frame, 1}).error().is(driver_error::backend_lied));
  CHECK_THAT(on.world.log(), Contains("broke the protocol: " + how));
  std::array<net::segment, 1> into;
  CHECK(on.receive(*device, into).error().is(driver_error::backend_lied));
}

TEST_CASE("a backend that closes is an error for everyone who waits", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 1> into;
  auto waiting = [&]() -> task<result<std::size_t>> {
    auto [received, nothing] = co_await all([&]() -> task<result<std::size_t>> { co_return co_await device->receive(into, never); }(),
                                            [&]() -> task<void> {
                                              co_await sleep_for(1s);
                                              on.keys.set(at("state"), "5");
                                            }());
    co_return received;
  };
  auto const received = on.world.run(waiting()).value();
  REQUIRE_FALSE(received);
  CHECK(received.error().is(driver_error::backend_failed));
  CHECK_THAT(on.world.log(), Contains("`network`: the backend closed device/vif/0"));
}

TEST_CASE("a link that goes down drops what is sent until it is up again", "[netfront]") {
  guest on;
  auto const device = on.connect();
  auto const send = [&] {
    auto frame = on.made_of(frame_of(60));
    REQUIRE(device->transmit({&frame, 1}) == 1u);
    on.world.advance(10ms);
  };
  on.world.advance(10ms);
  on.keys.set(at("carrier"), "0");
  on.world.advance(10ms);
  send();
  CHECK(on.backend.sent.empty());
  CHECK_THAT(on.world.log(), Contains("the link is down"));
  on.keys.set(at("carrier"), "1");
  on.world.advance(10ms);
  send();
  CHECK(on.backend.sent.size() == 1);
}

TEST_CASE("24 connects and disconnects leave no grant, no port and no watch", "[netfront]") {
  guest on;
  for (int round = 0; round < 24; ++round) {
    CAPTURE(round);
    auto device = on.connect();
    std::array<net::segment, 4> into;
    REQUIRE(on.backend.deliver(frame_of(1514)));
    REQUIRE(on.receive(*device, into) == 1u);
    into[0].clear();
    auto frame = on.made_of(frame_of(1514));
    REQUIRE(device->transmit({&frame, 1}) == 1u);
    on.world.settle();
    REQUIRE(on.world.run(device->disconnect()));
    CHECK(on.host.grants.used() == 0);
    device.reset();
    CHECK(on.host.open_ports.empty());
  }
  on.world.settle();
  CHECK(on.host.grants.stuck() == 0);
  CHECK(on.keys.watches.empty());
  CHECK(on.backend.sent.size() == 24);
}

TEST_CASE("pages that a backend does not let go of are lost, within a time, and it is said", "[netfront]") {
  guest on;
  auto device = on.connect();
  on.host.table[static_cast<std::size_t>(std::stoul(on.keys.value("device/vif/0/rx-ring-ref")))].flags |= grant_is_read;
  auto const before = on.world.elapsed();
  REQUIRE(on.world.run(device->disconnect()));
  CHECK(on.world.elapsed() - before >= netfront::disconnect_time);
  CHECK(on.world.elapsed() - before < 2 * netfront::disconnect_time);
  device.reset();
  CHECK(on.host.grants.stuck() == 1);
  CHECK_THAT(on.world.log(), Contains("keeps pages of this guest mapped"));
}

TEST_CASE("what is wrong with a network is said by name and path", "[netfront]") {
  guest on;
  auto const connect = [&](device_name name = {"network"}) {
    return on.world.run(netfront::connect(on.world.context(), on.host, name, {})).value();
  };
  SECTION("the second network of a domain with one") {
    auto const made = connect({"inside", 1});
    CHECK(made.error().is(core_error::device_missing));
    CHECK_THAT(on.world.log(), Contains("`inside`: the domain has no device/vif/1"));
  }
  SECTION("no address") {
    on.keys.keys["device/vif/0/mac"] = "none";
    CHECK(connect().error().is(core_error::invalid_argument));
    CHECK_THAT(on.world.log(), Contains("device/vif/0/mac is no Ethernet address"));
  }
  SECTION("a backend that does not copy") {
    on.keys.keys.erase(at("feature-rx-copy"));
    CHECK(connect().error().is(core_error::not_supported));
  }
  SECTION("a backend that never connects") {
    on.connects = false;
    CHECK(connect().error().is(driver_error::backend_missing));
    CHECK_THAT(on.world.log(), Contains("the backend is not connected"));
  }
  SECTION("no event channel") {
    on.host.refuses_ports = true;
    CHECK(connect().error().is(driver_error::no_port));
  }
  CHECK(on.host.grants.used() == 0);
}

TEST_CASE("a blank sum is located behind what is in front of it", "[netfront]") {
  guest on;
  auto const located = [&](std::string bytes) {
    auto frame = on.made_of(bytes, 128);
    return locate_checksum(frame) ? std::pair(frame.checksum_start, frame.checksum_offset)
                                  : std::pair<std::uint16_t, std::uint16_t>(0, 0);
  };
  using place = std::pair<std::uint16_t, std::uint16_t>;
  std::string v6(100, '\0');
  v6.replace(12, 2, "\x86\xdd");
  v6[20] = 17;
  CHECK(located(v6) == place(54, 6));
  auto tagged = v6;
  tagged.insert(12, std::string("\x81\x00\x00\x05", 4));
  CHECK(located(tagged) == place(58, 6));
  std::string v4(100, '\0');
  v4[12] = 8;
  v4[14] = 0x46;
  v4[23] = 6;
  CHECK(located(v4) == place(38, 16));
  v4[23] = 1;
  CHECK(located(v4) == place(0, 0));
  v4[23] = 6;
  CHECK(located(v4.substr(0, 50)) == place(0, 0));
  CHECK(located(std::string(14, '\0')) == place(0, 0));
}

// ---- a suspend ----------------------------------------------------------------------------------------

namespace {

/// As the restored domain is: another backend that waits, a xenstore without watches, no ports.
void go_elsewhere(guest& on) {
  on.keys.watches.clear();
  on.keys.keys[at("state")] = "2";
  on.keys.keys["device/vif/0/state"] = "1";
  on.host.open_ports.clear();
  on.backend.transmit = {};
  on.backend.receive = {};
  on.backend.sent.clear();
  on.backend.answers.clear();
  on.host.resumed(resumption::elsewhere);
}

}  // namespace

TEST_CASE("a suspended network is connected again in its new domain, with the pages there are", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 2> into;
  REQUIRE(on.backend.deliver(frame_of(1514)));
  REQUIRE(on.receive(*device, into) == 1u);
  auto kept = std::move(into[0]);
  on.backend.holds = true;
  auto frame = on.made_of(frame_of(60));
  REQUIRE(device->transmit({&frame, 1}) == 1u);
  on.world.settle();
  auto const used = on.host.grants.used();
  for (int round = 0; round < 24; ++round) {
    CHECK(on.host.quiesce());
    go_elsewhere(on);
    CHECK(on.host.grants.used() <= used + page_pool::group_pages);
    CHECK_FALSE(on.host.quiesce());
    // On the way it is lost, as on any wire.
    frame = on.made_of(frame_of(60));
    CHECK(device->transmit({&frame, 1}) == 1u);
    on.world.settle();
    on.backend.holds = false;
    CHECK(on.backend.sent.empty());
    CHECK(on.keys.value(at("state")) == "4");
    CHECK(on.host.open_ports.size() == 2);
    CHECK(text_of(kept) == frame_of(1514));
    REQUIRE(on.backend.deliver(frame_of(1400, 'b')));
    REQUIRE(on.receive(*device, into) == 1u);
    CHECK(text_of(into[0]) == frame_of(1400, 'b'));
    into[0].clear();
    frame = on.made_of(frame_of(900, 'c'));
    REQUIRE(device->transmit({&frame, 1}) == 1u);
    on.world.settle();
    REQUIRE(on.backend.sent.size() == 1);
    CHECK(on.backend.sent[0].bytes == frame_of(900, 'c'));
    CHECK(on.host.grants.used() <= used + page_pool::group_pages);
  }
  kept.clear();
  REQUIRE(on.world.run(device->disconnect()));
  CHECK((on.host.grants.used() == 0 && on.host.grants.stuck() == 0));
}

TEST_CASE("a suspend that was called off changes nothing", "[netfront]") {
  guest on;
  auto const device = on.connect();
  CHECK(on.host.quiesce());
  on.host.resumed(resumption::cancelled);
  std::array<net::segment, 1> into;
  REQUIRE(on.backend.deliver(frame_of(100)));
  REQUIRE(on.receive(*device, into) == 1u);
}

TEST_CASE("a network whose new backend is silent or can less is lost, and says so", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 1> into;
  SECTION("silent") { on.connects = false; }
  SECTION("no super-packets") { on.keys.keys.erase(at("feature-gso-tcpv6")); }
  SECTION("another address") { on.keys.keys["device/vif/0/mac"] = "00:16:3e:00:00:21"; }
  go_elsewhere(on);
  CHECK(on.receive(*device, into, 20s).error().is(driver_error::backend_failed));
  CHECK_THAT(on.world.log(), Contains("backend at") || Contains("backend is not"));
  // Nothing holds up the next suspend, and the pages come back after it as well.
  CHECK(on.host.quiesce());
  go_elsewhere(on);
  CHECK(on.host.grants.used() != 0);
  REQUIRE(on.world.run(device->disconnect()));
  CHECK((on.host.grants.used() == 0 && on.host.grants.stuck() == 0));
}
