#include "plan.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>

namespace morgana::simulation {

namespace {

constexpr std::array<std::string_view, fault_kinds> kind_names = {
    "loss",  "bursts", "duplication", "reordering", "corruption",  "jitter", "slow", "thin", "tiny_queue",
    "marks", "codel",  "black_hole",  "cut",        "cut_one_way", "flap",   "hold", "jump"};

constexpr std::array<std::string_view, box_kinds> box_names = {
    "option stripper", "window-scale bleacher", "MSS clamper",  "ECN bleacher",    "segment splitter",
    "coalescer",       "reset injector",        "blind resets", "port translator", "SYN proxy"};

template <class Value>
Value one_of(sim::random_source& random, std::initializer_list<Value> values) {
  return values.begin()[random.below(values.size())];
}

net::tcp::settings draw_settings(sim::random_source random) {
  net::tcp::settings made;
  made.no_delay = random.chance(700'000);
  made.ecn = random.chance(400'000);
  made.control =
      random.chance(500'000) ? net::tcp::congestion_control::cubic : net::tcp::congestion_control::new_reno;
  if (random.chance(500'000)) {
    made.receive_buffer_bytes = one_of<std::uint32_t>(random, {600, 2'000, 5'000, 16'384, 65'536, 1u << 20});
  }
  if (random.chance(500'000)) {
    made.send_buffer_bytes = one_of<std::uint32_t>(random, {500, 3'000, 8'192, 65'536, 1u << 20});
  }
  if (random.chance(200'000)) {
    made.keepalive = true;
    made.keepalive_idle = random.between(200ms, 3s);
    made.keepalive_interval = random.between(100ms, 1s);
    made.keepalive_probes = static_cast<std::uint8_t>(random.between(2, 9));
  }
  if (random.chance(100'000)) made.user_timeout = random.between(2s, 10s);
  return made;
}

host_plan draw_host(sim::random_source random) {
  host_plan made;
  made.mtu_bytes = one_of<std::uint32_t>(random, {1500, 1500, 1500, 1500, 1280, 1400, 4000, 9000});
  made.has_offloads = random.chance(300'000);
  if (random.chance(200'000)) made.buffer_bytes = 2u << 20;
  if (random.chance(150'000)) made.syn_received = static_cast<std::uint32_t>(random.below(3));
  if (random.chance(150'000)) made.out_of_order_ranges = static_cast<std::uint32_t>(random.between(1, 4));
  made.accepted = draw_settings(random.fork("accepted"));
  if (random.chance(300'000)) {
    made.clock.drift_millionths = static_cast<std::int32_t>(random.below(2'000)) - 1'000;
  }
  if (random.chance(200'000)) made.clock.late_by = random.between(1us, 50ms);
  if (random.chance(200'000)) made.clock.early_millionths = static_cast<std::uint32_t>(random.below(500'000));
  return made;
}

link_plan draw_link(sim::random_source random) {
  sim::link_settings made;
  made.delay = random.chance(300'000) ? random.between(0us, 100us) : random.between(100us, 60ms);
  if (random.chance(300'000)) made.delay_extra = random.between(0us, 5ms);
  if (random.chance(700'000)) {
    made.bits_per_s =
        one_of<std::uint64_t>(random, {2'000'000, 10'000'000, 50'000'000, 100'000'000, 1'000'000'000});
    made.queue_bytes = one_of<std::uint32_t>(random, {16'384, 65'536, 262'144});
    if (random.chance(300'000))
      made.queue = random.chance(500'000) ? sim::queue_kind::ecn_mark : sim::queue_kind::codel;
  }
  link_plan both{made, made};
  if (random.chance(200'000)) both.to_host.delay = random.between(0us, 60ms);
  return both;
}

std::array<std::uint32_t, 2> draw_hosts(sim::random_source& random, std::size_t hosts) {
  auto const first = static_cast<std::uint32_t>(random.below(hosts));
  auto const second = static_cast<std::uint32_t>((first + random.between(1, hosts - 1)) % hosts);
  return {first, second};
}

conversation_plan draw_conversation(sim::random_source random, std::uint32_t number, std::size_t hosts,
                                    duration chaos) {
  conversation_plan made;
  made.number = number;
  made.hosts = draw_hosts(random, hosts);
  made.is_v6 = random.chance(500'000);
  made.begins = random.between(0ns, chaos);
  made.settings = draw_settings(random.fork("settings"));
  made.writes_owned = random.chance(150'000);
  made.closes_late = random.chance(300'000);
  made.waits_for_close = random.chance(300'000);
  switch (random.below(8)) {
    case 0:
    case 1:  // bulk one way
      made.bytes = {random.between(1'000, 400'000), random.below(100)};
      if (random.chance(500'000)) std::swap(made.bytes[0], made.bytes[1]);
      break;
    case 2:  // bulk both ways
      made.bytes = {random.between(1'000, 150'000), random.between(1'000, 150'000)};
      break;
    case 3:  // taking turns
      made.message_bytes = static_cast<std::uint32_t>(random.between(8, 3'000));
      made.bytes[0] = made.bytes[1] = std::uint64_t{made.message_bytes} * random.between(1, 40);
      break;
    case 4:  // short
      made.bytes = {random.between(8, 2'000), random.below(3'000)};
      break;
    case 5:  // a slow reader
      made.bytes = {random.between(1'000, 60'000), random.between(0, 60'000)};
      for (auto& pause : made.read_pause) {
        if (random.chance(700'000)) pause = random.between(1ms, 300ms);
      }
      for (auto& size : made.read_bytes) size = static_cast<std::uint32_t>(random.between(500, 10'000));
      break;
    case 6:  // rests in the middle
      made.bytes = {random.between(8, 20'000), random.between(0, 20'000)};
      made.idle = random.between(100ms, 8s);
      break;
    default:  // one side gives up
      made.bytes = {random.between(1'000, 100'000), random.between(1'000, 100'000)};
      made.aborting_side = static_cast<int>(random.below(2));
      made.aborts_after = random.below(made.bytes[1 - static_cast<std::size_t>(made.aborting_side)]);
      break;
  }
  made.bytes[0] = std::max<std::uint64_t>(made.bytes[0], 8);
  if (random.chance(300'000)) {
    // Small writes: not for bulk, whose packets would be many.
    for (std::size_t side = 0; side < 2; ++side) {
      if (made.bytes[side] < 30'000)
        made.write_bytes[side] = static_cast<std::uint32_t>(random.between(1, 700));
    }
  }
  if (random.chance(60'000) && made.message_bytes == 0) made.is_simultaneous = true;
  return made;
}

datagrams_plan draw_datagrams(sim::random_source random, std::uint32_t number, std::size_t hosts,
                              duration chaos) {
  datagrams_plan made;
  made.number = number;
  made.hosts = draw_hosts(random, hosts);
  made.is_v6 = random.chance(500'000);
  made.begins = random.between(0ns, chaos / 2);
  made.gap = random.between(1ms, 300ms);
  made.count = static_cast<std::uint32_t>(random.between(1, 60));
  made.bytes = static_cast<std::uint32_t>(random.chance(500'000) ? random.between(16, 1'400)
                                                                 : random.between(16, 20'000));
  return made;
}

fault_plan draw_fault(sim::random_source random, std::uint32_t number, std::vector<fault_kind> const& kinds,
                      std::size_t hosts, duration chaos) {
  fault_plan made;
  made.number = number;
  made.kind = kinds[random.below(kinds.size())];
  made.host = static_cast<std::uint32_t>(random.below(hosts));
  if (random.chance(400'000)) made.sides[random.below(2)] = false;
  made.begins = random.between(0ns, chaos);
  made.lasts = std::min(random.between(50ms, chaos), chaos - made.begins);
  switch (made.kind) {
    case fault_kind::loss:
      made.amount =
          static_cast<std::uint32_t>(random.between(1'000, random.chance(200'000) ? 400'000 : 100'000));
      break;
    case fault_kind::bursts:
      made.amount = static_cast<std::uint32_t>(random.between(1'000, 50'000));
      break;
    case fault_kind::duplication:
    case fault_kind::corruption:
      made.amount = static_cast<std::uint32_t>(random.between(1'000, 200'000));
      break;
    case fault_kind::reordering:
      made.amount = static_cast<std::uint32_t>(random.between(1'000, 300'000));
      made.time = random.between(100us, 80ms);
      break;
    case fault_kind::jitter:
    case fault_kind::slow:
      made.time = random.between(1ms, 500ms);
      break;
    case fault_kind::thin:
      made.amount = static_cast<std::uint32_t>(random.between(500, 5'000));
      break;
    case fault_kind::tiny_queue:
    case fault_kind::marks:
      made.amount = static_cast<std::uint32_t>(random.between(1'500, 20'000));
      break;
    case fault_kind::black_hole:
      made.amount = static_cast<std::uint32_t>(random.between(200, 1'450));
      break;
    case fault_kind::flap:
      made.amount = static_cast<std::uint32_t>(random.between(100, 900));
      made.time = random.between(20ms, 2s);
      break;
    case fault_kind::hold:
      made.lasts = std::min<duration>(made.lasts, 3s);
      break;
    case fault_kind::cut_one_way:
      made.sides = {random.chance(500'000), false};
      made.sides[1] = !made.sides[0];
      break;
    case fault_kind::jump:
      made.time = random.between(1ms, 20s);
      break;
    case fault_kind::codel:
    case fault_kind::cut:
      break;
  }
  return made;
}

box_plan draw_box(sim::random_source random, std::uint32_t number, std::size_t hosts, duration chaos) {
  box_plan made;
  made.number = number;
  made.kind = static_cast<box_kind>(random.below(box_kinds));
  made.host = static_cast<std::uint32_t>(random.below(hosts));
  switch (made.kind) {
    case box_kind::mss_clamper:
      made.amount = static_cast<std::uint32_t>(random.between(100, 1'400));
      break;
    case box_kind::splitter:
      made.amount = static_cast<std::uint32_t>(random.between(50, 1'000));
      break;
    case box_kind::coalescer:
      made.amount = static_cast<std::uint32_t>(random.between(500, 1'400));
      break;
    case box_kind::resets:
      made.amount = static_cast<std::uint32_t>(random.between(500, 20'000));
      break;
    case box_kind::blind_resets:
      made.amount = static_cast<std::uint32_t>(random.between(5'000, 200'000));
      break;
    case box_kind::translator:
      if (random.chance(500'000)) made.rebinds_at = random.between(1ns, chaos);
      break;
    case box_kind::option_stripper:
      made.amount = static_cast<std::uint32_t>(random.between(1, 7));
      break;
    case box_kind::window_scale_bleacher:
    case box_kind::ecn_bleacher:
    case box_kind::syn_proxy:
      break;
  }
  return made;
}

std::vector<site_plan> draw_sites(sim::random_source random, std::size_t hosts, duration chaos) {
  if (!random.chance(350'000)) return {};
  std::vector<site_plan> made(std::min<std::size_t>(hosts, random.between(2, 3)));
  for (auto& one : made) {
    one.mtu_to_next = one_of<std::uint32_t>(random, {1500, 1500, 1400, 1280, 1006, 576});
    one.to_next.delay = random.between(0us, 20ms);
    if (random.chance(300'000))
      one.to_next.loss_millionths = static_cast<std::uint32_t>(random.below(20'000));
    if (random.chance(300'000)) one.to_next.bits_per_s = 10'000'000;
  }
  made[0].translates = random.chance(400'000);
  if (made[0].translates && random.chance(300'000)) made[0].rebinds_at = random.between(1ns, chaos);
  return made;
}

crash_plan draw_crash(sim::random_source random, std::uint32_t number, std::size_t hosts, duration chaos) {
  crash_plan made;
  made.number = number;
  made.host = static_cast<std::uint32_t>(random.below(hosts));
  made.begins = random.between(0ns, chaos);
  made.lasts = std::min(random.between(1ms, 3s), chaos - made.begins);
  return made;
}

bool is_omitted(omissions const& without, char kind, std::uint32_t number) {
  return std::ranges::find(without, kind + std::to_string(number)) != without.end();
}

std::string in_ms(duration time) {
  return std::to_string(time / 1ms) + " ms";
}

}  // namespace

bool plan::has(fault_kind kind) const {
  return std::ranges::any_of(faults, [&](auto const& fault) { return fault.kind == kind; });
}

bool plan::has(box_kind kind) const {
  return std::ranges::any_of(boxes, [&](auto const& box) { return box.kind == kind; });
}

bool plan::has(box_kind kind, std::uint32_t host) const {
  return std::ranges::any_of(boxes, [&](auto const& box) { return box.kind == kind && box.host == host; });
}

bool plan::has_cuts() const {
  return has(fault_kind::cut) || has(fault_kind::cut_one_way) || has(fault_kind::flap) ||
         has(fault_kind::hold) || has(fault_kind::black_hole);
}

bool plan::is_translated(std::array<std::uint32_t, 2> const& ends, bool is_v6) const {
  if (is_v6 || sites.empty() || !sites[0].translates) return false;
  return (hosts[ends[0]].site == 0) != (hosts[ends[1]].site == 0);
}

plan make_plan(std::uint64_t seed, omissions const& without) {
  sim::random_source const root(seed, "plan");
  auto random = root.fork("shape");
  plan all;
  all.seed = seed;
  all.chaos = random.between(1s, 12s);
  auto const hosts = random.between(2, 5);
  for (std::uint64_t i = 0; i < hosts; ++i) {
    all.hosts.push_back(draw_host(root.fork("host", i)));
    all.links.push_back(draw_link(root.fork("link", i)));
  }
  auto const conversations = random.between(1, 8);
  auto const datagrams = random.below(3);
  auto const faults = random.chance(100'000) ? 0 : random.between(1, 10);
  auto of_boxes = root.fork("boxes");
  auto const boxes = of_boxes.chance(400'000) ? of_boxes.between(1, 3) : 0;
  std::vector<fault_kind> kinds;  // swarm testing: each seed has a few kinds only
  for (std::size_t i = 0; i < fault_kinds; ++i) {
    if (random.chance(400'000)) kinds.push_back(static_cast<fault_kind>(i));
  }
  if (kinds.empty()) kinds.push_back(fault_kind::loss);
  for (std::uint32_t i = 0; i < conversations; ++i) {
    if (is_omitted(without, 'c', i)) continue;
    all.conversations.push_back(draw_conversation(root.fork("conversation", i), i, hosts, all.chaos));
  }
  for (std::uint32_t i = 0; i < datagrams; ++i) {
    if (is_omitted(without, 'd', i)) continue;
    all.datagrams.push_back(draw_datagrams(root.fork("datagrams", i), i, hosts, all.chaos));
  }
  for (std::uint32_t i = 0; i < faults; ++i) {
    if (is_omitted(without, 'f', i)) continue;
    all.faults.push_back(draw_fault(root.fork("fault", i), i, kinds, hosts, all.chaos));
  }
  for (std::uint32_t i = 0; i < boxes; ++i) {
    if (is_omitted(without, 'b', i)) continue;
    all.boxes.push_back(draw_box(root.fork("box", i), i, hosts, all.chaos));
  }
  all.sites = draw_sites(root.fork("sites"), hosts, all.chaos);
  for (std::size_t i = 0; i < all.hosts.size() && !all.sites.empty(); ++i) {
    all.hosts[i].site = static_cast<std::uint32_t>(i % all.sites.size());
  }
  auto of_crashes = root.fork("crashes");
  auto const crashes = of_crashes.chance(200'000) ? of_crashes.between(1, 2) : 0;
  for (std::uint32_t i = 0; i < crashes; ++i) {
    if (is_omitted(without, 'k', i)) continue;
    all.crashes.push_back(draw_crash(root.fork("crash", i), i, hosts, all.chaos));
  }
  // Nobody outside begins a conversation with who stands behind a translator of addresses.
  auto const may_begin = [&](auto& one) {
    if (!all.is_translated(one.hosts, one.is_v6)) return;
    if (all.hosts[one.hosts[0]].site != 0) std::swap(one.hosts[0], one.hosts[1]);
  };
  for (auto& one : all.conversations) {
    may_begin(one);
    if (all.is_translated(one.hosts, one.is_v6)) one.is_simultaneous = false;
  }
  for (auto& one : all.datagrams) may_begin(one);
  // Neither knows what to do with two SYNs that cross.
  for (auto& one : all.conversations) {
    for (auto const host : one.hosts) {
      if (all.has(box_kind::translator, host) || all.has(box_kind::syn_proxy, host))
        one.is_simultaneous = false;
    }
  }
  return all;
}

void apply(fault_plan const& fault, sim::link_settings& to) {
  switch (fault.kind) {
    case fault_kind::loss:
      to.loss_millionths = fault.amount;
      break;
    case fault_kind::bursts:
      to.burst_begin_millionths = fault.amount;
      break;
    case fault_kind::duplication:
      to.duplicate_millionths = fault.amount;
      break;
    case fault_kind::reordering:
      to.reorder_millionths = fault.amount;
      to.reorder_delay = fault.time;
      break;
    case fault_kind::corruption:
      to.corrupt_millionths = fault.amount;
      break;
    case fault_kind::jitter:
      to.delay_extra = fault.time / 4;
      break;
    case fault_kind::slow:
      to.delay += fault.time;
      break;
    case fault_kind::thin:
      to.bits_per_s = std::uint64_t{fault.amount} * 1'000;
      to.queue_bytes = std::min(to.queue_bytes, 65'536u);
      break;
    case fault_kind::tiny_queue:
      if (to.bits_per_s == 0) to.bits_per_s = 20'000'000;
      to.queue_bytes = fault.amount;
      break;
    case fault_kind::marks:
      if (to.bits_per_s == 0) to.bits_per_s = 20'000'000;
      to.queue = sim::queue_kind::ecn_mark;
      to.ecn_threshold_bytes = fault.amount;
      break;
    case fault_kind::codel:
      if (to.bits_per_s == 0) to.bits_per_s = 5'000'000;
      to.queue = sim::queue_kind::codel;
      break;
    case fault_kind::black_hole:
      to.mtu_bytes = fault.amount;
      break;
    case fault_kind::cut:
    case fault_kind::cut_one_way:
      to.is_cut = true;
      break;
    case fault_kind::flap:
      to.up_for = fault.time * fault.amount / 1'000;
      to.down_for = fault.time - to.up_for;
      break;
    case fault_kind::hold:
      to.is_held = true;
      break;
    case fault_kind::jump:
      break;
  }
}

std::vector<std::string> items(plan const& all) {
  std::vector<std::string> names;
  for (auto const& one : all.faults) names.push_back("f" + std::to_string(one.number));
  for (auto const& one : all.boxes) names.push_back("b" + std::to_string(one.number));
  for (auto const& one : all.crashes) names.push_back("k" + std::to_string(one.number));
  for (auto const& one : all.conversations) names.push_back("c" + std::to_string(one.number));
  for (auto const& one : all.datagrams) names.push_back("d" + std::to_string(one.number));
  return names;
}

std::string describe(plan const& all) {
  std::string text = "chaos for " + in_ms(all.chaos) + ", " + std::to_string(all.hosts.size()) + " hosts\n";
  auto const settings = [](net::tcp::settings const& s) {
    return std::string(s.control == net::tcp::congestion_control::cubic ? " cubic" : " reno") +
           (s.ecn ? " ecn" : "") + (s.no_delay ? "" : " nagle") +
           (s.keepalive ? " keepalive " + in_ms(s.keepalive_idle) : "") +
           (s.user_timeout != 0s ? " user timeout " + in_ms(s.user_timeout) : "") + ", buffers " +
           std::to_string(s.receive_buffer_bytes) + " in " + std::to_string(s.send_buffer_bytes) + " out";
  };
  for (std::size_t i = 0; i < all.hosts.size(); ++i) {
    auto const& host = all.hosts[i];
    auto const& link = all.links[i].from_host;
    text += "  h" + std::to_string(i) + (all.sites.empty() ? "" : " at site " + std::to_string(host.site)) +
            " mtu " + std::to_string(host.mtu_bytes) + (host.has_offloads ? " offloads" : "") +
            settings(host.accepted) + "; delay " + std::to_string(link.delay / 1us) + "+" +
            std::to_string(link.delay_extra / 1us) + " us, " + std::to_string(link.bits_per_s / 1'000) +
            " kbit/s\n";
  }
  for (std::size_t i = 0; i < all.sites.size(); ++i) {
    auto const& one = all.sites[i];
    text += "  site " + std::to_string(i) + (one.translates ? " behind a translator" : "") +
            (one.rebinds_at != 0ns ? ", which rebinds at " + in_ms(one.rebinds_at) : "");
    if (i + 1 < all.sites.size()) {
      text += ", to the next: mtu " + std::to_string(one.mtu_to_next) + ", loss " +
              std::to_string(one.to_next.loss_millionths) + ", " +
              std::to_string(one.to_next.bits_per_s / 1'000) + " kbit/s";
    }
    text += "\n";
  }
  for (auto const& k : all.crashes) {
    text += "  k" + std::to_string(k.number) + " h" + std::to_string(k.host) + " crashes at " +
            in_ms(k.begins) + ", boots " + in_ms(k.lasts) + " later\n";
  }
  for (auto const& c : all.conversations) {
    text += "  c" + std::to_string(c.number) + " h" + std::to_string(c.hosts[0]) + " to h" +
            std::to_string(c.hosts[1]) + (c.is_v6 ? " v6" : " v4") + " at " + in_ms(c.begins) + ": " +
            std::to_string(c.bytes[0]) + " and " + std::to_string(c.bytes[1]) + " bytes" +
            (c.message_bytes ? ", by turns of " + std::to_string(c.message_bytes) : "") +
            (c.is_simultaneous ? ", both connect" : "") + (c.idle != 0s ? ", rests " + in_ms(c.idle) : "") +
            (c.aborting_side >= 0 ? ", side " + std::to_string(c.aborting_side) + " aborts" : "") +
            settings(c.settings) + "\n";
  }
  for (auto const& d : all.datagrams) {
    text += "  d" + std::to_string(d.number) + " h" + std::to_string(d.hosts[0]) + " to h" +
            std::to_string(d.hosts[1]) + ": " + std::to_string(d.count) + " datagrams of " +
            std::to_string(d.bytes) + " bytes\n";
  }
  for (auto const& b : all.boxes) {
    text += "  b" + std::to_string(b.number) + " " +
            std::string(box_names[static_cast<std::size_t>(b.kind)]) + " at h" + std::to_string(b.host) +
            ", " + std::to_string(b.amount) +
            (b.rebinds_at != 0ns ? ", rebinds at " + in_ms(b.rebinds_at) : "") + "\n";
  }
  for (auto const& f : all.faults) {
    text += "  f" + std::to_string(f.number) + " " +
            std::string(kind_names[static_cast<std::size_t>(f.kind)]) + " at h" + std::to_string(f.host) +
            (f.sides[0] ? " out" : "") + (f.sides[1] ? " in" : "") + " from " + in_ms(f.begins) + " for " +
            in_ms(f.lasts) + ", " + std::to_string(f.amount) + ", " + in_ms(f.time) + "\n";
  }
  return text;
}

}  // namespace morgana::simulation
