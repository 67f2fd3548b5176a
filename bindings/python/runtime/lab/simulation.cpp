#include "simulation.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "state.hpp"

namespace morgana::python {
namespace {

/// How often this process is a copy of another: a simulation knows by it that it is in the wrong one.
std::atomic<std::uint64_t> forks = 0;
void count_fork() {
  forks.fetch_add(1, std::memory_order_relaxed);
}

/// All guests of a process belong to one thread (sim/guest.hpp).
struct {
  std::atomic<std::uint64_t> worlds = 0;
  pthread_t thread{};
} guests;

bool take_guests(bool& has) {
  if (has) return true;
  if (guests.worlds.load() != 0 && ::pthread_equal(guests.thread, ::pthread_self()) == 0) return false;
  guests.thread = ::pthread_self();
  guests.worlds.fetch_add(1);
  has = true;
  return true;
}

constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t frame_bytes_max = 65'535 + 18;
constexpr duration length_max = 365 * 24h;

answer<> check_frame(std::string_view bytes) {
  if (bytes.size() >= ethernet_bytes && bytes.size() <= frame_bytes_max) return {};
  return bad_value("a frame has " + std::to_string(ethernet_bytes) + " to " + std::to_string(frame_bytes_max) +
                   " bytes, this one " + std::to_string(bytes.size()));
}

answer<> check_link(sim::link_settings const& of) {
  for (auto const part : {of.loss_millionths, of.burst_begin_millionths, of.burst_end_millionths,
                          of.burst_loss_millionths, of.duplicate_millionths, of.reorder_millionths,
                          of.corrupt_millionths}) {
    if (part > 1'000'000) return bad_value("a share of a link's frames lies between 0 and 1");
  }
  for (auto const length : {of.delay, of.delay_extra, of.codel_target, of.codel_interval, of.reorder_delay,
                            of.up_for, of.down_for}) {
    if (length < 0ns || length > length_max) return bad_value("a link's times lie between 0 and a year");
  }
  return {};
}

}  // namespace

simulation::simulation(std::uint64_t seed) : seed_(seed), self_(std::make_unique<state>(seed)) {
  static bool const watched = ::pthread_atfork(nullptr, nullptr, count_fork) == 0;
  (void)watched;
  self_->fork = forks.load(std::memory_order_relaxed);
  self_->world.watch(*self_);
}

simulation::~simulation() {
  if (self_ && self_->has_guests) guests.worlds.fetch_sub(1);
}

answer<> simulation::usable() const {
  if (!self_) return wrong_use("this simulation is closed");
  if (self_->by_itself) {
    if (self_->by_itself->is_own_thread()) return wrong_use("this simulation is running");
  } else if (::pthread_equal(self_->owner, ::pthread_self()) == 0) {
    return wrong_use("this simulation belongs to the thread that made it");
  }
  if (self_->fork != forks.load(std::memory_order_relaxed)) {
    return wrong_use("this simulation belongs to the process that made it; make one after the fork");
  }
  if (self_->is_running) return wrong_use("this simulation is running");
  return {};
}

answer<> simulation::close() {
  if (!self_) return {};
  if (auto const ok = usable(); !ok) return ok;
  if (self_->has_guests) guests.worlds.fetch_sub(1);
  self_.reset();
  return {};
}

// ---- finding -------------------------------------------------------------------------------------------

answer<member*> simulation::state::find(node_number which) const {
  if (which < members.size()) return members[which].get();
  return bad_value("there is no node of number " + std::to_string(which));
}

answer<stack_host*> simulation::state::host(node_number which, bool must_be_connected) {
  auto const found = find(which);
  if (!found) return std::unexpected(found.error());
  auto& one = **found;
  if (one.is != member::kind::stack) return wrong_use(one.name + " is no host with a stack of this process");
  if (one.stack == nullptr) {
    return std::unexpected(problem{problem::kind::connection, ENETDOWN, one.name + " has no power"});
  }
  one.stack->enter(world.local_now(which));
  if (!one.stack->broken().empty()) return bad_value(one.name + ": " + one.stack->broken() + "\n" + one.stack->log());
  if (must_be_connected && one.stack->network() == nullptr) {
    return wrong_use(one.name + " has no address yet: await its configured() first");
  }
  return one.stack;
}

void simulation::state::on_ran(sim::node_id which, instant) {
  if (!has_guests || which >= members.size() || members[which]->guest == nullptr) return;
  auto& one = *members[which];
  auto const size = one.guest->console().size();
  if (size == one.console_seen && !one.guest->host().has_ended()) return;
  one.console_seen = size;
  told = true;
}

#define MORGANA_USABLE() \
  if (auto const ok = usable(); !ok) return std::unexpected(ok.error())
#define MORGANA_FIND(name, which)                              \
  MORGANA_USABLE();                                            \
  auto const name##_found = self_->find(which);                \
  if (!name##_found) return std::unexpected(name##_found.error()); \
  auto& name = **name##_found

answer<instant> simulation::now() const {
  MORGANA_USABLE();
  if (self_->by_itself) return std::max(self_->by_itself->now(), self_->world.now());
  return self_->world.now();
}
answer<std::uint64_t> simulation::trace_hash() const {
  MORGANA_USABLE();
  return self_->world.trace_hash();
}
answer<std::uint64_t> simulation::frames_sent() const {
  MORGANA_USABLE();
  return self_->world.frames_sent();
}
answer<std::uint64_t> simulation::events() const {
  MORGANA_USABLE();
  return self_->world.events();
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
  sim::guest_node_settings settings{.guest = {.name = of.name,
                                              .arguments = of.arguments,
                                              .memory_bytes = of.memory_bytes,
                                              .replay = of.replay}};
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
  if (of.networks.size() > 64 || of.disks.size() > 64) return bad_value("a guest has at most 64 networks and disks");
  for (auto const& one : of.disks) {
    auto const sector = one.sector_bytes;
    if (sector < 512 || sector > 65'536 || (sector & (sector - 1)) != 0 || one.bytes.size() % sector != 0) {
      return bad_value("disk " + one.name + ": sectors are a power of two from 512 to 65536 bytes, and disks whole ones");
    }
  }
  for (auto const& one : of.networks) {
    if (!one.mac.empty() && !net::mac_address::parse(one.mac)) return bad_value("\"" + one.mac + "\" is no Ethernet address");
    if (one.mtu_bytes < 68 || one.mtu_bytes > 65'535) return bad_value("an MTU is 68 to 65535 bytes");
  }
  if (of.replay.empty()) of.replay = "seed " + std::to_string(seed_);
  if (!take_guests(self_->has_guests)) return wrong_use("guests of this process belong to another thread");
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
    if (!to || from.port >= ports.size()) return bad_value("a route leads to \"10.0.0.0/8\" through a port that is there");
    sim::router_route made{.to = *to, .port = from.port, .gateway = {}};
    if (!from.gateway.empty()) {
      made.gateway = net::ip_address::parse(from.gateway);
      if (!made.gateway) return bad_value("\"" + from.gateway + "\" is no IP address");
    }
    routes.push_back(made);
  }
  if (of.translates_at && *of.translates_at >= ports.size()) return bad_value("there is no port to translate at");
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
  auto const small = [&](std::size_t at) { return static_cast<std::uint16_t>(std::min<std::uint64_t>(number(at), 65'535)); };
  auto const random = self_->world.random(name);
  member made(member::kind::box, name, 2);
  std::unique_ptr<sim::node> node;
  if (of.kind == "strip_option") {
    if (number(0) < 2 || number(0) > 255) return bad_value("kinds of TCP options that can be stripped are 2 to 255");
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
      node = std::make_unique<sim::segment_coalescer>(number(0), duration(std::min<std::uint64_t>(number(1), 10'000'000'000)));
    }
  } else if (of.kind == "reset") {
    auto const share = static_cast<std::uint32_t>(std::min<std::uint64_t>(number(0), 1'000'000));
    auto const aim = number(1) == 0 ? sim::reset_injector::aim::exact : sim::reset_injector::aim::within_window;
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
    if (taken[one->port]) return wrong_use((*found)->name + " has a cable at port " + std::to_string(one->port));
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

#define MORGANA_CABLE(name, which)                                                                         \
  MORGANA_USABLE();                                                                                        \
  if (which >= self_->cables.size()) return bad_value("there is no cable of number " + std::to_string(which)); \
  auto const& name = self_->cables[which]

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
  bool const is_running = found.stack != nullptr || (found.guest != nullptr && !found.guest->host().has_ended());
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

// ---- running -------------------------------------------------------------------------------------------

answer<stopped_by> simulation::run(instant end, bool told, std::function<bool()> const& interrupted) {
  MORGANA_USABLE();
  using clock = std::chrono::steady_clock;
  constexpr std::uint32_t events_between_looks = 256;
  auto& all = *self_;
  if (all.by_itself) return wait(end, told, interrupted);
  all.is_running = true;
  std::uint32_t events = 0;
  bool was_interrupted = false;
  all.told = all.filter_failed = false;
  auto looked = clock::now();
  bool const stopped = all.world.run_until(
      [&] {
        all.world_now = all.world.now();
        if (!all.finished.empty() || (told && all.told) || all.filter_failed) return true;
        if (interrupted && ++events % events_between_looks == 0 && clock::now() - looked > 10ms) {
          was_interrupted = interrupted();
          looked = clock::now();
        }
        return was_interrupted;
      },
      end);
  if (!stopped && end != never && all.world.problem().empty()) all.world.run_until(end);
  all.world_now = all.world.now();
  all.is_running = false;
  if (!all.world.problem().empty()) return wrong_use("the world stopped: " + all.world.problem());
  if (was_interrupted || all.filter_failed) return stopped_by::interrupted;
  if (stopped) return all.finished.empty() ? stopped_by::told : stopped_by::outcome;
  return end == never ? stopped_by::idle : stopped_by::time;
}

answer<stopped_by> simulation::wait(instant end, bool told, std::function<bool()> const& interrupted) {
  auto& all = *self_;
  std::unique_lock held(all.by_itself->turn, std::adopt_lock);
  auto const look = [&]() -> std::optional<stopped_by> {
    if (!all.finished.empty()) return stopped_by::outcome;
    if (told && std::exchange(all.told, false)) return stopped_by::told;
    if (all.filter_failed) return stopped_by::interrupted;
    if (all.by_itself->now() >= end) return stopped_by::time;
    return std::nullopt;
  };
  std::optional<stopped_by> ended;
  while (!(ended = look()) && all.world.problem().empty()) {
    all.by_itself->changed();
    all.holder = std::thread::id();
    all.by_itself->wait(held, std::clamp<duration>(end - all.by_itself->now(), 1us, 20ms));
    held.unlock();
    bool const stop = interrupted && interrupted();
    held.lock();
    all.holder = std::this_thread::get_id();
    if (stop) ended = stopped_by::interrupted;
    if (ended) break;
  }
  (void)held.release();
  if (!all.world.problem().empty()) return wrong_use("the world stopped: " + all.world.problem());
  return *ended;
}

answer<node_number> simulation::add_descriptor(std::string const& name, int descriptor) {
  MORGANA_USABLE();
  auto node = descriptor_node::open(descriptor);
  if (!node) return bad_value("descriptor " + std::to_string(descriptor) + " is no socket of messages (SOCK_SEQPACKET, SOCK_DGRAM)");
  member made(member::kind::descriptor, name, 1);
  made.descriptor = node.get();
  auto* const kept = node.get();
  auto const number = self_->add(std::move(made), std::move(node));
  if (number && self_->by_itself) self_->by_itself->add(*number, *kept);
  return number;
}

answer<> simulation::run_in_real_time() {
  MORGANA_USABLE();
  if (self_->by_itself) return wrong_use("this simulation runs in real time already");
  auto& all = *self_;
  all.by_itself = std::make_unique<real_time>(all.world, [&all] {
    all.world_now = all.world.now();
    return !all.finished.empty() || all.told || all.filter_failed || all.world.stopped();
  });
  for (std::size_t i = 0; i < all.members.size(); ++i) {
    if (all.members[i]->descriptor != nullptr) all.by_itself->add(static_cast<node_number>(i), *all.members[i]->descriptor);
  }
  all.by_itself->start();
  return {};
}

bool simulation::is_in_real_time() const {
  return self_ && self_->by_itself;
}

bool simulation::lock(bool try_only) {
  auto& by = *self_->by_itself;
  if (by.is_own_thread() || self_->holder.load() == std::this_thread::get_id()) return false;
  if (!try_only) {
    by.turn.lock();
  } else if (!by.turn.try_lock()) {
    return false;
  }
  self_->holder = std::this_thread::get_id();
  // What is called is called now, not when something happened last.
  self_->is_running = true;
  self_->world.run_until(by.now());
  self_->is_running = false;
  self_->world_now = self_->world.now();
  return true;
}

bool simulation::is_held_here() const {
  return self_->by_itself->is_own_thread() || self_->holder.load() == std::this_thread::get_id();
}

void simulation::unlock() {
  if (!self_) return;
  self_->holder = std::thread::id();
  self_->by_itself->changed();
  self_->by_itself->turn.unlock();
}

void simulation::stop_real_time() {
  if (is_in_real_time()) self_->by_itself->stop();
}

std::vector<outcome> simulation::take_finished() {
  if (!usable()) return {};
  auto all = std::exchange(self_->finished, {});
  for (auto const& one : all) {
    auto const at = self_->operation_at.find(one.operation);
    if (at == self_->operation_at.end()) continue;
    if (auto* const host = self_->members[at->second]->stack) host->forget(one.operation);
    self_->operation_at.erase(at);
  }
  return all;
}

answer<> simulation::cancel(operation which) {
  MORGANA_USABLE();
  auto const at = self_->operation_at.find(which);
  if (at == self_->operation_at.end()) return {};
  auto& on = *self_->members[at->second];
  if (on.stack != nullptr) on.stack->forget(which);
  if (on.raw != nullptr) on.raw->forget(which);
  std::erase_if(self_->finished, [&](outcome const& one) { return one.operation == which; });
  auto const node = at->second;
  self_->operation_at.erase(at);
  self_->world.touch(node);
  return {};
}

// ---- frames --------------------------------------------------------------------------------------------

answer<> simulation::send_frame(node_number which, std::size_t port, std::string_view bytes) {
  MORGANA_FIND(found, which);
  if (found.raw == nullptr) return wrong_use(found.name + " is no port of frames");
  if (port >= found.ports) return bad_value(found.name + " has no port " + std::to_string(port));
  if (auto const ok = check_frame(bytes); !ok) return ok;
  found.raw->send(port, frame_of(bytes));
  self_->world.touch(which);
  return {};
}

answer<> simulation::inject(node_number which, std::size_t port, std::string_view bytes) {
  MORGANA_FIND(found, which);
  if (port >= found.ports || (found.hub != nullptr && port >= found.hub->used())) {
    return bad_value(found.name + " has no port " + std::to_string(port));
  }
  if (auto const ok = check_frame(bytes); !ok) return ok;
  auto* const node = self_->world.find(which);
  if (node == nullptr) return wrong_use(found.name + " has no power");
  auto made = frame_of(bytes);
  self_->is_running = true;  // a filter may call
  node->receive(port, made, self_->world.local_now(which));
  self_->is_running = false;
  self_->world.touch(which);
  return {};
}

answer<operation> simulation::fetch_frame(node_number which) {
  MORGANA_FIND(found, which);
  if (found.raw == nullptr) return wrong_use(found.name + " is no port of frames");
  auto const number = ++self_->operations;
  self_->operation_at[number] = which;
  found.raw->fetch(number);
  return number;
}

answer<std::vector<arrival>> simulation::take_frames(node_number which) {
  MORGANA_FIND(found, which);
  if (found.raw == nullptr) return wrong_use(found.name + " is no port of frames");
  return found.raw->take();
}

answer<node_number> simulation::add_filter(std::string const& name, filter pass) {
  MORGANA_USABLE();
  member made(member::kind::box, name, 2);
  return self_->add(std::move(made), std::make_unique<filter_node>(std::move(pass), self_->filter_failed));
}

// ---- captures ------------------------------------------------------------------------------------------

#define MORGANA_CAPTURE(name, which)                                                                            \
  MORGANA_USABLE();                                                                                             \
  if (which >= self_->captures.size()) return bad_value("there is no capture of number " + std::to_string(which)); \
  auto& name = *self_->captures[which]

answer<std::uint32_t> simulation::begin_capture(std::size_t bytes) {
  MORGANA_USABLE();
  if (self_->captures.size() >= captures_max) return wrong_use("a simulation has at most 64 captures");
  self_->captures.push_back(std::make_unique<capture>(std::min<std::uint64_t>(bytes, bytes_max)));
  self_->world.watch(*self_->captures.back());
  return static_cast<std::uint32_t>(self_->captures.size() - 1);
}

answer<> simulation::capture_node(std::uint32_t which, node_number node) {
  MORGANA_CAPTURE(on, which);
  auto const found = self_->find(node);
  if (!found) return std::unexpected(found.error());
  on.take(node, (*found)->name);
  return {};
}

answer<> simulation::stop_capture(std::uint32_t which) {
  MORGANA_CAPTURE(on, which);
  on.stop();
  return {};
}

answer<std::string> simulation::pcapng(std::uint32_t which) const {
  MORGANA_CAPTURE(on, which);
  return on.pcapng();
}

answer<std::vector<captured>> simulation::frames(std::uint32_t which, std::size_t first) const {
  MORGANA_CAPTURE(on, which);
  std::vector<captured> made;
  for (auto i = first; i < on.records().size(); ++i) {
    auto const& one = on.records()[i];
    made.push_back({one.at, one.interface, one.is_sent, std::string(on.frame(one))});
  }
  return made;
}

answer<std::vector<std::string>> simulation::interfaces(std::uint32_t which) const {
  MORGANA_CAPTURE(on, which);
  return on.interfaces();
}

answer<std::uint64_t> simulation::capture_dropped(std::uint32_t which) const {
  MORGANA_CAPTURE(on, which);
  return on.dropped();
}

// ---- guests --------------------------------------------------------------------------------------------

answer<guest_state> simulation::guest(node_number which) const {
  MORGANA_FIND(found, which);
  if (found.is != member::kind::guest) return wrong_use(found.name + " is no guest");
  guest_state made;
  if (found.guest == nullptr) return made;
  auto const& one = found.guest->host();
  made.has_power = true;
  made.has_ended = one.has_ended();
  made.dropped_frames = found.guest->dropped_frames();
  auto const memory = one.memory();
  made.heap_bytes = memory.heap_bytes;
  made.heap_bytes_max = memory.heap_bytes_max;
  made.private_bytes = memory.private_bytes;
  if (!made.has_ended) return made;
  made.status = one.end().status;
  made.report = one.end().report;
  switch (one.end().how) {
    case sim::guest_ending::finished:
      made.how = "finished";
      break;
    case sim::guest_ending::crashed:
      made.how = "crashed";
      break;
    case sim::guest_ending::out_of_memory:
      made.how = "out of memory";
      break;
    case sim::guest_ending::hung:
      made.how = "hung";
      break;
  }
  return made;
}

answer<std::string> simulation::console(node_number which, std::size_t from) const {
  MORGANA_FIND(found, which);
  if (found.is != member::kind::guest) return wrong_use(found.name + " is no guest");
  if (found.guest == nullptr) return std::string();
  auto const& all = found.guest->console();
  return all.substr(std::min(from, all.size()));
}

answer<> simulation::request_stop(node_number which) {
  MORGANA_FIND(found, which);
  if (found.guest == nullptr) return wrong_use(found.name + " is no guest with power");
  found.guest->request_stop();
  self_->world.touch(which);
  return {};
}

}  // namespace morgana::python
