// The network device over an inherited descriptor.
#include "morgana/hosted/fd_device.hpp"

#include <sys/socket.h>

#include <array>
#include <cstring>

#include "guest.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "targets/unix/vnet_header.hpp"

using namespace morgana;
using namespace morgana::hosted;
using test::bytes;
using test::text;

static_assert(net::device_with_room<fd_device>);

namespace {

struct test_link {
  explicit test_link(int type = SOCK_SEQPACKET) { REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0); }
  ~test_link() { close_peer(); }
  void close_peer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  void send(std::string_view frame) {
    REQUIRE(::send(ends[1], frame.data(), frame.size(), MSG_DONTWAIT) == static_cast<ssize_t>(frame.size()));
  }
  std::string receive() {
    std::string frame(70'000, '\0');
    auto const count = ::recv(ends[1], frame.data(), frame.size(), MSG_DONTWAIT);
    frame.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return frame;
  }
  int ends[2];
};

std::unique_ptr<fd_device> open(test_link& on, bool has_vnet_header = false) {
  auto device = fd_device::open(on.ends[0], {.mtu_bytes = 1500, .address = {}}, has_vnet_header);
  REQUIRE(device);
  return std::move(*device);
}

std::string whole(net::segment const& frame) {
  std::string all(frame.size(), '\0');
  REQUIRE(frame.copy_out(0, std::as_writable_bytes(std::span(all))));
  return all;
}

std::string frame_of(char fill, std::size_t size) { return std::string(size, fill); }

}  // namespace

TEST_CASE("frames arrive whole, several at once, in order") {
  test::guest guest;
  for (int const type : {SOCK_SEQPACKET, SOCK_DGRAM}) {
    test_link wire(type);
    auto device = open(wire);
    wire.send(frame_of('a', 60));
    wire.send(frame_of('b', 1518));
    wire.send(frame_of('c', 14));
    guest.run([](fd_device& from) -> task<> {
      auto& here = co_await this_context();
      std::array<net::segment, 2> frames;
      auto count = co_await from.receive(frames, here.now() + 5s);
      REQUIRE(count);
      REQUIRE(*count == 2);
      CHECK(whole(frames[0]) == frame_of('a', 60));
      CHECK(whole(frames[1]) == frame_of('b', 1518));
      count = co_await from.receive(frames, here.now() + 5s);
      REQUIRE(count);
      REQUIRE(*count == 1);
      CHECK(whole(frames[0]) == frame_of('c', 14));
      count = co_await from.receive(frames, here.now() + 2ms);
      REQUIRE(!count);
      CHECK(count.error().is(core_error::timed_out));
    }(*device));
    CHECK(device->counters().received_frames == 3);
  }
}

TEST_CASE("frames that are too long or too short are dropped and counted") {
  test::guest guest;
  test_link wire;
  auto device = open(wire);
  wire.send(frame_of('a', 1519));
  wire.send(frame_of('b', 13));
  wire.send(frame_of('c', 64));
  guest.run([](fd_device& from) -> task<> {
    std::array<net::segment, 4> frames;
    auto const count = co_await from.receive(frames, (co_await this_context()).now() + 5s);
    REQUIRE(count);
    CHECK(*count == 1);
    CHECK(whole(frames[0]) == frame_of('c', 64));
  }(*device));
  CHECK(device->counters().dropped_received == 2);

  net::buffer_pool pool(2048, 64 * 1024);
  std::array<net::segment, 3> frames;
  REQUIRE(frames[0].append(pool.take_slice(1519)));
  REQUIRE(frames[1].append(pool.take_slice(100)));
  frames[1].checksum = net::checksum_state::partial;
  REQUIRE(frames[2].append(pool.take_slice(100)));
  CHECK(*device->transmit(frames) == 3);
  CHECK(device->counters().dropped_sent == 2);
  CHECK(device->counters().sent_frames == 1);
  CHECK(wire.receive().size() == 100);
  CHECK(wire.receive().empty());
  CHECK(pool.used_buffers() == 0);
}

TEST_CASE("a full link takes what it has room for and keeps nothing of the rest") {
  test::guest guest;
  test_link wire;
  auto device = open(wire);
  net::buffer_pool pool(2048, 64u << 20);
  std::vector<net::segment> frames(4000);
  for (auto& frame : frames) REQUIRE(frame.append(pool.take_slice(1500)));
  auto const sent = device->transmit(frames);
  REQUIRE(sent);
  CHECK(*sent > 0);
  CHECK(*sent < 4000);
  CHECK(frames[*sent].size() == 1500);
  CHECK(frames[*sent - 1].size() == 0);
  while (!wire.receive().empty()) {
  }
  CHECK(*device->transmit(std::span(frames).subspan(*sent, 1)) == 1);
}

