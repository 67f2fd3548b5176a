#include "morgana/xen/netfront.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "morgana/core/deadline.hpp"
#include "morgana/core/platform.hpp"
#include "netfront_state.hpp"

namespace morgana::xen {
namespace {

/// Between two looks whether a page is still mapped.
constexpr duration release_interval = std::chrono::milliseconds(10);
/// Pages of each direction at least: three quarters of them hold a whole super-packet, for which a backend waits.
constexpr std::size_t pages_min = 32;

std::size_t part_of_memory(std::size_t divisor, std::size_t most) {
  auto const pages = static_cast<std::size_t>(platform::memory().limit_bytes / grant_page_bytes);
  return std::clamp(pages / divisor, pages_min, most);
}

}  // namespace

// ---- connecting ---------------------------------------------------------------------------------------

task<result<void>> netfront_state::read_features(instant deadline) {
  constexpr std::string_view our_keys[] = {"mac", "mtu"};
  std::optional<std::string> ours[std::size(our_keys)];
  if (auto answered = co_await device.ours(our_keys, ours, deadline); !answered) co_return failure(answered.error());
  auto const& [address_text, mtu] = ours;
  auto const address = address_text ? net::mac_address::parse(*address_text) : std::nullopt;
  if (!address) {
    log.error("`{}`: {}/mac is no Ethernet address", name, device.path());
    co_return failure(core_error::invalid_argument);
  }
  as.address = *address;
  enum : std::size_t { copies, sg, split_events, no_sums, sums_v6, gso_v4, gso_v6 };
  constexpr std::string_view keys[] = {"feature-rx-copy", "feature-sg", "feature-split-event-channels",
                                       "feature-no-csum-offload", "feature-ipv6-csum-offload", "feature-gso-tcpv4",
                                       "feature-gso-tcpv6"};
  std::optional<std::string> theirs[std::size(keys)];
  if (auto answered = co_await device.theirs(keys, theirs, deadline); !answered) co_return failure(answered.error());
  auto const has = [&](std::size_t which) { return decimal_of(theirs[which]).value_or(0) != 0; };
  if (!has(copies)) {
    log.error("`{}`: the backend at {} does not copy, which this driver needs", name, device.backend_path());
    co_return failure(core_error::not_supported);
  }
  has_sg = has(sg);
  splits_events = has(split_events);
  // Sums of IPv4 are taken unless the backend says otherwise, of IPv6 only if it says so; a stack asks for both.
  as.transmit_checksum = !has(no_sums) && has(sums_v6);
  as.receive_checksum = true;
  auto const can_cut = has_sg && as.transmit_checksum;
  as.segmentation_tcp_v4 = can_cut && has(gso_v4);
  as.segmentation_tcp_v6 = can_cut && has(gso_v6);
  // Without scatter-gather a frame is one page.
  auto const most = (has_sg ? net_wire::frame_bytes_max : grant_page_bytes) - ethernet_bytes - vlan_bytes;
  auto const wanted = decimal_of(mtu);
  // RFC 791: every link carries 68 bytes.
  if (wanted && *wanted >= 68) as.mtu_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(*wanted, most));
  co_return {};
}

result<void> netfront_state::make_rings() {
  auto const with = device.backend();
  auto const receive_limit = part_of_memory(8, netfront::receive_pages_max);
  transmit_pages.emplace(*host, with, grant_access::read_only, part_of_memory(16, netfront::transmit_pages_max));
  receive_pages.emplace(*host, with, grant_access::read_write, receive_limit);
  // As many as one frame may need are there from the start, so that later there is only waiting, no failing.
  std::array<page_pool::page*, net_wire::frame_slots_max> first{};
  for (auto& page : first) page = transmit_pages->take();
  for (auto* const page : first) {
    if (page != nullptr) transmit_pages->give(*page);
  }
  if (first.back() == nullptr) return failure(core_error::out_of_memory);
  auto ring = shared_pages::make(*host, with, 1);
  if (!ring) return failure(std::move(ring.error()));
  transmit_ring = *std::move(ring);
  ring = shared_pages::make(*host, with, 1);
  if (!ring) return failure(std::move(ring.error()));
  receive_ring = *std::move(ring);
  transmitter.emplace(transmit_ring.memory(), *transmit_pages);
  receiver.emplace(receive_ring.memory(), *receive_pages, static_cast<std::uint32_t>(receive_limit / 4 * 3), receive_limit);
  receive_pages->tell(*this);
  return open_ports();
}

