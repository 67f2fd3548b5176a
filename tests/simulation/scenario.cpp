#include "scenario.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "morgana/sim/capture.hpp"
#include "morgana/sim/ethernet_switch.hpp"
#include "morgana/sim/middlebox.hpp"
#include "script.hpp"

namespace morgana::simulation {

namespace {

/// After healing. The longest wait of anything by then is twice the chaos (a timeout that backed off), and
/// what is left to transfer takes its time on the thinnest link.
constexpr duration heal_bound = 300s;
/// TIME-WAIT, FIN-WAIT-2 of released connections, reassembly: all are over a minute after the last of them
/// began.
constexpr duration end_bound = 400s;

/// Limits of half-open connections below this one make listeners send SYN cookies.
constexpr std::uint32_t cookies_below = 16;

class running : public sim::observer {
 public:
  explicit running(plan const& chosen);

  run_report run(run_options const& options);
  void on_ran(sim::node_id which, instant now) override;

 private:
  void build();
  void add_box(box_plan const& box);
  void schedule();
  void refresh(std::uint32_t host);
  [[nodiscard]] std::string judge_ends() const;
  [[nodiscard]] std::string judge_side(conversation const& which, std::size_t side) const;
  [[nodiscard]] std::string judge_memory() const;
  [[nodiscard]] std::string judge_retransmissions() const;

  plan const& planned_;
  sim::world world_;
  sim::wire_oracle wire_;
  registry registry_;
  std::vector<sim::core_host*> hosts_;
  std::vector<std::unique_ptr<script>> scripts_;
  std::vector<sim::link_id> links_;  ///< of each host, with its faults
  std::vector<bool> active_;         ///< faults
};

running::running(plan const& chosen)
    : planned_(chosen),
      world_(chosen.seed),
      wire_(world_),
      registry_(world_, chosen),
      active_(chosen.faults.size()) {}

void running::build() {
  for (std::uint32_t i = 0; i < planned_.hosts.size(); ++i) {
    auto const& host = planned_.hosts[i];
    net::core_configuration configuration;
    auto& device = configuration.device;
    device.mtu_bytes = host.mtu_bytes;
    device.address = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(i + 1)}};
    device.transmit_checksum = device.segmentation_tcp_v4 = device.segmentation_tcp_v6 = host.has_offloads;
    configuration.addresses = {{address_of(i, false), 24}, {address_of(i, true), 64}};
    configuration.router_advertisements = false;
    // A corrupted ARP frame may claim anything; nothing protects it.
    configuration.detect_conflicts = !planned_.has(fault_kind::corruption);
    configuration.limits.syn_received = host.syn_received;
    configuration.limits.out_of_order_ranges = host.out_of_order_ranges;
    auto made = std::make_unique<sim::core_host>(configuration, planned_.seed * 8 + i, host.buffer_bytes,
                                                 world_.now());
    hosts_.push_back(made.get());
    scripts_.push_back(std::make_unique<script>(registry_, i, *made));
    made->set_user(scripts_.back().get());
    auto const id = world_.add("h" + std::to_string(i), std::move(made));
    world_.set_clock(id, host.clock);
    wire_.judge(id);
    scripts_.back()->start(world_.now());
  }
  auto const middle = world_.add("switch", std::make_unique<sim::ethernet_switch>(hosts_.size()));
  for (std::uint32_t i = 0; i < hosts_.size(); ++i) {
    // The link with the faults is the first of all links of its host; boxes stand behind it.
    auto const id = static_cast<std::uint32_t>(world_.nodes());
    auto const boxes = std::ranges::count(planned_.boxes, i, &box_plan::host);
    for (auto const& box : planned_.boxes) {
      if (box.host == i) add_box(box);
    }
    auto next = boxes == 0 ? sim::port_id{middle, i} : sim::port_id{id, 0};
    links_.push_back(world_.join({i, 0}, next, planned_.links[i].from_host, planned_.links[i].to_host));
    for (std::uint32_t k = 0; k < boxes; ++k) {
      next = k + 1 == boxes ? sim::port_id{middle, i} : sim::port_id{id + k + 1, 0};
      (void)world_.join({id + k, 1}, next);
    }
  }
  world_.watch(*this);
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
    case box_kind::resets:
      made = std::make_unique<sim::reset_injector>(box.amount, sim::reset_injector::aim::exact, random);
      break;
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
  for (auto& one : registry_.conversations) {
    world_.at(sim::start + one.planned->begins, [this, &one] {
      for (std::size_t side = 0; side < (one.planned->is_simultaneous ? 2 : 1); ++side) {
        auto const host = one.planned->hosts[side];
        scripts_[host]->connect(one, side, world_.local_now(host));
      }
      for (std::size_t side = 0; side < 2; ++side) world_.touch(one.planned->hosts[side]);
    });
  }
  for (auto& flow : registry_.datagrams) {
    for (std::uint32_t number = 0; number < flow.planned->count; ++number) {
      world_.at(sim::start + flow.planned->begins + number * flow.planned->gap, [this, &flow, number] {
        auto const host = flow.planned->hosts[0];
        scripts_[host]->send_datagram(flow, number, world_.local_now(host));
        world_.touch(host);
      });
    }
  }
}

