#include "common/net_receive.hpp"
#include "netfront_guest.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using morgana::xen::test::at;
using morgana::xen::test::frame_of;
using morgana::xen::test::text_of;
using guest = morgana::xen::test::net_guest;

static_assert(net::device_with_room<netfront>);

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

TEST_CASE("a small frame comes in as it would in parts, whatever its sum, and the smallest take no buffer", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 4> into;
  using namespace net_wire;
  for (auto const size : {60u, 142u, 192u, 193u, 1000u}) {
    auto bytes = frame_of(size);
    bytes.replace(12, 2, std::string("\x08\x00", 2));
    bytes[14] = 0x45;
    bytes[23] = 6;
    for (auto const flags : {0, +came_validated, +came_blank_checksum, came_blank_checksum | came_validated}) {
      // In one part, and in two.
      for (std::size_t i = 0; i < 2; ++i) {
        auto const piece = i == 0 ? 4096 : std::max(size / 2 + 1, 54u);
        REQUIRE(on.backend.deliver(bytes, static_cast<std::uint16_t>(flags), nullptr, piece));
        REQUIRE(on.receive(*device, std::span(into).subspan(i, 2)) == 1u);
        CHECK(text_of(into[i]) == bytes);
      }
      CHECK(into[0].slices().empty() == (size <= net::segment_headroom_bytes));
      CHECK(into[0].checksum == into[1].checksum);
      CHECK(into[0].checksum_start == into[1].checksum_start);
      CHECK(into[0].checksum_offset == into[1].checksum_offset);
    }
  }
}

TEST_CASE("small frames come for as long as they are sent, one by one and many at once", "[netfront]") {
  guest on;
  auto const device = on.connect();
  std::array<net::segment, 64> into;
  std::size_t sent = 0, came = 0;
  for (unsigned round = 0; round < 600; ++round) {
    // As many as the backend has pages for, which is never none.
    auto const first = sent;
    for (unsigned i = 0; i <= round % 20; ++i) {
      if (on.backend.deliver(frame_of(60 + sent % 140, static_cast<char>(sent)))) ++sent;
    }
    REQUIRE(sent != first);
    REQUIRE(on.receive(*device, into) == sent - first);
    for (std::size_t i = 0; i < sent - first; ++i, ++came) {
      REQUIRE(text_of(into[i]) == frame_of(60 + came % 140, static_cast<char>(came)));
    }
  }
  CHECK(came > 5000);
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
  for (int i = 0; i < 10; ++i) come(10);
  CHECK(lent() == net_receiver::posted_at_first);
  come(20);
  CHECK(lent() == 2 * net_receiver::posted_at_first);
  come(40);
  CHECK(lent() == 4 * net_receiver::posted_at_first);
  come(90);
  come(180);
  CHECK(lent() == net_receiver::slots_max);
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
