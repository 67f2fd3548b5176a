#include "morgana/sim/network_device.hpp"

#include <algorithm>
#include <cstring>

#include "host.hpp"
#include "morgana/core/log.hpp"
#include "morgana/net/buffer_pool.hpp"

namespace morgana::sim {
namespace {

constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t vlan_bytes = 4;

net::device_capabilities capabilities_of(morgana_sim_network const& about) {
  net::device_capabilities out;
  out.mtu_bytes = about.mtu_bytes;
  out.transmit_checksum = out.receive_checksum = about.has_offloads != 0;
  out.segmentation_tcp_v4 = out.segmentation_tcp_v6 = about.has_offloads != 0;
  std::memcpy(out.address.bytes.data(), about.address, out.address.bytes.size());
  return out;
}

}  // namespace

struct network_device_state final : pollable {
  network_device_state(int of, morgana_sim_network const& about)
      : network(of),
        as(capabilities_of(about)),
        pool(about.has_offloads != 0 ? net::segment_bytes_max + 1
                                     : about.mtu_bytes + ethernet_bytes + vlan_bytes,
             network_device::buffer_bytes_max) {}

  void deliver() override {
    writable = readable = true;
    writers.complete_all();
    while (auto* const first = static_cast<network_device::receive_wait*>(readers.first())) {
      if (!first->attempt()) return;
      first->complete();
    }
  }

  int network;
  bool readable = true;
  bool writable = true;
  net::device_capabilities as;
  net::buffer_pool pool;
  wait_queue readers;
  wait_queue writers;
  network_device_counters counters;
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

/// False for a frame this device cannot put on its link.
bool can_send(network_device_state const& on, net::segment const& frame) {
  if (frame.size() < ethernet_bytes) return false;
  switch (frame.gso_kind) {
    case net::segmentation::none:
      if (frame.size() > on.as.mtu_bytes + ethernet_bytes + vlan_bytes) return false;
      break;
    case net::segmentation::tcp_v4:
      if (!on.as.segmentation_tcp_v4) return false;
      break;
    case net::segmentation::tcp_v6:
      if (!on.as.segmentation_tcp_v6) return false;
      break;
    case net::segmentation::udp:
      return false;
  }
  return frame.checksum != net::checksum_state::partial || on.as.transmit_checksum;
}

}  // namespace

// ---- receiving ----------------------------------------------------------------------------------------

wait_queue& network_device::receive_wait::queue() {
  return on_->readers;
}

bool network_device::receive_wait::await_ready() {
  return into_.empty() || (on_->readers.is_empty() && attempt());
}

bool network_device::receive_wait::attempt() {
  auto& on = *on_;
  while (on.readable && count_ < into_.size()) {
    auto room = on.pool.take_slice(on.pool.buffer_bytes());
    auto const memory = room.writable();
    morgana_sim_frame_state about{};
    // Without a buffer the frame is taken all the same, and lost.
    auto const got = simulator->receive(simulator->self, on.network, memory.data(), memory.size(), &about);
    if (got <= 0) {
      on.readable = false;
      is_closed_ = got < 0;
      return count_ != 0 || is_closed_;
    }
    auto const bytes = static_cast<std::size_t>(got);
    if (bytes < ethernet_bytes || bytes > memory.size()) {
      ++on.counters.dropped_received;
      continue;
    }
    auto& frame = into_[count_];
    frame.clear();
    room.drop_back(memory.size() - bytes);
    if (!frame.append(std::move(room)) || !read_state(about, frame)) {
      frame.clear();
      ++on.counters.dropped_received;
      continue;
    }
    ++on.counters.received_frames;
    ++count_;
  }
  return count_ != 0;
}

result<std::size_t> network_device::receive_wait::await_resume() {
  if (count_ != 0) return count_;
  if (is_closed_) return failure(core_error::closed);
  if (timed_out()) return failure(core_error::timed_out);
  return 0;
}

// ---- sending ------------------------------------------------------------------------------------------

result<std::size_t> network_device::transmit(std::span<net::segment> from) {
  auto& on = *state_;
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto& frame = from[i];
    if (!can_send(on, frame)) {
      ++on.counters.dropped_sent;
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

bool network_device::room_wait::await_ready() const {
  return on_->writable;
}
wait_queue& network_device::room_wait::queue() {
  return on_->writers;
}
result<void> network_device::room_wait::await_resume() const {
  if (timed_out()) return failure(core_error::timed_out);
  return {};
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
network_device_counters const& network_device::counters() const {
  return state_->counters;
}

}  // namespace morgana::sim
