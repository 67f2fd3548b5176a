#include "scenario.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "judge.hpp"
#include "morgana/sim/capture.hpp"
#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/middlebox.hpp"
#include "morgana/sim/router.hpp"
#include "script.hpp"

namespace morgana::simulation {

namespace {

/// After healing. The longest wait of anything by then is twice the chaos (a timeout that backed off), and
/// what is left to transfer takes its time on the thinnest link.
constexpr duration heal_bound = 300s;
/// TIME-WAIT, FIN-WAIT-2 of released connections, reassembly: all are over a minute after the last of them
/// began.
constexpr duration end_bound = 400s;

/// Retransmissions that a crash may cause: what is sent to nobody, until that is noticed.
constexpr std::uint64_t retransmissions_per_crash = 400;

/// A router's own address at its site, 10.0.SITE.254 and 2001:db8:0:SITE::fe.
net::ip_address router_address(std::uint32_t site, bool is_v6) {
  auto const number = static_cast<std::uint8_t>(site);
  if (!is_v6) return net::ipv4_address{{10, 0, number, 254}};
  return net::ipv6_address{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0, 0xfe}};
}

/// At the link between two routers, 10.1.LINK.0/30 and 2001:db8:1:LINK::/64: the nearer end is .1.
net::ip_address between_address(std::uint32_t link, bool is_far, bool is_v6) {
  auto const number = static_cast<std::uint8_t>(link);
  auto const last = static_cast<std::uint8_t>(is_far ? 2 : 1);
  if (!is_v6) return net::ipv4_address{{10, 1, number, last}};
  return net::ipv6_address{{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, number, 0, 0, 0, 0, 0, 0, 0, last}};
}

class running : public sim::observer {
 public:
  explicit running(plan const& chosen);

  run_report run(run_options const& options);
  void on_ran(sim::node_id which, instant now) override;

 private:
  void build();
  [[nodiscard]] std::unique_ptr<sim::core_host> make_host(std::uint32_t number);
  void build_site(std::uint32_t number);
  void build_routers();
  void crash(std::uint32_t host);
  void boot(std::uint32_t host);
  void add_box(box_plan const& box);
  void schedule();
  void refresh(std::uint32_t host);
  [[nodiscard]] std::string judge_ends() const;
  [[nodiscard]] std::string judge_memory() const;
  [[nodiscard]] std::string judge_retransmissions() const;

  plan const& planned_;
  sim::world world_;
  sim::wire_oracle wire_;
  registry registry_;
  std::vector<sim::core_host*> hosts_;
  std::vector<std::unique_ptr<script>> scripts_;
  std::vector<sim::link_id> links_;   ///< of each host, with its faults
  std::vector<sim::link_id> routed_;  ///< between routers
  std::vector<bool> active_;          ///< faults
  std::vector<sim::port_id> free_;    ///< of each site: the port of its switch that its router takes
  std::vector<std::uint64_t> boots_;
  std::vector<sim::reset_injector*> injectors_;  ///< of each box; null: it is none
  std::uint64_t crashes_ = 0;
};

running::running(plan const& chosen)
    : planned_(chosen),
      world_(chosen.seed),
      wire_(world_),
      registry_(world_, chosen),
      links_(chosen.hosts.size()),
      active_(chosen.faults.size()),
      boots_(chosen.hosts.size()),
      injectors_(chosen.boxes.size()) {}

std::unique_ptr<sim::core_host> running::make_host(std::uint32_t i) {
  auto const& host = planned_.hosts[i];
  net::core_configuration configuration;
  auto& device = configuration.device;
  device.mtu_bytes = host.mtu_bytes;
  device.address = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(i + 1)}};
  device.transmit_checksum = device.segmentation_tcp_v4 = device.segmentation_tcp_v6 = host.has_offloads;
  configuration.addresses = {{address_of(planned_, i, false), 24}, {address_of(planned_, i, true), 64}};
  configuration.router_advertisements = false;
  if (!planned_.sites.empty()) {
    for (bool const is_v6 : {false, true}) {
      auto const any = is_v6 ? net::ip_address(net::ipv6_address{}) : net::ip_address(net::ipv4_address{});
      configuration.routes.push_back({{any, 0}, router_address(host.site, is_v6)});
    }
  }
  // A corrupted ARP frame may claim anything; nothing protects it.
  configuration.detect_conflicts = !planned_.has(fault_kind::corruption);
  configuration.limits.syn_received = host.syn_received;
  configuration.limits.out_of_order_ranges = host.out_of_order_ranges;
  // One that boots again draws another secret.
  auto const seed = planned_.seed * 8 + i + (boots_[i] << 60);
  return std::make_unique<sim::core_host>(configuration, seed, host.buffer_bytes, world_.local_now(i));
}