TEST_CASE("the virtio-net header carries segmentation and checksums both ways") {
  test::guest guest;
  test_link wire;
  auto device = open(wire, true);
  CHECK(device->capabilities().segmentation_tcp_v4);
  vnet_header header{};
  header.flags = vnet_header::needs_checksum;
  header.segmentation_kind = vnet_header::segments_tcp_v4;
  header.segment_bytes = 1448;
  header.checksum_start = 34;
  header.checksum_offset = 16;
  auto const with = [&header](std::string const& frame) {
    return std::string(reinterpret_cast<char const*>(&header), sizeof header) + frame;
  };
  auto const big = frame_of('x', 60'000);
  int const buffer = 1 << 20;
  ::setsockopt(wire.ends[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  ::setsockopt(wire.ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  wire.send(with(big));
  // A checksum outside the frame, and a super-packet of parts of no bytes, are lies.
  header.checksum_start = 60'000;
  wire.send(with(frame_of('y', 100)));
  header.checksum_start = 34;
  header.segment_bytes = 0;
  wire.send(with(frame_of('y', 100)));
  guest.run([](fd_device& from, std::string const& expected) -> task<> {
    std::array<net::segment, 4> frames;
    auto const count = co_await from.receive(frames, (co_await this_context()).now() + 5s);
    REQUIRE(count);
    REQUIRE(*count == 1);
    CHECK(whole(frames[0]) == expected);
    CHECK(frames[0].gso_kind == net::segmentation::tcp_v4);
    CHECK(frames[0].gso_size == 1448);
    CHECK(frames[0].checksum == net::checksum_state::partial);
    CHECK(frames[0].checksum_start == 34);
    CHECK(frames[0].checksum_offset == 16);
    CHECK(*from.transmit(std::span(frames).first(1)) == 1);
  }(*device, big));
  CHECK(device->counters().dropped_received == 2);
  auto const back = wire.receive();
  REQUIRE(back.size() == sizeof header + big.size());
  std::memcpy(&header, back.data(), sizeof header);
  CHECK(header.segmentation_kind == vnet_header::segments_tcp_v4);
  CHECK(header.segment_bytes == 1448);
  CHECK(header.flags == vnet_header::needs_checksum);
  CHECK(header.checksum_start == 34);
  CHECK(back.substr(sizeof header) == big);
}

TEST_CASE("a peer that goes away closes the device, after what it sent") {
  test::guest guest;
  test_link wire;
  auto device = open(wire);
  wire.send(frame_of('a', 60));
  wire.close_peer();
  guest.run([](fd_device& from) -> task<> {
    auto const deadline = (co_await this_context()).now() + 5s;
    std::array<net::segment, 4> frames;
    auto count = co_await from.receive(frames, deadline);
    REQUIRE(count);
    CHECK(*count == 1);
    count = co_await from.receive(frames, deadline);
    REQUIRE(!count);
    CHECK(count.error().is(core_error::closed));
  }(*device));
}

TEST_CASE("a network comes from the runner by its name, or the error says how to give one") {
  test::guest guest;
  auto const connect = [&guest](char const* name) {
    return guest.run(fd_device::connect(guest.context, device_name{name}));
  };
  auto const none = connect("none");
  REQUIRE(!none);
  CHECK(none.error().is(core_error::device_missing));
  CHECK(guest.log.lines.back().find("morgana run --network none=") != std::string::npos);
  for (auto const* const wrong : {"x", "fd:", "fd:3x", "fd:-1", "fd:3,mac=zz", "fd:3,mtu=10", "fd:3,other=1", "fd:9999"}) {
    ::setenv("MORGANA_NETWORK_wrong", wrong, 1);
    INFO(wrong);
    auto const refused = connect("wrong");
    REQUIRE(!refused);
    CHECK(refused.error().is(core_error::invalid_argument));
  }
  test_link wire;
  ::setenv("MORGANA_NETWORK_net", ("fd:" + std::to_string(wire.ends[0]) + ",mac=02:00:00:00:00:07,mtu=9000,vnet=0").c_str(),
           1);
  auto const device = connect("net");
  REQUIRE(device);
  CHECK((*device)->capabilities().mtu_bytes == 9000);
  CHECK((*device)->capabilities().address == *net::mac_address::parse("02:00:00:00:00:07"));
  test_link stream(SOCK_STREAM);
  ::setenv("MORGANA_NETWORK_stream", ("fd:" + std::to_string(stream.ends[0]) + ",mac=,mtu=1500,vnet=0").c_str(), 1);
  CHECK(!connect("stream"));
}

TEST_CASE("a super-packet lies in as many buffers as it needs, and a small frame in one") {
  test::guest guest;
  test_link wire;
  auto device = open(wire, true);
  vnet_header header;
  header.segmentation_kind = vnet_header::segments_tcp_v4;
  header.segment_bytes = 1448;
  std::string large(65'000, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7);
  std::string const head(reinterpret_cast<char const*>(&header), sizeof header);
  wire.send(head + large);
  wire.send(std::string(sizeof header, '\0') + frame_of('s', 60));
  wire.send(head + large.substr(0, 4096));
  guest.run([](fd_device& from, std::string const& expected) -> task<> {
    std::array<net::segment, 4> frames;
    auto const count = co_await from.receive(frames, (co_await this_context()).now() + 5s);
    REQUIRE(count);
    REQUIRE(*count == 3);
    CHECK(whole(frames[0]) == expected);
    CHECK(frames[0].gso_size == 1448);
    CHECK(frames[0].slices().size() == 16);
    CHECK(whole(frames[1]) == frame_of('s', 60));
    CHECK(frames[1].slices().size() == 1);
    CHECK(frames[1].gso_size == 0);
    CHECK(whole(frames[2]) == expected.substr(0, 4096));
    CHECK(frames[2].slices().size() == 1);
  }(*device, large));
}

TEST_CASE("room() waits until a full link has room again") {
  test::guest guest;
  test_link wire;
  auto device = open(wire);
  net::buffer_pool pool(2048, 64u << 20);
  std::vector<net::segment> frames(4000);
  for (auto& one : frames) REQUIRE(one.append(pool.take_slice(1000)));
  auto const taken = device->transmit(frames);
  REQUIRE((taken && *taken < frames.size()));
  guest.run([](fd_device& to, test_link& from) -> task<> {
    auto& here = co_await this_context();
    auto const full = co_await to.room(here.now() + 2ms);
    REQUIRE(!full);
    CHECK(full.error().is(core_error::timed_out));
    while (!from.receive().empty()) {
    }
    CHECK(co_await to.room(here.now() + 5s));
  }(*device, wire));
}
