// Nodes and cables: what a world is built of, and what may befall it.
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>

#include "checks.hpp"
#include "state.hpp"

namespace morgana::python {
namespace {

/// All guests of a process belong to one thread (sim/guest.hpp).
struct {
  std::atomic<std::uint64_t> worlds = 0;
  pthread_t thread{};
} guests;

constexpr duration length_max = 365 * 24h;

answer<> check_link(sim::link_settings const& of) {
  for (auto const part :
       {of.loss_millionths, of.burst_begin_millionths, of.burst_end_millionths, of.burst_loss_millionths,
        of.duplicate_millionths, of.reorder_millionths, of.corrupt_millionths}) {
    if (part > 1'000'000) return bad_value("a share of a link's frames lies between 0 and 1");
  }
  for (auto const length : {of.delay, of.delay_extra, of.codel_target, of.codel_interval, of.reorder_delay,
                            of.up_for, of.down_for}) {
    if (length < 0ns || length > length_max) return bad_value("a link's times lie between 0 and a year");
  }
  return {};
}

}  // namespace

bool guest_right::take() {
  if (has_) return true;
  if (guests.worlds.load() != 0 && ::pthread_equal(guests.thread, ::pthread_self()) == 0) return false;
  guests.thread = ::pthread_self();
  guests.worlds.fetch_add(1);
  return has_ = true;
}

guest_right::~guest_right() {
  if (has_) guests.worlds.fetch_sub(1);
}

// ---- building ------------------------------------------------------------------------------------------

std::array<std::uint8_t, 6> simulation::state::mac_for(std::string_view name) const {
  auto drawn = world.random(std::string(name) + " interface").next();
  std::array<std::uint8_t, 6> made{};
  for (auto& byte : made) byte = static_cast<std::uint8_t>(drawn & 0xff), drawn >>= 8;
  made[0] = static_cast<std::uint8_t>((made[0] & 0xfc) | 2);  // locally administered, to one station
  return made;
}

answer<node_number> simulation::state::add(member made, std::unique_ptr<sim::node> node) {
  if (members.size() >= nodes_max) return wrong_use("a simulation has at most 65536 nodes");
  if (made.name.empty()) return bad_value("a node has a name");
  for (auto const& one : members) {
    if (one->name == made.name) return bad_value("there is a node " + made.name + " already");
  }
  made.taken_ports.resize(made.ports);
  auto const number = world.add(made.name, std::move(node));
  members.push_back(std::make_unique<member>(std::move(made)));
  return number;
}

answer<std::unique_ptr<sim::node>> simulation::state::power_on(member& which) {
  auto const random = world.random(which.name).fork("boot", which.boots++);
  if (which.is == member::kind::stack) {
    auto made = std::make_unique<stack_host>(which.of_stack, random, finished);
    made->begin(world.now());
    if (!made->broken().empty()) {
      return bad_value(which.name + ": " + made->broken() + "\n" + made->log());
    }
    which.stack = made.get();
    return made;
  }
  auto const& of = which.of_guest;
  sim::guest_node_settings settings{
      .guest = {
          .name = of.name, .arguments = of.arguments, .memory_bytes = of.memory_bytes, .replay = of.replay}};
  for (auto const& one : of.networks) {
    auto const mac = net::mac_address::parse(one.mac);
    settings.networks.push_back({.name = one.name,
                                 .address = mac ? mac->bytes : mac_for(which.name + " " + one.name),
                                 .mtu_bytes = one.mtu_bytes});
  }
  for (auto const& one : of.disks) {
    auto const bytes = std::as_bytes(std::span(one.bytes));
    settings.disks.push_back({.name = one.name,
                              .bytes = {bytes.begin(), bytes.end()},
                              .sector_bytes = one.sector_bytes,
                              .read_only = one.read_only});
  }
  auto made = sim::guest_node::load(which.image, std::move(settings), random);
  if (!made) return bad_value(which.name + ": " + made.error());
  which.guest = made->get();
  return std::unique_ptr<sim::node>(std::move(*made));
}

answer<node_number> simulation::add_stack(stack_description const& of) {
  MORGANA_USABLE();
  member made(member::kind::stack, of.name, 1);
  made.of_stack = {of.name, {self_->mac_for(of.name)}, of.offloads, of.options};
  if (!of.mac.empty()) {
    auto const mac = net::mac_address::parse(of.mac);
    if (!mac) return bad_value("\"" + of.mac + "\" is no Ethernet address");
    made.of_stack.mac = *mac;
  }
  auto node = self_->power_on(made);
  if (!node) return std::unexpected(node.error());
  return self_->add(std::move(made), std::move(*node));
}

answer<node_number> simulation::add_guest(guest_description of) {
  MORGANA_USABLE();
  if (of.memory_bytes > 3 * bytes_max || of.memory_bytes < 64 * 1024) {
    return bad_value("a guest has 64 KiB to 3 GiB of memory");
  }
  if (of.networks.size() > 64 || of.disks.size() > 64)
    return bad_value("a guest has at most 64 networks and disks");
  for (auto const& one : of.disks) {
    auto const sector = one.sector_bytes;
    if (sector < 512 || sector > 65'536 || (sector & (sector - 1)) != 0 || one.bytes.size() % sector != 0) {
      return bad_value("disk " + one.name +
                       ": sectors are a power of two from 512 to 65536 bytes, and disks whole ones");
    }
  }
  for (auto const& one : of.networks) {
    if (!one.mac.empty() && !net::mac_address::parse(one.mac))
      return bad_value("\"" + one.mac + "\" is no Ethernet address");
    if (one.mtu_bytes < 68 || one.mtu_bytes > 65'535) return bad_value("an MTU is 68 to 65535 bytes");
  }
  if (of.replay.empty()) of.replay = "seed " + std::to_string(seed_);
  if (self_->by_itself) return wrong_use("guests have virtual time: this simulation runs in real time");
  if (!self_->guests.take()) return wrong_use("guests of this process belong to another thread");
  auto opened = sim::image::open(of.image);
  if (!opened) return bad_value(opened.error());
  member made(member::kind::guest, of.name, 1);
  made.ports = static_cast<std::uint32_t>(of.networks.size());
  made.image = *std::move(opened);
  made.of_guest = std::move(of);
  auto node = self_->power_on(made);
  if (!node) return std::unexpected(node.error());
  return self_->add(std::move(made), std::move(*node));
}

answer<node_number> simulation::add_raw(std::string const& name, std::size_t ports, std::string const& mac,
                                        std::vector<std::string> const& addresses) {
  MORGANA_USABLE();
  if (ports == 0 || ports > 64) return bad_value("a node has 1 to 64 ports of frames");
  net::mac_address own{self_->mac_for(name)};
  if (!mac.empty()) {
    auto const parsed = net::mac_address::parse(mac);
    if (!parsed) return bad_value("\"" + mac + "\" is no Ethernet address");
    own = *parsed;
  }
  std::vector<net::ip_address> all;
  for (auto const& text : addresses) {
    auto const one = net::ip_address::parse(text);
    if (!one) return bad_value("\"" + text + "\" is no IP address");
    all.push_back(*one);
  }
  auto node = std::make_unique<raw_node>(ports, own, std::move(all), self_->finished);
  node->world_now = &self_->world_now;
  node->told = &self_->told;
  member made(member::kind::raw, name, static_cast<std::uint32_t>(ports));
  made.raw = node.get();
  made.of_stack.mac = own;
  return self_->add(std::move(made), std::move(node));
}

answer<node_number> simulation::add_hub(std::string const& name) {
  MORGANA_USABLE();
  auto node = std::make_unique<hub>();
  member made(member::kind::hub, name, hub::ports_max);
  made.hub = node.get();
  return self_->add(std::move(made), std::move(node));
}

answer<node_number> simulation::add_router(router_description const& of) {
  MORGANA_USABLE();
  if (of.ports.empty() || of.ports.size() > 64) return bad_value("a router has 1 to 64 ports");
  std::vector<sim::router_port> ports;
  for (std::size_t i = 0; i < of.ports.size(); ++i) {
    auto const& from = of.ports[i];
    sim::router_port made{.mac = self_->mac_for(of.name + " " + std::to_string(i)), .v4 = {}, .v6 = {}};
    for (auto const* text : {&from.v4, &from.v6}) {
      if (text->empty()) continue;
      auto const parsed = net::cidr::parse(*text);
      if (!parsed || parsed->address.is_v6() != (text == &from.v6)) {
        return bad_value("\"" + *text + "\" is no address with its prefix, of that family");
      }
      (text == &from.v6 ? made.v6 : made.v4) = *parsed;
    }
    if (from.mtu_bytes < 68 || from.mtu_bytes > 65'535) return bad_value("an MTU is 68 to 65535 bytes");
    made.mtu_bytes = from.mtu_bytes;
    ports.push_back(made);
  }
  std::vector<sim::router_route> routes;
  for (auto const& from : of.routes) {
    auto const to = net::cidr::parse(from.to);
    if (!to || from.port >= ports.size())
      return bad_value("a route leads to \"10.0.0.0/8\" through a port that is there");
    sim::router_route made{.to = *to, .port = from.port, .gateway = {}};
    if (!from.gateway.empty()) {
      made.gateway = net::ip_address::parse(from.gateway);
      if (!made.gateway) return bad_value("\"" + from.gateway + "\" is no IP address");
    }
    routes.push_back(made);
  }
  if (of.translates_at && *of.translates_at >= ports.size())
    return bad_value("there is no port to translate at");
  auto const outside = of.translates_at ? ports[*of.translates_at].v4 : net::cidr();
  auto node = std::make_unique<sim::router>(std::move(ports), std::move(routes));
  if (of.translates_at) {
    std::uint32_t number = 0;
    for (auto const byte : outside.address.v4().bytes) number = number << 8 | byte;
    node->translate_at(*of.translates_at, {.address = number});
  }
  member made(member::kind::router, of.name, static_cast<std::uint32_t>(of.ports.size()));
  made.router = node.get();
  return self_->add(std::move(made), std::move(node));
}

answer<node_number> simulation::add_box(std::string const& name, box_description const& of) {
  MORGANA_USABLE();
  auto const number = [&](std::size_t at) { return at < of.numbers.size() ? of.numbers[at] : 0; };
  auto const small = [&](std::size_t at) {
    return static_cast<std::uint16_t>(std::min<std::uint64_t>(number(at), 65'535));
  };
  auto const random = self_->world.random(name);
  member made(member::kind::box, name, 2);
  std::unique_ptr<sim::node> node;
  if (of.kind == "strip_option") {
    if (number(0) < 2 || number(0) > 255)
      return bad_value("kinds of TCP options that can be stripped are 2 to 255");
    node.reset(new sim::option_stripper({static_cast<std::uint8_t>(number(0))}));
  } else if (of.kind == "clamp_mss") {
    node = std::make_unique<sim::mss_clamper>(small(0));
  } else if (of.kind == "clear_ecn") {
    node = std::make_unique<sim::ecn_bleacher>();
  } else if (of.kind == "split" || of.kind == "coalesce") {
    if (number(0) == 0 || number(0) > 60'000) return bad_value(of.kind + ": 1 to 60000 bytes of payload");
    if (of.kind == "split") {
      node = std::make_unique<sim::segment_splitter>(small(0));
    } else {
      node = std::make_unique<sim::segment_coalescer>(
          number(0), duration(std::min<std::uint64_t>(number(1), 10'000'000'000)));
    }
  } else if (of.kind == "reset") {
    auto const share = static_cast<std::uint32_t>(std::min<std::uint64_t>(number(0), 1'000'000));
    auto const aim =
        number(1) == 0 ? sim::reset_injector::aim::exact : sim::reset_injector::aim::within_window;
    node = std::make_unique<sim::reset_injector>(share, aim, random);
  } else if (of.kind == "translate_ports") {
    auto box = std::make_unique<sim::port_translator>();
    made.translator = box.get();
    node = std::move(box);
  } else if (of.kind == "syn_proxy") {
    node = std::make_unique<sim::syn_proxy>(random);
  } else {
    return bad_value("there is no middlebox \"" + of.kind + "\"");
  }
  return self_->add(std::move(made), std::move(node));
}

// ---- cables --------------------------------------------------------------------------------------------

answer<link_number> simulation::join(end a, end b, sim::link_settings const& from_a,
                                     sim::link_settings const& from_b) {
  MORGANA_USABLE();
  for (auto const& one : {from_a, from_b}) {
    if (auto const ok = check_link(one); !ok) return std::unexpected(ok.error());
  }
  if (a.node == b.node) return bad_value("a cable joins two nodes");
  for (auto* const one : {&a, &b}) {
    auto const found = self_->find(one->node);
    if (!found) return std::unexpected(found.error());
    auto const& taken = (*found)->taken_ports;
    if (one->port == next_port) {
      one->port = 0;
      while (one->port < taken.size() && taken[one->port]) ++one->port;
    }
    if (one->port >= taken.size()) return wrong_use((*found)->name + " has no free port");
    if (taken[one->port])
      return wrong_use((*found)->name + " has a cable at port " + std::to_string(one->port));
  }
  for (auto const& one : {a, b}) {
    auto& on = *self_->members[one.node];
    on.taken_ports[one.port] = true;
    if (on.hub != nullptr) on.hub->use(one.port);
  }
  auto const link = self_->world.join({a.node, a.port}, {b.node, b.port}, from_a, from_b);
  self_->cables.push_back({link, {a.node, b.node}, {a.port, b.port}});
  return static_cast<link_number>(self_->cables.size() - 1);
}

answer<std::uint32_t> simulation::port_of(link_number which, node_number node) const {
  MORGANA_CABLE(cable, which);
  for (std::size_t i = 0; i < 2; ++i) {
    if (cable.ends[i] == node) return cable.ports[i];
  }
  return bad_value("that cable does not end at that node");
}

answer<sim::link_settings> simulation::settings(link_number which, std::size_t side) const {
  MORGANA_CABLE(cable, which);
  return self_->world.settings(cable.link, side & 1);
}

answer<> simulation::set(link_number which, std::size_t side, sim::link_settings const& to) {
  MORGANA_CABLE(cable, which);
  if (auto const ok = check_link(to); !ok) return ok;
  self_->world.set(cable.link, side & 1, to);
  return {};
}

answer<sim::link_counters> simulation::counters(link_number which, std::size_t side) const {
  MORGANA_CABLE(cable, which);
  return self_->world.counters(cable.link, side & 1);
}

answer<> simulation::keep_apart(node_number which, std::uint32_t one, std::uint32_t other, bool apart) {
  MORGANA_FIND(found, which);
  if (found.hub == nullptr) return wrong_use(found.name + " is no switch");
  if (one >= found.hub->used() || other >= found.hub->used()) return bad_value("there is no such port");
  found.hub->keep_apart(one, other, apart);
  return {};
}

answer<> simulation::heal(node_number which) {
  MORGANA_FIND(found, which);
  if (found.hub == nullptr) return wrong_use(found.name + " is no switch");
  found.hub->heal();
  return {};
}

answer<> simulation::rebind(node_number which) {
  MORGANA_FIND(found, which);
  if (found.translator != nullptr) {
    found.translator->rebind();
  } else if (found.router != nullptr && found.router->translator() != nullptr) {
    found.router->translator()->rebind();
  } else {
    return wrong_use(found.name + " translates nothing");
  }
  return {};
}

answer<> simulation::set_clock(node_number which, std::int32_t drift_millionths, duration late_by) {
  MORGANA_FIND(found, which);
  (void)found;
  if (drift_millionths < -500'000 || drift_millionths > 500'000 || late_by < 0ns || late_by > 10s) {
    return bad_value("a clock is wrong by half at most, and late by at most ten seconds");
  }
  self_->world.set_clock(which, {.drift_millionths = drift_millionths, .late_by = late_by});
  return {};
}

answer<> simulation::jump(node_number which, duration ahead) {
  MORGANA_FIND(found, which);
  (void)found;
  if (ahead < 0ns || ahead > length_max) return bad_value("a clock jumps ahead, by a year at most");
  self_->world.jump(which, ahead);
  return {};
}

answer<> simulation::crash(node_number which) {
  MORGANA_FIND(found, which);
  if (found.is != member::kind::stack && found.is != member::kind::guest) {
    return wrong_use(found.name + " has no plug to pull");
  }
  if (found.stack != nullptr) {
    for (auto const number : found.stack->waiting()) {
      problem const why{problem::kind::connection, ENETDOWN, found.name + " lost power"};
      self_->finished.push_back({number, why, {}});
    }
  }
  found.stack = nullptr;
  found.guest = nullptr;
  self_->world.kill(which);
  return {};
}

answer<> simulation::boot(node_number which) {
  MORGANA_FIND(found, which);
  if (found.is != member::kind::stack && found.is != member::kind::guest) {
    return wrong_use(found.name + " cannot be booted");
  }
  bool const is_running =
      found.stack != nullptr || (found.guest != nullptr && !found.guest->host().has_ended());
  if (is_running) return wrong_use(found.name + " runs already");
  found.guest = nullptr;
  auto node = self_->power_on(found);
  if (!node) return std::unexpected(node.error());
  self_->world.replace(which, std::move(*node));
  return {};
}

answer<bool> simulation::has_power(node_number which) const {
  MORGANA_FIND(found, which);
  (void)found;
  return self_->world.find(which) != nullptr;
}

}  // namespace morgana::python