void running::build() {
  for (std::uint32_t i = 0; i < planned_.hosts.size(); ++i) {
    // It is there before it is made: what it is made with is its own time.
    auto const id = world_.add("h" + std::to_string(i), std::make_unique<sim::ethernet_switch>(1));
    hosts_.push_back(nullptr);
    scripts_.push_back(nullptr);
    wire_.judge(id);
    boot(i);
    world_.set_clock(id, planned_.hosts[i].clock);
  }
  auto const sites = std::max<std::size_t>(planned_.sites.size(), 1);
  for (std::uint32_t i = 0; i < sites; ++i) build_site(i);
  if (sites > 1) build_routers();
  world_.watch(*this);
}

void running::boot(std::uint32_t host) {
  auto made = make_host(host);
  ++boots_[host];
  hosts_[host] = made.get();
  scripts_[host] = std::make_unique<script>(registry_, host, *made);
  made->set_user(scripts_[host].get());
  world_.replace(host, std::move(made));
  scripts_[host]->start(world_.local_now(host));
}

void running::crash(std::uint32_t host) {
  if (hosts_[host] == nullptr) return;
  ++crashes_;
  scripts_[host]->crash();
  hosts_[host] = nullptr;
  world_.kill(host);
  scripts_[host].reset();
  wire_.forget(host);
}

/// The hosts of a site, each with its link and its middleboxes, around one switch.
void running::build_site(std::uint32_t number) {
  auto const here = [&](std::uint32_t host) { return planned_.hosts[host].site == number; };
  auto const middle = world_.add("switch" + (number == 0 ? std::string() : std::to_string(number)),
                                 std::make_unique<sim::ethernet_switch>(hosts_.size() + 1));
  free_.push_back({middle, static_cast<std::uint32_t>(hosts_.size())});
  for (std::uint32_t i = 0; i < hosts_.size(); ++i) {
    if (!here(i)) continue;
    // The link with the faults is the first of all links of its host; boxes stand behind it.
    auto const id = static_cast<std::uint32_t>(world_.nodes());
    auto const boxes = std::ranges::count(planned_.boxes, i, &box_plan::host);
    for (auto const& box : planned_.boxes) {
      if (box.host == i) add_box(box);
    }
    auto next = boxes == 0 ? sim::port_id{middle, i} : sim::port_id{id, 0};
    links_[i] = world_.join({i, 0}, next, planned_.links[i].from_host, planned_.links[i].to_host);
    for (std::uint32_t k = 0; k < boxes; ++k) {
      next = k + 1 == boxes ? sim::port_id{middle, i} : sim::port_id{id + k + 1, 0};
      (void)world_.join({id + k, 1}, next);
    }
  }
}

