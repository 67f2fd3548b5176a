// A guest with one vif whose backend follows the frontend's state as Linux' does: what tests of netfront
// share.
#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <memory>

#include "fake_netback.hpp"
#include "morgana/net/buffer_pool.hpp"
#include "morgana/xen/netfront.hpp"

namespace morgana::xen::test {

using namespace std::chrono_literals;

inline constexpr char const* net_backend = "/local/domain/0/backend/vif/5/0";

/// A key of the backend's.
inline std::string at(std::string const& key) {
  return std::string(net_backend) + "/" + key;
}

/// An Ethernet frame of `size` bytes that a test knows again.
inline std::string frame_of(std::size_t size, char with = 'a') {
  std::string out(size, with);
  for (std::size_t i = 14; i < size; ++i)
    out[i] = static_cast<char>(i * 7 + static_cast<unsigned char>(with));
  return out;
}

inline std::string text_of(net::segment const& from) {
  std::string out(from.size(), '\0');
  REQUIRE(from.copy_out(0, std::as_writable_bytes(std::span(out))));
  return out;
}

/// A domain with one vif, its xenstore and its backend.
struct net_domain {
  explicit net_domain(morgana::test::world& in, std::string const& address = "00:16:3e:00:00:20")
      : on(&in), keys(in.executor()), host(in.executor(), keys) {
    keys.keys = {{"device/vif/0/backend", net_backend},
                 {"device/vif/0/backend-id", "0"},
                 {"device/vif/0/state", "1"},
                 {"device/vif/0/mac", address},
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
      return host.map(
          static_cast<grant_reference>(std::stoul(keys.value(std::string("device/vif/0/") + key))));
    };
    backend.transmit = {.page = map("tx-ring-ref")};
    backend.receive = {.page = map("rx-ring-ref")};
    keys.set(at("state"), "4");
  }

  std::unique_ptr<netfront> connect() {
    auto made = on->run(netfront::connect(on->context(), host, device_name{"network"}, {})).value();
    REQUIRE(made);
    return *std::move(made);
  }

  morgana::test::world* on;
  fake_store keys;
  fake_host host;
  fake_netback backend{host};
  bool connects = true;
};

struct own_world {
  morgana::test::world world;
};

/// The only domain of its world.
struct net_guest : own_world, net_domain {
  net_guest() : net_domain(own_world::world) {}

  result<std::size_t> receive(netfront& on, std::span<net::segment> into, duration time = 1s) {
    return world
        .run([&]() -> task<result<std::size_t>> {
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

  net::buffer_pool pool{5000, 4u << 20};
};

}  // namespace morgana::xen::test
