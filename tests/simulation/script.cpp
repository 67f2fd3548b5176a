#include "script.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace morgana::simulation {

namespace {
constexpr std::uint32_t fragmented_from = 1'200;
constexpr std::size_t datagram_head_bytes = 8;  // number of the flow, number within it
}  // namespace

net::ip_address address_of(plan const& all, std::uint32_t host, bool is_v6) {
  auto const last = static_cast<std::uint8_t>(host + 1);
  auto const site = static_cast<std::uint8_t>(all.hosts[host].site);
  if (!is_v6) return net::ipv4_address{{10, 0, site, last}};
  return net::ipv6_address{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, site, 0, 0, 0, 0, 0, 0, 0, last}};
}

registry::registry(sim::world& all, plan const& chosen) : world(all), planned(chosen) {
  conversations.resize(chosen.conversations.size());
  for (std::size_t i = 0; i < conversations.size(); ++i) conversations[i].planned = &chosen.conversations[i];
  datagrams.resize(chosen.datagrams.size());
  for (std::size_t i = 0; i < datagrams.size(); ++i) datagrams[i].planned = &chosen.datagrams[i];
}

conversation* registry::find(std::uint32_t number) {
  auto const found =
      std::ranges::find(conversations, number, [](auto const& one) { return one.planned->number; });
  return found == conversations.end() ? nullptr : &*found;
}

void registry::violated(std::string_view host, std::string const& what) {
  if (violation.empty()) violation = std::string(host) + ": " + what;
  world.stop();
}

script::script(registry& all, std::uint32_t host, sim::core_host& on) : all_(all), number_(host), host_(on) {}

void script::start(instant now) {
  auto& stack = host_.stack();
  auto listening = stack.tcp().listen({.port = port});
  auto bound = stack.bind({net::ip_address(net::ipv6_address{}), datagram_port});
  if (!listening || !bound) return violated("a fresh host has no ports", nullptr);
  listener_ = *listening;
  listener_->options() = all_.planned.hosts[number_].accepted;
  datagrams_ = *bound;
  (void)now;
}

void script::violated(std::string const& what, talker const* who) {
  auto text = what;
  if (who != nullptr && who->about() != nullptr) {
    text = "conversation c" + std::to_string(who->about()->planned->number) + ", side " +
           std::to_string(who->side()) + ": " + what;
  }
  all_.violated("h" + std::to_string(number_), text);
}

void script::connect(conversation& which, std::size_t side, instant now) {
  auto const& planned = *which.planned;
  auto const peer = planned.hosts[1 - side];
  auto& tcp = host_.stack().tcp();
  auto const to = address_of(all_.planned, peer, planned.is_v6);
  auto const own = static_cast<std::uint16_t>(simultaneous_port + planned.number);
  auto made = planned.is_simultaneous ? tcp.connect({address_of(all_.planned, number_, planned.is_v6), own},
                                                    {to, own}, planned.settings, now)
                                      : tcp.connect({to, port}, planned.settings, now);
  if (!made) {
    which.sides[side].outcome = outcome::failed;
    which.sides[side].error = static_cast<net::net_error>(made.error().code());
    which.sides[side].ended_at = all_.world.now();
    return;
  }
  talkers_.push_back(std::make_unique<talker>(all_.planned.seed, **made, &which, side, host_.buffers()));
  (*made)->user = talkers_.back().get();
  talkers_.back()->set_directory(all_);
}

void script::advance(talker& who, std::uint8_t ready, instant now) {
  if (auto wrong = who.advance(ready, now); !wrong.empty()) violated(wrong, &who);
  if (who.about() == nullptr) return;
  auto& report = who.about()->sides[who.side()];
  if (report.outcome > outcome::talking) report.ended_at = std::min(report.ended_at, all_.world.now());
}

void script::on_event(net::core::event const& what, instant now) {
  if (what.listener != nullptr) {
    while (auto* const one = listener_ == nullptr ? nullptr : listener_->accept()) {
      talkers_.push_back(std::make_unique<talker>(all_.planned.seed, *one, nullptr, 1, host_.buffers()));
      one->user = talkers_.back().get();
      talkers_.back()->set_directory(all_);
    }
  }
  if (what.connection != nullptr && what.connection->user != nullptr) {
    advance(*static_cast<talker*>(what.connection->user), what.ready, now);
  }
  if (what.port != nullptr) receive_datagrams(now);
}