/// A row of routers: port 0 towards its site, then towards the one before and the one behind.
void running::build_routers() {
  auto const count = static_cast<std::uint32_t>(planned_.sites.size());
  auto const first = static_cast<sim::node_id>(world_.nodes());
  for (std::uint32_t i = 0; i < count; ++i) {
    std::vector<sim::router_port> ports;
    std::vector<sim::router_route> routes;
    auto const mac = [&] {
      return std::array<std::uint8_t, 6>{
          2, 0, 0, 1, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(ports.size())};
    };
    std::uint32_t mtu = 9'000;
    for (auto const& host : planned_.hosts) {
      if (host.site == i) mtu = std::min(mtu, host.mtu_bytes);
    }
    ports.push_back({mac(), {router_address(i, false), 24}, {router_address(i, true), 64}, mtu});
    auto const join_to = [&](std::uint32_t other) {
      auto const link = std::min(i, other);
      ports.push_back({mac(),
                       {between_address(link, i > other, false), 30},
                       {between_address(link, i > other, true), 64},
                       planned_.sites[link].mtu_to_next});
      // Everything beyond: 10.0.SITE.0/24 and 2001:db8:0:SITE::/64 of each site on that side. What a
      // translator sends out has the address of its port, which is on the link.
      for (std::uint32_t site = 0; site < count; ++site) {
        if (other > i ? site <= i : site >= i) continue;
        for (bool const is_v6 : {false, true}) {
          routes.push_back({{router_address(site, is_v6), static_cast<std::uint8_t>(is_v6 ? 64 : 24)},
                            ports.size() - 1,
                            between_address(link, other > i, is_v6)});
        }
      }
      // The links beyond the next one: a translator's address is there.
      for (std::uint32_t far = 0; far + 1 < count; ++far) {
        if (far == link || (other > i ? far < i : far >= i)) continue;
        for (bool const is_v6 : {false, true}) {
          routes.push_back({{between_address(far, false, is_v6), static_cast<std::uint8_t>(is_v6 ? 64 : 30)},
                            ports.size() - 1,
                            between_address(link, other > i, is_v6)});
        }
      }
    };
    if (i != 0) join_to(i - 1);
    if (i + 1 != count) join_to(i + 1);
    auto made = std::make_unique<sim::router>(std::move(ports), std::move(routes));
    auto const& site = planned_.sites[i];
    if (i == 0 && site.translates) {
      made->translate_at(1, {});
      if (site.rebinds_at != 0ns) {
        world_.at(sim::start + site.rebinds_at, [who = made.get()] { who->translator()->rebind(); });
      }
    }
    auto const id = world_.add("r" + std::to_string(i), std::move(made));
    (void)world_.join({id, 0}, free_[i]);
  }
  for (std::uint32_t i = 0; i + 1 < count; ++i) {
    routed_.push_back(
        world_.join({first + i, i == 0 ? 1u : 2u}, {first + i + 1, 1}, planned_.sites[i].to_next));
  }
}

void running::add_box(box_plan const& box) {
  auto const name = "b" + std::to_string(box.number);
  auto const random = world_.random("box " + name);
  std::unique_ptr<sim::node> made;
  switch (box.kind) {
    case box_kind::option_stripper:
      if (box.amount % 3 == 0) {
        made = std::make_unique<sim::option_stripper>(std::initializer_list<std::uint8_t>{4, 5});
      } else if (box.amount % 3 == 1) {
        made = std::make_unique<sim::option_stripper>(std::initializer_list<std::uint8_t>{8});
      } else {
        made = std::make_unique<sim::option_stripper>(std::initializer_list<std::uint8_t>{2, 3, 4, 5, 8});
      }
      break;
    case box_kind::window_scale_bleacher:
      made = std::make_unique<sim::option_stripper>(std::initializer_list<std::uint8_t>{3});
      break;
    case box_kind::mss_clamper:
      made = std::make_unique<sim::mss_clamper>(static_cast<std::uint16_t>(box.amount));
      break;
    case box_kind::ecn_bleacher:
      made = std::make_unique<sim::ecn_bleacher>();
      break;
    case box_kind::splitter:
      made = std::make_unique<sim::segment_splitter>(static_cast<std::uint16_t>(box.amount));
      break;
    case box_kind::coalescer:
      made = std::make_unique<sim::segment_coalescer>(box.amount, 1ms);
      break;
    case box_kind::resets: {
      auto injector =
          std::make_unique<sim::reset_injector>(box.amount, sim::reset_injector::aim::exact, random);
      injectors_[static_cast<std::size_t>(&box - planned_.boxes.data())] = injector.get();
      made = std::move(injector);
      break;
    }
    case box_kind::blind_resets:
      made =
          std::make_unique<sim::reset_injector>(box.amount, sim::reset_injector::aim::within_window, random);
      break;
    case box_kind::translator: {
      auto translator = std::make_unique<sim::port_translator>();
      if (box.rebinds_at != 0ns) {
        world_.at(sim::start + box.rebinds_at, [which = translator.get()] { which->rebind(); });
      }
      made = std::move(translator);
      break;
    }
    case box_kind::syn_proxy:
      made = std::make_unique<sim::syn_proxy>(random);
      break;
  }
  (void)world_.add(name, std::move(made));
}

