#include "goodput.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "morgana/sim/core_host.hpp"
#include "morgana/sim/world.hpp"

namespace morgana::simulation {

namespace {

constexpr std::uint64_t link_bits_per_s = 50'000'000;
constexpr std::uint32_t queue_bytes = 128 * 1024;
constexpr std::size_t stream_bytes = 4'000'000;
constexpr duration give_up = 120s;

/// Writes all it can, or reads and counts.
class bulk : public sim::user {
 public:
  void on_event(net::core::event const& what, instant now) override {
    if (what.listener != nullptr) reading = what.listener->accept();
    if (what.connection == nullptr) return;
    if (what.connection == reading) {
      std::array<std::byte, 65'536> into;
      for (;;) {
        auto const got = reading->read(into, now);
        if (!got || !*got || **got == 0) break;
        arrived += **got;
      }
    } else {
      static std::array<std::byte, 65'536> const zeros{};
      while (written < stream_bytes) {
        auto const left = stream_bytes - written;
        auto const count =
            what.connection->write(std::span(zeros).first(left < zeros.size() ? left : zeros.size()), now);
        if (!count || *count == 0) break;
        written += *count;
      }
    }
  }
  net::tcp::connection* reading = nullptr;
  std::size_t arrived = 0, written = 0;
};

/// kbit/s from the SYN to the last byte.
std::uint64_t goodput(net::tcp::congestion_control control, std::uint32_t loss_millionths,
                      duration round_trip, std::uint32_t buffer_bytes) {
  sim::world world(1);
  std::array<sim::core_host*, 2> hosts{};
  std::array<bulk, 2> users;
  for (std::uint8_t i = 0; i < 2; ++i) {
    net::core_configuration configuration;
    configuration.device.address = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(i + 1)}};
    configuration.addresses = {{net::ipv4_address{{10, 0, 0, static_cast<std::uint8_t>(i + 1)}}, 24}};
    configuration.router_advertisements = configuration.detect_conflicts = false;
    auto made = std::make_unique<sim::core_host>(configuration, i + 1u, 64u << 20, world.now());
    hosts[i] = made.get();
    made->set_user(&users[i]);
    (void)world.add(i == 0 ? "sender" : "receiver", std::move(made));
  }
  sim::link_settings link;
  link.delay = round_trip / 2;
  link.bits_per_s = link_bits_per_s;
  link.queue_bytes = queue_bytes;
  auto there = link;
  there.loss_millionths = loss_millionths;
  (void)world.join({0, 0}, {1, 0}, there, link);
  auto listening = hosts[1]->stack().tcp().listen({.port = 80});
  if (!listening) return 0;
  (*listening)->options().receive_buffer_bytes = buffer_bytes;
  net::tcp::settings with;
  with.control = control;
  with.send_buffer_bytes = 4u << 20;
  if (!hosts[0]->stack().tcp().connect({net::ipv4_address{{10, 0, 0, 2}}, 80}, with, world.now())) return 0;
  world.touch(0);
  (void)world.run_until([&] { return users[1].arrived == stream_bytes; }, sim::start + give_up);
  auto const took = static_cast<std::uint64_t>((world.now() - sim::start) / 1us);
  return took == 0 ? 0 : users[1].arrived * 8'000 / took;
}

std::string padded(std::string text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

}  // namespace

std::string goodput_table() {
  std::string text =
      "# Goodput of 4 MB in kbit/s, from the SYN to the last byte, over 50 Mbit/s with 128 KiB of queue\n"
      "# control  loss %  round trip ms    64 KiB   256 KiB  1024 KiB   (receive buffer)\n";
  for (auto const control : {net::tcp::congestion_control::new_reno, net::tcp::congestion_control::cubic}) {
    for (auto const loss : {0u, 1'000u, 10'000u, 30'000u, 100'000u}) {
      for (auto const round_trip : {2ms, 20ms, 100ms}) {
        auto const thousandths = std::to_string(loss % 10'000 / 1'000);
        text += control == net::tcp::congestion_control::cubic ? "cubic    " : "new_reno ";
        text += padded(std::to_string(loss / 10'000) + "." + thousandths, 8);
        text += padded(std::to_string(round_trip.count()), 15);
        for (auto const buffer : {64u << 10, 256u << 10, 1024u << 10}) {
          text += padded(std::to_string(goodput(control, loss, round_trip, buffer)), 10);
        }
        text += "\n";
      }
    }
  }
  return text;
}

}  // namespace morgana::simulation
