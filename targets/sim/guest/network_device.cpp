#include "morgana/sim/network_device.hpp"

#include <algorithm>
#include <cstring>

#include "host.hpp"
#include "morgana/core/log.hpp"
#include "morgana/net/buffer_pool.hpp"

namespace morgana::sim {
namespace {

net::device_capabilities capabilities_of(morgana_sim_network const& about) {
  net::device_capabilities out;
  out.mtu_bytes = about.mtu_bytes;
  out.transmit_checksum = out.receive_checksum = about.has_offloads != 0;
  out.segmentation_tcp_v4 = out.segmentation_tcp_v6 = about.has_offloads != 0;
  std::memcpy(out.address.bytes.data(), about.address, out.address.bytes.size());
  return out;
}

}  // namespace

struct network_device_state final : pollable, net::frame_port {
  network_device_state(int of, morgana_sim_network const& about)
      : frame_port(capabilities_of(about)),
        network(of),
        pool(about.has_offloads != 0 ? net::segment_bytes_max + 1
                                     : about.mtu_bytes + ethernet_bytes + vlan_bytes,
             network_device::buffer_bytes_max) {}

  void deliver() override {
    readable = true;
    room_came();
    frames_came();
  }
  [[nodiscard]] std::size_t take(std::span<net::segment> into) override;

  int network;
  bool readable = true;
  net::buffer_pool pool;
};

namespace {

/// False when what came beside the frame makes no sense.
bool read_state(morgana_sim_frame_state const& from, net::segment& into) {
  if (from.gso_kind > static_cast<std::uint8_t>(net::segmentation::udp) ||
      from.checksum > static_cast<std::uint8_t>(net::checksum_state::partial)) {
    return false;
  }
  into.gso_kind = static_cast<net::segmentation>(from.gso_kind);
  into.gso_size = from.gso_size;
  into.checksum = static_cast<net::checksum_state>(from.checksum);
  into.checksum_start = from.checksum_start;
  into.checksum_offset = from.checksum_offset;
  if (into.gso_kind != net::segmentation::none && into.gso_size == 0) return false;
  return into.checksum != net::checksum_state::partial ||
         std::size_t{from.checksum_start} + from.checksum_offset + 2 <= into.size();
}

morgana_sim_frame_state state_of(net::segment const& from) {
  return {.gso_size = from.gso_kind == net::segmentation::none ? std::uint16_t{0} : from.gso_size,
          .gso_kind = static_cast<std::uint8_t>(from.gso_kind),
          .checksum = static_cast<std::uint8_t>(from.checksum),
          .checksum_start = from.checksum_start,
          .checksum_offset = from.checksum_offset};
}

}  // namespace

// ---- receiving ----------------------------------------------------------------------------------------

std::size_t network_device_state::take(std::span<net::segment> into) {
  std::size_t taken = 0;
  while (readable && taken < into.size()) {
    auto room = pool.take_slice(pool.buffer_bytes());
    auto const memory = room.writable();
    morgana_sim_frame_state about{};
    // Without a buffer the frame is taken all the same, and lost.
    auto const got = simulator->receive(simulator->self, network, memory.data(), memory.size(), &about);
    if (got < 0) {
      if (taken == 0) ended.emplace(core_error::closed);
      return taken;
    }
    if (got == 0) {
      readable = false;
      break;
    }
    auto const bytes = static_cast<std::size_t>(got);
    if (bytes < ethernet_bytes || bytes > memory.size()) {
      ++counters.dropped_received;
      continue;
    }
    auto& frame = into[taken];
    frame.clear();
    room.drop_back(memory.size() - bytes);
    if (!frame.append(std::move(room)) || !read_state(about, frame)) {
      frame.clear();
      ++counters.dropped_received;
      continue;
    }
    ++counters.received_frames;
    ++taken;
  }
  return taken;
}

// ---- sending ------------------------------------------------------------------------------------------

result<std::size_t> network_device::transmit(std::span<net::segment> from) {
  auto& on = *state_;
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto& frame = from[i];
    if (!on.can_send(frame)) {
      frame.clear();
      continue;
    }
    morgana_sim_part parts[1 + net::segment_slices_max];
    std::size_t count = 0;
    auto const add = [&](std::span<std::byte const> bytes) {
      if (!bytes.empty()) parts[count++] = {.data = bytes.data(), .size = bytes.size()};
    };
    add(std::as_const(frame).header());
    for (auto const& part : frame.slices()) add(part.bytes());
    auto const about = state_of(frame);
    auto const taken = simulator->transmit(simulator->self, on.network, parts, count, &about);
    if (taken < 0) return failure(core_error::closed);
    if (taken == 0) {
      on.writable = false;
      return i;
    }
    ++on.counters.sent_frames;
    frame.clear();
  }
  return from.size();
}

// ---- the device ---------------------------------------------------------------------------------------

task<result<std::unique_ptr<network_device>>> network_device::connect(context& in, device_name name) {
  morgana_sim_network about{};
  auto const network = simulator->find_network(simulator->self, text(name.text), &about);
  if (network < 0) {
    log_source const log(in.log(), "net");
    log.error(
        "there is no network `{}`: attach one with `morgana run --network {}=tap:NAME`, or in a simulated "
        "world",
        name.text, name.text);
    co_return failure(core_error::device_missing);
  }
  co_return std::unique_ptr<network_device>(
      new network_device(std::make_unique<network_device_state>(network, about)));
}

network_device::network_device(std::unique_ptr<network_device_state> state) : state_(std::move(state)) {}
network_device::~network_device() = default;
net::device_capabilities network_device::capabilities() const {
  return state_->as;
}
net::frame_receive network_device::receive(std::span<net::segment> into, instant deadline) {
  return {*state_, into, deadline};
}
net::frame_room network_device::room(instant deadline) {
  return {*state_, deadline};
}
net::frame_counters const& network_device::counters() const {
  return state_->counters;
}

}  // namespace morgana::sim