instant script::next_time() const {
  auto next = never;
  for (auto const& one : talkers_) next = std::min(next, one->next_time());
  return next;
}

void script::on_time(instant now) {
  for (std::size_t i = 0; i < talkers_.size(); ++i) {
    if (talkers_[i]->next_time() <= now) advance(*talkers_[i], 0, now);
  }
}

void script::send_datagram(datagram_flow& flow, std::uint32_t number, instant now) {
  auto const& planned = *flow.planned;
  std::vector<std::byte> bytes(planned.bytes);
  stream_content(all_.planned.seed, planned.number, 2).fill(std::uint64_t{number} * 32'768, bytes);
  std::memcpy(bytes.data(), &planned.number, 4);
  std::memcpy(bytes.data() + 4, &number, 4);
  auto const sent = datagrams_->send(
      bytes, {address_of(all_.planned, planned.hosts[1], planned.is_v6), datagram_port}, now);
  if (sent) ++flow.sent;
}

void script::receive_datagrams(instant) {
  std::array<std::byte, 32'768> into;
  for (;;) {
    auto const got = datagrams_->receive(into);
    if (!got) continue;  // an ICMP error, told once
    if (!*got) return;
    if ((*got)->size < datagram_head_bytes) return violated("a datagram that nobody sent", nullptr);
    std::uint32_t flow, number;
    std::memcpy(&flow, into.data(), 4);
    std::memcpy(&number, into.data() + 4, 4);
    auto const found =
        std::ranges::find(all_.datagrams, flow, [](auto const& one) { return one.planned->number; });
    if (found == all_.datagrams.end() || found->planned->hosts[1] != number_ ||
        (*got)->size != found->planned->bytes) {
      return violated("a datagram that nobody sent so", nullptr);
    }
    auto const body = std::span(into).subspan(datagram_head_bytes, (*got)->size - datagram_head_bytes);
    stream_content const expected(all_.planned.seed, flow, 2);
    // Two of its fragments may be corrupted so that the one checksum over all does not see it.
    bool const is_sure = found->planned->bytes < fragmented_from || !all_.planned.has(fault_kind::corruption);
    if (is_sure && expected.difference(std::uint64_t{number} * 32'768 + datagram_head_bytes, body)) {
      return violated("a datagram's bytes are wrong", nullptr);
    }
    ++found->arrived;
  }
}

void script::check(instant now) {
  for (std::size_t i = 0; i < talkers_.size(); ++i) {
    auto& one = *talkers_[i];
    if (auto wrong = one.check(now); !wrong.empty()) return violated(wrong, &one);
    if (one.is_released()) continue;
    for (std::size_t k = 0; k < i; ++k) {
      auto const& other = *talkers_[k];
      if (other.is_released()) continue;
      auto const is_open = [](net::tcp::connection const& c) {
        return c.state() != net::tcp::state::closed && c.state() != net::tcp::state::time_wait;
      };
      if (is_open(*one.handle()) && is_open(*other.handle()) &&
          one.handle()->local() == other.handle()->local() &&
          one.handle()->peer() == other.handle()->peer()) {
        return violated("two connections have the same ports and addresses", &one);
      }
    }
  }
  std::erase_if(talkers_, [](auto const& one) { return one->is_released(); });
}

bool script::is_idle() const {
  return talkers_.empty();
}

void script::crash() {
  for (auto& one : talkers_) {
    if (one->is_released()) continue;
    one->crash();
    if (one->about() == nullptr) continue;
    auto& report = one->about()->sides[one->side()];
    report.ended_at = std::min(report.ended_at, all_.world.now());
  }
  talkers_.clear();
  listener_ = nullptr;
  datagrams_ = nullptr;
}

void script::give_up_rest(instant now) {
  for (auto& one : talkers_) {
    if (one->is_released()) continue;
    one->handle()->abort(now);
    one->give_up(now);
  }
}

void script::stop_listening(instant now) {
  if (listener_ != nullptr) listener_->release(now);
  if (datagrams_ != nullptr) datagrams_->release();
  listener_ = nullptr;
  datagrams_ = nullptr;
}

}  // namespace morgana::simulation
