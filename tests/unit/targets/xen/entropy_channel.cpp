#include "morgana/xen/entropy_channel.hpp"

#include <catch2/catch.hpp>

#include "common/entropy_dialogue.hpp"
#include "fake_host.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using morgana::xen::test::fake_host;
using morgana::xen::test::fake_store;

constexpr char const* ours = "device/console/2";
constexpr char const* theirs = "/local/domain/0/backend/console/5/2";

std::string at(std::string const& key) {
  return std::string(theirs) + "/" + key;
}

/// A guest with two channels, of which the second is that of randomness; its backend follows as QEMU's does.
struct guest {
  guest() {
    keys.keys = {{"device/console/1/name", "org.example.else"},
                 {std::string(ours) + "/name", std::string(entropy_dialogue::channel_name)},
                 {std::string(ours) + "/backend", theirs},
                 {std::string(ours) + "/backend-id", "0"},
                 {std::string(ours) + "/state", "1"},
                 {at("state"), "2"}};
    keys.on_write = [this](std::string const& path, std::string const& value) {
      if (path != std::string(ours) + "/state") return;
      if (value == "1") keys.set(at("state"), "2");
      if (value == "3") {
        page = reinterpret_cast<console_page*>(
            host.map(static_cast<grant_reference>(std::stoul(keys.value(std::string(ours) + "/ring-ref")))));
        heard.clear();
        keys.set(at("state"), "4");
      }
      if (value == "5" || value == "6") {
        page = nullptr;
        keys.set(at("state"), value);
      }
    };
    host.on_event = [this] { serve(); };
    morgana::test::fake().entropy.clear();
  }

  /// Answers the greeting with `reply`.
  void serve() {
    if (page == nullptr) return;
    byte_ring said(page->output, page->output_taken, page->output_put);
    std::byte piece[64];
    for (std::size_t size = 0; (size = said.read(piece)) != 0;)
      heard.append(reinterpret_cast<char const*>(piece), size);
    if (heard != entropy_dialogue::greeting) return;
    heard += '.';  // once
    byte_ring to_guest(page->input, page->input_put, page->input_taken);
    REQUIRE(to_guest.write(std::as_bytes(std::span(reply))) == reply.size());
    host.wake();
  }

  std::unique_ptr<entropy_channel> channel() {
    return *world.run(entropy_channel::connect(world.context(), &host)).value();
  }
  result<std::size_t> sample(entropy_channel& from, std::span<std::byte> into, duration time = 5s) {
    return world.run(from.sample(into, after(world.context().now(), time))).value();
  }

  std::string reply = std::string(entropy_dialogue::answer) + "sixteen random bytes and some";
  std::string heard;
  console_page* page = nullptr;
  morgana::test::world world;
  fake_store keys{world.executor()};
  fake_host host{world.executor(), keys};
};

std::string text_of(std::span<std::byte const> bytes) {
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("what follows the answer is randomness, of the channel with that name", "[entropy_channel]") {
  guest on;
  auto const channel = on.channel();
  std::array<std::byte, 16> into{};
  REQUIRE(on.sample(*channel, into) == 16u);
  CHECK(text_of(into) == "sixteen random b");
  REQUIRE(on.sample(*channel, into) == 13u);
  CHECK(text_of(std::span(into).first(13)) == "ytes and some");
  CHECK(channel->millibits_per_byte() == 8000);
  on.world.run(channel->disconnect());
  CHECK(on.host.grants.used() == 0);
  CHECK(on.host.open_ports.size() == 1);  // closed with the channel
}

TEST_CASE("a domain without the channel gives nothing, at once", "[entropy_channel]") {
  guest on;
  on.keys.keys.erase(std::string(ours) + "/name");
  auto const channel = on.channel();
  std::array<std::byte, 16> into{};
  CHECK(on.sample(*channel, into) == 0u);
  CHECK(on.world.elapsed() == 0s);
  CHECK(on.host.grants.used() == 0);
  auto const without_xen = *on.world.run(entropy_channel::connect(on.world.context(), nullptr)).value();
  CHECK(on.sample(*without_xen, into) == 0u);
}

TEST_CASE("an echo of the greeting before the answer is no randomness", "[entropy_channel]") {
  guest on;
  on.reply = std::string(entropy_dialogue::greeting) + "You may not" + on.reply;
  std::array<std::byte, 16> into{};
  auto const channel = on.channel();
  REQUIRE(on.sample(*channel, into) == 16u);
  CHECK(text_of(into) == "sixteen random b");
}

TEST_CASE("who speaks otherwise is not believed, and said", "[entropy_channel]") {
  guest on;
  on.reply = std::string(900, 'Y');
  std::array<std::byte, 16> into{};
  auto const channel = on.channel();
  auto const got = on.sample(*channel, into);
  REQUIRE(!got);
  CHECK(got.error().is(driver_error::backend_lied));
  CHECK_THAT(on.world.log(), Contains("does not speak the protocol"));
}

TEST_CASE("a ring index that cannot be breaks the channel", "[entropy_channel]") {
  guest on;
  on.host.on_event = [&] {
    if (on.page == nullptr) return;
    on.page->input_put = 5000;
    on.host.wake();
  };
  std::array<std::byte, 16> into{};
  auto const channel = on.channel();
  CHECK(on.sample(*channel, into).error().is(driver_error::backend_lied));
}

TEST_CASE("a silent channel ends with the deadline", "[entropy_channel]") {
  guest on;
  on.host.on_event = [] {};
  std::array<std::byte, 16> into{};
  auto const channel = on.channel();
  CHECK(on.sample(*channel, into, 2s).error().is(core_error::timed_out));
  CHECK(on.world.elapsed() == 2s);
}

TEST_CASE("a backend that does not come up ends with the deadline", "[entropy_channel]") {
  guest on;
  on.keys.keys[at("state")] = "1";
  std::array<std::byte, 16> into{};
  auto const channel = on.channel();
  CHECK(on.sample(*channel, into, 2s).error().is(driver_error::backend_missing));
}

TEST_CASE("after a suspend the channel is connected again, with nothing of before", "[entropy_channel]") {
  guest on;
  auto const channel = on.channel();
  std::array<std::byte, 16> into{};
  REQUIRE(on.sample(*channel, into) == 16u);
  REQUIRE(on.host.quiesce());
  on.keys.set(at("state"), "2");
  on.keys.set(std::string(ours) + "/state", "1");
  on.host.resumed(resumption::elsewhere);
  on.reply = std::string(entropy_dialogue::answer) + "other";
  REQUIRE(on.sample(*channel, into) == 5u);
  CHECK(text_of(std::span(into).first(5)) == "other");
  CHECK(on.host.grants.used() == 1);
}