/// The link's settings from its plan and the faults that are active now.
void running::refresh(std::uint32_t host) {
  for (std::size_t side = 0; side < 2; ++side) {
    auto settings = side == 0 ? planned_.links[host].from_host : planned_.links[host].to_host;
    for (std::size_t i = 0; i < active_.size(); ++i) {
      auto const& fault = planned_.faults[i];
      if (active_[i] && fault.host == host && fault.sides[side]) apply(fault, settings);
    }
    world_.set(links_[host], side, settings);
  }
}

void running::schedule() {
  for (std::size_t i = 0; i < planned_.faults.size(); ++i) {
    auto const& fault = planned_.faults[i];
    if (fault.kind == fault_kind::jump) {
      world_.at(sim::start + fault.begins, [this, &fault] { world_.jump(fault.host, fault.time); });
      continue;
    }
    auto const turn = [this, i, &fault](bool on) {
      active_[i] = on;
      refresh(fault.host);
    };
    world_.at(sim::start + fault.begins, [turn] { turn(true); });
    world_.at(sim::start + fault.begins + fault.lasts, [turn] { turn(false); });
  }
  for (auto const& one : planned_.crashes) {
    world_.at(sim::start + one.begins, [this, &one] { crash(one.host); });
    world_.at(sim::start + one.begins + one.lasts, [this, &one] {
      if (hosts_[one.host] == nullptr) boot(one.host);
    });
  }
  for (auto& one : registry_.conversations) {
    world_.at(sim::start + one.planned->begins, [this, &one] {
      for (std::size_t side = 0; side < (one.planned->is_simultaneous ? 2 : 1); ++side) {
        auto const host = one.planned->hosts[side];
        if (hosts_[host] == nullptr) {
          one.sides[side].outcome = outcome::crashed;
          one.sides[side].ended_at = world_.now();
          continue;
        }
        scripts_[host]->connect(one, side, world_.local_now(host));
      }
      for (std::size_t side = 0; side < 2; ++side) world_.touch(one.planned->hosts[side]);
    });
  }
  for (auto& flow : registry_.datagrams) {
    for (std::uint32_t number = 0; number < flow.planned->count; ++number) {
      world_.at(sim::start + flow.planned->begins + number * flow.planned->gap, [this, &flow, number] {
        auto const host = flow.planned->hosts[0];
        if (hosts_[host] == nullptr) return;
        scripts_[host]->send_datagram(flow, number, world_.local_now(host));
        world_.touch(host);
      });
    }
  }
}

void running::on_ran(sim::node_id which, instant) {
  if (which < scripts_.size() && scripts_[which] != nullptr) scripts_[which]->check(world_.local_now(which));
}

std::string running::judge_ends() const {
  std::vector<std::uint64_t> resets;
  for (auto* const one : injectors_) resets.push_back(one == nullptr ? 0 : one->injected());
  judge const all(planned_, std::move(resets));
  for (auto const& one : registry_.conversations) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (auto wrong = all.side(one, side); !wrong.empty()) return wrong;
    }
  }
  return {};
}

std::string running::judge_memory() const {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    auto const who = "h" + std::to_string(i) + ": ";
    auto const open = hosts_[i]->stack().tcp().connections();
    if (open != 0) return who + std::to_string(open) + " connections are left after everything ended";
    auto const used = hosts_[i]->used_buffers();
    if (used != 0) return who + std::to_string(used) + " buffers are still in use after everything ended";
    if (hosts_[i]->stack().next_deadline() - world_.local_now(static_cast<sim::node_id>(i)) < 0s) {
      return who + "a deadline has passed and nobody was called";
    }
  }
  return {};
}