result<void> netfront_state::open_ports() {
  auto const with = device.backend();
  auto port = host->open_port(with);
  if (!port) return failure(std::move(port.error()));
  transmit_port = bound_port(*host, *port);
  receive_port.port = &transmit_port;
  if (!splits_events) return {};
  port = host->open_port(with);
  if (!port) return failure(std::move(port.error()));
  receive_events = bound_port(*host, *port);
  receive_port.port = &receive_events;
  return {};
}

std::vector<store_entry> netfront_state::entries() const {
  std::vector<store_entry> out{{"tx-ring-ref", text_of(transmit_ring.reference(0))},
                               {"rx-ring-ref", text_of(receive_ring.reference(0))},
                               {"request-rx-copy", "1"},
                               {"feature-rx-notify", "1"},
                               {"feature-sg", "1"},
                               {"feature-gso-tcpv4", "1"},
                               {"feature-gso-tcpv6", "1"},
                               {"feature-no-csum-offload", "0"},
                               {"feature-ipv6-csum-offload", "1"}};
  if (splits_events) {
    out.push_back({"event-channel-tx", text_of(transmit_port.number())});
    out.push_back({"event-channel-rx", text_of(receive_events.number())});
  } else {
    out.push_back({"event-channel", text_of(transmit_port.number())});
  }
  return out;
}

task<result<void>> netfront_state::connect(instant deadline) {
  if (auto found = co_await device.find(deadline); !found) co_return found;
  if (auto read = co_await read_features(deadline); !read) co_return read;
  if (auto made = make_rings(); !made) {
    log.error("`{}`: {}", name, made.error());
    co_return made;
  }
  co_return co_await show_rings(deadline);
}

task<result<void>> netfront_state::show_rings(instant deadline) {
  auto const keys = entries();
  if (auto told = co_await device.publish(keys, device_state::connected, deadline); !told) co_return told;
  if (auto reached = co_await device.reached(device_state::connected, deadline); !reached) co_return reached;
  is_busy = is_away = false;
  lend_pages();
  co_return {};
}

// ---- after a suspend ----------------------------------------------------------------------------------

void netfront_state::renew(domain with) {
  transmit_pages->renew(with);
  receive_pages->renew(with);
  transmit_ring.renew(with);
  receive_ring.renew(with);
  if (lost) return;
  transmitter->restart(transmit_ring.memory());
  receiver->restart(receive_ring.memory());
}

void netfront_state::resumed(resumption how) {
  if (how != resumption::elsewhere || !receiver) return;
  transmit_port.forget();
  receive_events.forget();
  renew(device.backend());
  if (lost) return;
  is_busy = is_away = true;
  // Nobody waits for room where everything is lost.
  room_came();
}

task<result<void>> netfront_state::connect_again(instant deadline) {
  auto const before = as;
  if (auto found = co_await device.find(deadline); !found) co_return found;
  if (auto read = co_await read_features(deadline); !read) co_return read;
  // Whoever uses the device goes by what it could.
  auto const after_all = std::exchange(as, before);
  if (after_all.address != before.address || after_all.mtu_bytes < before.mtu_bytes ||
      after_all.transmit_checksum < before.transmit_checksum ||
      after_all.segmentation_tcp_v4 < before.segmentation_tcp_v4 ||
      after_all.segmentation_tcp_v6 < before.segmentation_tcp_v6) {
    log.error("`{}`: after the suspend the backend at {} has another address or can less", name, device.backend_path());
    co_return failure(core_error::not_supported);
  }
  renew(device.backend());
  if (auto opened = open_ports(); !opened) co_return opened;
  co_return co_await show_rings(deadline);
}

