// A host that sends what it is told and keeps what arrives.
#pragma once

#include <catch2/catch.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "morgana/sim/world.hpp"

namespace morgana::sim::testing {

using bytes = std::vector<std::byte>;

class probe : public node {
 public:
  explicit probe(std::size_t ports = 1) : ports_(ports) {}
  [[nodiscard]] std::size_t ports() const override { return ports_; }
  void receive(std::size_t port, frame& arrived, instant now) override {
    arrivals.push_back({port, now, std::move(arrived.bytes)});
  }
  bool poll_transmit(std::size_t port, frame& into, instant) override {
    if (to_send.empty() || to_send.front().first != port) return false;
    into = std::move(to_send.front().second);
    to_send.pop_front();
    return true;
  }
  [[nodiscard]] instant next_deadline() const override { return deadline; }
  void on_deadline(instant now) override {
    ran_at.push_back(now);
    if (deadline <= now) deadline = period == 0ns ? never : deadline + period;
  }

  void send(bytes what, std::size_t port = 0) {
    frame one;
    one.bytes = std::move(what);
    to_send.emplace_back(port, std::move(one));
  }

  struct arrival {
    std::size_t port;
    instant at;
    bytes what;
  };
  std::vector<arrival> arrivals;
  std::deque<std::pair<std::size_t, frame>> to_send;
  std::vector<instant> ran_at;
  instant deadline = never;
  duration period = 0ns;

 private:
  std::size_t ports_;
};

/// Two probes and a cable.
struct pair_of_probes {
  explicit pair_of_probes(link_settings const& there, std::uint64_t seed = 1, link_settings const& back = {})
      : all(seed) {
    auto first = std::make_unique<probe>();
    auto second = std::make_unique<probe>();
    one = first.get();
    two = second.get();
    auto const a = all.add("one", std::move(first));
    auto const b = all.add("two", std::move(second));
    cable = all.join({a, 0}, {b, 0}, there, back);
  }
  /// Sends that many frames, `gap` apart, each with its number in front.
  void send(std::size_t count, std::size_t size, duration gap) {
    for (std::size_t i = 0; i < count; ++i) {
      all.at(all.now() + static_cast<std::int64_t>(i) * gap, [this, i, size] {
        bytes what(size);
        for (std::size_t k = 0; k < 4; ++k) what[k] = static_cast<std::byte>(i >> 8 * k & 0xff);
        one->send(std::move(what));
        all.touch(0);
      });
    }
  }
  /// The numbers of what arrived.
  [[nodiscard]] std::vector<std::size_t> arrived() const {
    std::vector<std::size_t> numbers;
    for (auto const& each : two->arrivals) {
      std::size_t number = 0;
      for (std::size_t k = 0; k < 4; ++k) number |= static_cast<std::size_t>(each.what[k]) << 8 * k;
      numbers.push_back(number);
    }
    return numbers;
  }

  world all;
  probe* one = nullptr;
  probe* two = nullptr;
  link_id cable = 0;
};

}  // namespace morgana::sim::testing