std::string running::judge_retransmissions() const {
  std::uint64_t causes = 0;
  auto all = links_;
  all.insert(all.end(), routed_.begin(), routed_.end());
  for (auto const link : all) {
    for (std::size_t side = 0; side < 2; ++side) {
      auto const& seen = world_.counters(link, side);
      causes += seen.dropped() + seen.corrupted + seen.reordered + seen.duplicated;
    }
  }
  for (auto* const host : hosts_) causes += host->dropped();
  auto const most = wire_.data_segments() / 2 + 8 * causes + 100 + retransmissions_per_crash * crashes_;
  // What the peer said it has, it needs again only when it threw it away (RFC 2018 8).
  auto const needless_max = wire_.retransmissions() / 2 + 16;
  if (wire_.needless() > needless_max) {
    return std::to_string(wire_.needless()) + " of " + std::to_string(wire_.retransmissions()) +
           " retransmissions of what SACK had said was there";
  }
  if (wire_.retransmissions() <= most) return {};
  return std::to_string(wire_.retransmissions()) + " retransmissions of " +
         std::to_string(wire_.data_segments()) + " segments, with " + std::to_string(causes) +
         " frames lost or delayed";
}

run_report running::run(run_options const& options) {
  std::unique_ptr<sim::capture> file;
  build();
  if (!options.pcap.empty()) {
    file = std::make_unique<sim::capture>(options.pcap);
    world_.watch(*file);
    for (sim::node_id i = 0; i < hosts_.size(); ++i) file->take_from(i);
  }
  schedule();
  world_.run_until(sim::start + planned_.chaos);
  for (std::uint32_t i = 0; i < hosts_.size(); ++i) {
    std::ranges::fill(active_, false);
    refresh(i);
  }
  run_report report;
  auto const is_over = [&] {
    return std::ranges::all_of(registry_.conversations, [](auto const& one) { return one.is_over(); });
  };
  (void)world_.run_until(is_over, world_.now() + heal_bound);
  auto const note = [&](std::string const& what) {
    if (report.violation.empty()) report.violation = what;
  };
  note(wire_.violation());
  note(registry_.violation);
  note(world_.problem());
  if (report.violation.empty()) note(judge_ends());
  if (report.violation.empty()) {
    for (std::uint32_t i = 0; i < scripts_.size(); ++i) {
      world_.at(world_.now() + 130s, [this, i] {
        scripts_[i]->give_up_rest(world_.local_now(i));
        scripts_[i]->stop_listening(world_.local_now(i));
        world_.touch(i);
      });
    }
    world_.run_for(end_bound);
    note(wire_.violation());
    note(registry_.violation);
    note(world_.problem());
    note(judge_memory());
    note(judge_retransmissions());
  }
  report.trace = world_.trace_hash();
  report.frames = world_.frames_sent();
  report.events = world_.events();
  report.virtual_time = world_.now() - sim::start;
  report.retransmissions = wire_.retransmissions();
  report.data_segments = wire_.data_segments();
  report.needless = wire_.needless();
  for (auto const& one : registry_.conversations) {
    for (auto const& side : one.sides) {
      report.bytes += side.read;
      report.complete += side.outcome == outcome::complete ? 1 : 0;
      report.failed += side.outcome == outcome::failed ? 1 : 0;
    }
  }
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    auto& host = *hosts_[i];
    auto const& tcp = host.stack().tcp().counters();
    auto const& ip = host.stack().counters();
    report.hosts += "  h" + std::to_string(i) + " counted " + std::to_string(ip.frames_in) + " frames in, " +
                    std::to_string(ip.frames_out) + " out, no buffer for " + std::to_string(host.dropped()) +
                    " and " + std::to_string(ip.no_buffers) + ", " + std::to_string(ip.malformed) +
                    " malformed, checksums " + std::to_string(ip.wrong_checksums + tcp.wrong_checksums) +
                    ", not for us " + std::to_string(ip.not_for_us) + ", queue " +
                    std::to_string(ip.neighbor_queue_dropped) + ", segments again " +
                    std::to_string(tcp.segments_retransmitted) + ", old " + std::to_string(tcp.paws_dropped) +
                    ", beyond a gap dropped " + std::to_string(tcp.out_of_order_dropped) + ", malformed " +
                    std::to_string(tcp.malformed) + ", buffers " + std::to_string(host.used_buffers()) + "\n";
  }
  if (!report.violation.empty()) {
    report.violation = "at " + std::to_string((world_.now() - sim::start) / 1us) + " us, " + report.violation;
  }
  return report;
}

}  // namespace

run_report run(plan const& chosen, run_options const& options) {
  running now(chosen);
  return now.run(options);
}

}  // namespace morgana::simulation