task<void> netfront_state::monitor() {
  while (!lost) {
    if (!co_await device.changed(never)) co_return;
    auto const& here = co_await this_context();
    auto const deadline = after(here.now(), netfront::connect_time);
    if (is_away) {
      if (co_await connect_again(deadline)) {
        log.info("`{}`: connected again", name);
        continue;
      }
      is_busy = is_away = false;
      lose(driver_error::backend_failed);
      co_return;
    }
    auto const state = co_await device.backend_state(deadline);
    if (state != device_state::connected && state != device_state::reconfiguring &&
        state != device_state::reconfigured) {
      log.error("`{}`: the backend closed {}", name, device.path());
      lose(driver_error::backend_failed);
      co_return;
    }
    auto const carrier = co_await device.their_number("carrier", 1, deadline) != 0;
    if (std::exchange(has_carrier, carrier) != carrier) {
      log.warning("`{}`: the link is {}", name, std::string_view(carrier ? "up" : "down"));
    }
  }
}

task<result<std::unique_ptr<netfront>>> netfront::connect(context& in, device_name name,
                                                          netfront_options const& options) {
  auto* const host = driver_host::of_guest();
  if (host == nullptr) {
    log_source const log(in.log(), "net");
    log.error("`{}`: this is no guest of Xen, and has no networks", name.text);
    co_return failure(core_error::device_missing);
  }
  co_return co_await connect(in, *host, name, options);
}

task<result<std::unique_ptr<netfront>>> netfront::connect(context& in, driver_host& on, device_name name,
                                                          netfront_options const& options) {
  auto const number = options.vif ? std::uint32_t{*options.vif} : name.place;
  std::unique_ptr<netfront> made(
      new netfront(std::make_unique<netfront_state>(on, log_source(in.log(), "net"), name.text, number)));
  auto& state = *made->state_;
  if (auto connected = co_await state.connect(after(in.now(), connect_time)); !connected) {
    co_await made->disconnect();
    co_return failure(std::move(connected.error()));
  }
  state.monitoring = state.monitor();
  state.monitoring.start(in, state.monitor_ended);
  state.log.debug("`{}`: vif {}, {}, {} bytes, checksums {}, super-packets {}, split events {}", name.text, number,
                  state.as.address, state.as.mtu_bytes, state.as.transmit_checksum, state.as.segmentation_tcp_v4,
                  state.splits_events);
  co_return made;
}

task<void> netfront::disconnect() {
  auto& state = *state_;
  auto const& here = co_await this_context();
  auto const deadline = after(here.now(), disconnect_time);
  state.is_busy = true;
  state.lose(driver_error::backend_failed);
  state.monitoring = {};
  (void)co_await state.device.close(deadline);
  state.is_busy = false;
  // What it was lent comes back before the pages go.
  if (state.transmitter) state.transmitter->take_back();
  for (;;) {
    auto const free = (!state.receiver || state.receiver->take_back()) &&
                      (!state.receive_pages || state.receive_pages->end()) &&
                      (!state.transmit_pages || state.transmit_pages->end()) && state.receive_ring.end() &&
                      state.transmit_ring.end();
    if (free) co_return;
    auto const& now = co_await this_context();
    if (now.now() >= deadline) break;
    co_await sleep_for(release_interval);
  }
  state.log.error("`{}`: the backend at {} keeps pages of this guest mapped; they are lost", state.name,
                  state.device.backend_path());
}

// ---- what it is to others -----------------------------------------------------------------------------

net::frame_receive netfront::receive(std::span<net::segment> into, instant deadline) {
  return {*state_, into, deadline};
}
net::frame_room netfront::room(instant deadline) {
  return {*state_, deadline};
}
net::device_capabilities netfront::capabilities() const {
  return state_->as;
}
net::frame_counters const& netfront::counters() const {
  return state_->counters;
}
std::span<std::byte const> netfront::receive_ring() const {
  return state_->receive_ring.memory();
}

netfront::netfront(std::unique_ptr<netfront_state> state) : state_(std::move(state)) {}
netfront::~netfront() = default;

}  // namespace morgana::xen