void running::on_ran(sim::node_id which, instant) {
  if (which < scripts_.size()) scripts_[which]->check(world_.local_now(which));
}

/// Whether the way that a side ended is one that the plan justifies.
std::string running::judge_side(conversation const& which, std::size_t side) const {
  auto const& plan = *which.planned;
  auto const& here = which.sides[side];
  auto const& there = which.sides[1 - side];
  auto const who = "conversation c" + std::to_string(plan.number) + ", side " + std::to_string(side) + ": ";
  auto const& accepted = planned_.hosts[plan.hosts[1]].accepted;
  bool const gives_up = plan.settings.keepalive || plan.settings.user_timeout != 0s || accepted.keepalive ||
                        accepted.user_timeout != 0s;
  if (here.outcome == outcome::complete || here.outcome == outcome::aborted) return {};
  // A translator that forgot its ports cuts a connection in two, and neither end need notice.
  bool const is_shot_at = planned_.has(box_kind::resets);
  bool const is_rebound = std::ranges::any_of(planned_.boxes, [&](auto const& box) {
    return box.kind == box_kind::translator && box.rebinds_at != 0ns &&
           (box.host == plan.hosts[0] || box.host == plan.hosts[1]);
  });
  if (is_shot_at || is_rebound) return {};
  if (here.outcome == outcome::absent || here.outcome == outcome::talking) {
    // The other end failed or left, which is judged there; its reset may be lost, and who has nothing to send
    // does not notice without keepalives (RFC 9293 3.5.1).
    if (there.outcome == outcome::failed || there.outcome == outcome::aborted) return {};
    // Who is done may give up on what the stack still sends, and nobody hears of that either.
    if (there.outcome == outcome::complete && gives_up && !planned_.faults.empty()) return {};
    return who + "did not finish, " + std::to_string(here.read) + " bytes read of " +
           std::to_string(plan.bytes[1 - side]) + ", " + std::to_string(here.written) + " written of " +
           std::to_string(plan.bytes[side]);
  }
  if (plan.aborting_side >= 0) return {};
  auto const why = here.error.value_or(net::net_error::reset);
  switch (why) {
    case net::net_error::timed_out:
      if (gives_up && !planned_.faults.empty()) return {};
      // A neighbour's wrong address stays until it is asked again, which SYNs do too seldom.
      if (!here.was_connected && planned_.has(fault_kind::corruption)) return {};
      return who + "timed out without a reason";
    case net::net_error::unreachable:
      // No neighbour answered in time: it asks three times.
      if (!here.was_connected && !planned_.faults.empty()) return {};
      return who + "unreachable without a reason";
    case net::net_error::reset:
    case net::net_error::refused:
      if (there.outcome == outcome::failed && there.error != net::net_error::reset && there.error) return {};
      if (gives_up && !planned_.faults.empty()) return {};
      // A cookie is found only in the segment that follows the handshake: when that is lost, what comes next
      // is a stray (RFC 4987 3.6, one of the costs of cookies).
      if (planned_.hosts[plan.hosts[1]].syn_received < cookies_below && !planned_.faults.empty()) return {};
      return who + "reset without a reason";
    default:
      return who + "ended in error " + std::to_string(static_cast<int>(why));
  }
}

std::string running::judge_ends() const {
  for (auto const& one : registry_.conversations) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (auto wrong = judge_side(one, side); !wrong.empty()) return wrong;
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
  for (auto const link : links_) {
    for (std::size_t side = 0; side < 2; ++side) {
      auto const& seen = world_.counters(link, side);
      causes += seen.dropped() + seen.corrupted + seen.reordered + seen.duplicated;
    }
  }
  for (auto* const host : hosts_) causes += host->dropped();
  auto const most = wire_.data_segments() / 2 + 8 * causes + 100;
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
