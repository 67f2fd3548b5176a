#include "morgana/sim/guest_node.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace morgana::sim {
namespace {

void fill(random_source& from, std::span<std::byte> into) {
  while (!into.empty()) {
    auto const drawn = from.next();
    auto const size = std::min(into.size(), sizeof drawn);
    std::memcpy(into.data(), &drawn, size);
    into = into.subspan(size);
  }
}

}  // namespace

guest_node::guest_node(guest_node_settings settings, random_source const& random)
    : random_(random.fork("guest")), disks_(std::move(settings.disks)) {
  auto addresses = random.fork("addresses");
  for (auto& one : settings.networks) {
    if (one.address == std::array<std::uint8_t, 6>{}) {
      fill(addresses, std::as_writable_bytes(std::span(one.address)));
      // IEEE 802: locally administered, to one station.
      one.address[0] = static_cast<std::uint8_t>((one.address[0] & 0xfc) | 2);
    }
    networks_.push_back({.as = std::move(one), .arrived = {}, .sent = {}});
  }
}

std::expected<std::unique_ptr<guest_node>, std::string> guest_node::load(std::shared_ptr<image const> what,
                                                                         guest_node_settings settings,
                                                                         random_source const& random) {
  auto of_guest = std::move(settings.guest);
  auto secrets = random.fork("boot secret");
  fill(secrets, of_guest.boot_secret);
  std::unique_ptr<guest_node> out(new guest_node(std::move(settings), random));
  auto one = guest::load(std::move(what), *out, std::move(of_guest));
  if (!one) return std::unexpected(std::move(one.error()));
  out->guest_ = *std::move(one);
  return out;
}

void guest_node::request_stop() {
  guest_->request_stop();
  run_soon_ = true;
}

void guest_node::receive(std::size_t port, frame& arrived, instant now) {
  auto& on = networks_[port];
  if (guest_->has_ended()) return;
  if (on.arrived.size() >= ring_frames_max) {
    ++dropped_frames_;
    return;
  }
  on.arrived.push_back(std::move(arrived));
  guest_->run(now);
}

bool guest_node::poll_transmit(std::size_t port, frame& into, instant) {
  auto& on = networks_[port];
  if (on.sent.empty()) return false;
  into = std::move(on.sent.front());
  on.sent.pop_front();
  return true;
}

instant guest_node::next_deadline() const {
  if (guest_->has_ended()) return never;
  return run_soon_ ? instant() : guest_->next_deadline();
}

void guest_node::on_deadline(instant now) {
  run_soon_ = false;
  guest_->run(now);
}

// ---- services ------------------------------------------------------------------------------------------

void guest_node::console_write(std::span<std::byte const> bytes) {
  auto const room = std::min(bytes.size(), console_bytes_max - console_.size());
  console_.append(reinterpret_cast<char const*>(bytes.data()), room);
  dropped_bytes_ += bytes.size() - room;
}

wall_time guest_node::wall_now(instant since_boot) {
  // 2030-01-01 00:00:00 UTC
  return wall_time(1'893'456'000s) + since_boot.time_since_epoch();
}

void guest_node::random(std::span<std::byte> into) {
  fill(random_, into);
}

int guest_node::find_network(std::string_view name, morgana_sim_network& about) {
  auto const at = std::ranges::find(networks_, name, [](network const& one) -> auto& { return one.as.name; });
  if (at == networks_.end()) return -1;
  about = {.mtu_bytes = at->as.mtu_bytes,
           .address = {},
           .has_offloads = static_cast<std::uint8_t>(at->as.has_offloads ? 1 : 0),
           .reserved = 0};
  std::memcpy(about.address, at->as.address.data(), sizeof about.address);
  return static_cast<int>(at - networks_.begin());
}

int guest_node::transmit(int number, std::span<morgana_sim_part const> parts,
                         morgana_sim_frame_state const& state) {
  auto& on = networks_[static_cast<std::size_t>(number)];
  if (on.sent.size() >= ring_frames_max) {
    run_soon_ = true;  // there is room as soon as the world took what is there
    return 0;
  }
  frame out;
  for (auto const& part : parts) {
    auto const* const bytes = static_cast<std::byte const*>(part.data);
    out.bytes.insert(out.bytes.end(), bytes, bytes + part.size);
  }
  out.gso_size = state.gso_size;
  out.gso_kind = static_cast<net::segmentation>(state.gso_kind);
  out.checksum = static_cast<net::checksum_state>(state.checksum);
  out.checksum_start = state.checksum_start;
  out.checksum_offset = state.checksum_offset;
  on.sent.push_back(std::move(out));
  return 1;
}

std::ptrdiff_t guest_node::receive(int number, std::span<std::byte> into, morgana_sim_frame_state& state) {
  auto& on = networks_[static_cast<std::size_t>(number)];
  if (on.arrived.empty()) return 0;
  auto const& next = on.arrived.front();
  state = {.gso_size = next.gso_size,
           .gso_kind = static_cast<std::uint8_t>(next.gso_kind),
           .checksum = static_cast<std::uint8_t>(next.checksum),
           .checksum_start = next.checksum_start,
           .checksum_offset = next.checksum_offset};
  auto const size = next.size();
  std::memcpy(into.data(), next.bytes.data(), std::min(size, into.size()));
  on.arrived.pop_front();
  return static_cast<std::ptrdiff_t>(size);
}

int guest_node::find_disk(std::string_view name, morgana_sim_disk& about) {
  auto const at = std::ranges::find(disks_, name, &guest_disk_settings::name);
  if (at == disks_.end()) return -1;
  about = {.sectors = at->bytes.size() / at->sector_bytes,
           .sector_bytes = at->sector_bytes,
           .read_only = at->read_only ? 1u : 0u};
  return static_cast<int>(at - disks_.begin());
}

int guest_node::disk_read(int number, std::uint64_t sector, std::span<std::byte> into) {
  auto const& on = disks_[static_cast<std::size_t>(number)];
  auto const offset = sector * on.sector_bytes;
  if (offset > on.bytes.size() || into.size() > on.bytes.size() - offset) return EIO;
  std::memcpy(into.data(), on.bytes.data() + offset, into.size());
  return 0;
}

int guest_node::disk_write(int number, std::uint64_t sector, std::span<std::byte const> from) {
  auto& on = disks_[static_cast<std::size_t>(number)];
  auto const offset = sector * on.sector_bytes;
  if (on.read_only) return EROFS;
  if (offset > on.bytes.size() || from.size() > on.bytes.size() - offset) return EIO;
  std::memcpy(on.bytes.data() + offset, from.data(), from.size());
  return 0;
}

std::string_view guest_node::recording(std::string_view name) const {
  auto const at = std::ranges::find(recordings_, name, &recorded::name);
  return at == recordings_.end() ? std::string_view() : at->bytes;
}

int guest_node::begin_recording(std::string_view name) {
  auto at = std::ranges::find(recordings_, name, &recorded::name);
  if (at == recordings_.end()) {
    if (recordings_.size() == recordings_max) return -EMFILE;
    at = recordings_.insert(recordings_.end(), {std::string(name), {}});
  }
  at->bytes.clear();
  return static_cast<int>(at - recordings_.begin());
}

int guest_node::append_recording(int number, std::span<morgana_sim_part const> parts) {
  auto& bytes = recordings_[static_cast<std::size_t>(number)].bytes;
  for (auto const& part : parts) {
    if (part.size > recording_bytes_max - bytes.size()) return EFBIG;
    bytes.append(static_cast<char const*>(part.data), part.size);
  }
  return 0;
}

}  // namespace morgana::sim
