#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "morgana/sim/capture.hpp"
#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/guest_node.hpp"
#include "process.hpp"
#include "world_file.hpp"

namespace morgana::sim {
namespace {

sig_atomic_t volatile asked_to_stop = 0;
void on_stop(int) {
  asked_to_stop = 1;
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    auto const count = ::write(1, text.data(), text.size());
    if (count <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// A described world that runs: prints what its hosts say, each line with the host's name before it.
class running : public observer {
 public:
  running(world_description const& all, std::uint64_t seed) : all_(all), seed_(seed), world_(seed) {}
  [[nodiscard]] std::string prepare(std::string const& image);
  [[nodiscard]] int run();
  void on_ran(node_id which, instant now) override;

 private:
  struct place {
    node_id node = 0;
    std::shared_ptr<image const> what;
    std::vector<link_id> links;
    guest_node* guest = nullptr;  ///< null while it has no power
    std::size_t said = 0;         ///< bytes of its console that were looked at
    std::string line;             ///< not ended yet
    std::uint32_t boots = 0;
    bool has_ended = false;
  };
  void boot(std::size_t number);
  void crash(std::size_t number);
  void act(world_event const& what);
  void show(std::size_t number);
  void say(std::size_t number, std::string_view text);

  world_description const& all_;
  std::uint64_t seed_;
  world world_;
  std::vector<place> places_;
  std::unique_ptr<capture> capture_;
  std::string problem_;
  int status_ = 0;
};

std::string running::prepare(std::string const& own_image) {
  std::map<std::string, std::shared_ptr<image const>> images;
  std::map<std::string, std::vector<port_id>> segments;
  for (auto const& host : all_.hosts) {
    auto const& path = host.image.empty() ? own_image : host.image;
    if (!images.contains(path)) {
      auto opened = image::open(path);
      if (!opened) return opened.error();
      images[path] = *std::move(opened);
    }
    // Without power until it is booted: a switch with as many ports, joined to nothing.
    auto const node = world_.add(host.name, std::make_unique<ethernet_switch>(host.networks.size()));
    auto& here = places_.emplace_back();
    here.node = node;
    here.what = images[path];
    for (std::uint32_t port = 0; port < host.networks.size(); ++port) {
      segments[host.networks[port].segment].push_back({node, port});
    }
  }
  for (auto const& [name, ports] : segments) {
    auto const middle = world_.add("segment " + name, std::make_unique<ethernet_switch>(ports.size()));
    for (std::uint32_t i = 0; i < ports.size(); ++i) {
      auto const link = world_.join(ports[i], {middle, i}, all_.hosts[ports[i].node].link);
      places_[ports[i].node].links.push_back(link);
    }
  }
  if (!all_.pcap.empty()) {
    capture_ = std::make_unique<capture>(all_.pcap);
    if (!capture_->is_open()) return "cannot write " + all_.pcap;
    world_.watch(*capture_);
    for (auto const& one : places_) capture_->take_from(one.node);
  }
  world_.watch(*this);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    world_.kill(places_[i].node);
    if (all_.hosts[i].starts) world_.at(start, [this, i] { boot(i); });
  }
  for (auto const& event : all_.events) {
    world_.at(start + event.at, [this, &event] { act(event); });
  }
  return {};
}

void running::boot(std::size_t number) {
  auto& here = places_[number];
  if (here.guest != nullptr && !here.has_ended) return;
  auto const& host = all_.hosts[number];
  guest_node_settings settings{.guest = {.name = host.name,
                                         .arguments = host.arguments,
                                         .memory_bytes = host.memory_bytes,
                                         .replay = "seed " + std::to_string(seed_) + " of " + all_.path}};
  for (auto const& one : host.networks) {
    settings.networks.push_back({.name = one.device});
    // The same interface each time it boots.
    auto address = world_.random(host.name + " " + one.device).next();
    auto& bytes = settings.networks.back().address;
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(address & 0xff), address >>= 8;
    bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0xfc) | 2);
  }
  auto made =
      guest_node::load(here.what, std::move(settings), world_.random(host.name).fork("boot", here.boots++));
  if (!made) {
    problem_ = host.name + ": " + made.error();
    return world_.stop();
  }
  here.guest = made->get();
  here.said = 0;
  here.has_ended = false;
  world_.replace(here.node, *std::move(made));
}

void running::crash(std::size_t number) {
  auto& here = places_[number];
  if (here.guest == nullptr) return;
  show(number);
  here.guest = nullptr;
  here.line.clear();
  world_.kill(here.node);
}

void running::act(world_event const& what) {
  auto const number = static_cast<std::size_t>(std::ranges::find(all_.hosts, what.host, &world_host::name) -
                                               all_.hosts.begin());
  auto& here = places_[number];
  auto const cut = [&](bool is_cut) {
    for (auto const link : here.links) {
      world_.change(link, [&](link_settings& one) { one.is_cut = is_cut; });
    }
  };
  switch (what.what) {
    case world_action::cut:
      return cut(true);
    case world_action::heal:
      return cut(false);
    case world_action::crash:
      return crash(number);
    case world_action::boot:
      return boot(number);
    case world_action::stop:
      if (here.guest == nullptr) return;
      here.guest->request_stop();
      return world_.touch(here.node);
  }
}

void running::say(std::size_t number, std::string_view text) {
  write_all(all_.hosts[number].name + " | " + std::string(text) + "\n");
}

void running::show(std::size_t number) {
  auto& here = places_[number];
  auto const& console = here.guest->console();
  for (; here.said < console.size(); ++here.said) {
    if (console[here.said] == '\n') {
      say(number, here.line);
      here.line.clear();
    } else {
      here.line += console[here.said];
    }
  }
}

void running::on_ran(node_id which, instant) {
  if (asked_to_stop != 0) world_.stop();
  if (which >= places_.size() || places_[which].guest == nullptr) return;
  auto& here = places_[which];
  show(which);
  auto const& guest = here.guest->host();
  if (!guest.has_ended() || here.has_ended) return;
  here.has_ended = true;
  if (!here.line.empty()) say(which, std::exchange(here.line, {}));
  auto const at = std::to_string((world_.now() - start) / 1ms);
  say(which, "ended with status " + std::to_string(guest.end().status) + " at " + at + " ms");
  if (status_ == 0) status_ = guest.end().status;
}

int running::run() {
  auto const all_ended = [&] {
    return std::ranges::all_of(places_,
                               [](auto const& one) { return one.guest == nullptr || one.has_ended; }) &&
           world_.now() > start + 1ms;
  };
  auto const last_event = std::ranges::max_element(all_.events, {}, &world_event::at);
  auto const events_over = last_event == all_.events.end() ? start : start + last_event->at;
  (void)world_.run_until([&] { return world_.now() > events_over && all_ended(); }, start + all_.lasts);
  if (problem_.empty()) problem_ = world_.problem();
  if (!problem_.empty()) return refuse(problem_);
  return status_;
}

}  // namespace

int run_world(world_description const& all, std::string const& image, std::uint64_t seed) {
  struct sigaction action{};
  action.sa_handler = on_stop;
  for (auto const which : {SIGTERM, SIGINT}) ::sigaction(which, &action, nullptr);
  running now(all, seed);
  if (auto const wrong = now.prepare(image); !wrong.empty()) return refuse(wrong);
  return now.run();
}

}  // namespace morgana::sim
