#include "morgana/sim/capture.hpp"

#include <array>

namespace morgana::sim {

namespace {

constexpr std::uint32_t magic_nanoseconds = 0xa1b2'3c4d;
constexpr std::uint32_t link_ethernet = 1;
constexpr std::uint32_t snapshot_bytes = 262'144;

void mark(std::vector<bool>& set, node_id which) {
  if (set.size() <= which) set.resize(which + 1);
  set[which] = true;
}
bool has(std::vector<bool> const& set, node_id which) {
  return which < set.size() && set[which];
}

}  // namespace

capture::capture(std::string const& path) : file_(std::fopen(path.c_str(), "wb")) {
  if (!file_) return;
  put32(magic_nanoseconds);
  put32(2 | 4 << 16);  // version 2.4
  put32(0);
  put32(0);
  put32(snapshot_bytes);
  put32(link_ethernet);
}

void capture::take_from(node_id which) {
  mark(from_, which);
}
void capture::take_at(node_id which) {
  mark(at_, which);
}

void capture::on_sent(port_id from, frame const& sent, instant now) {
  if (has(from_, from.node)) put(sent, now);
}
void capture::on_delivered(port_id to, frame const& arrived, instant now) {
  if (has(at_, to.node)) put(arrived, now);
}

void capture::put32(std::uint32_t value) {
  // Little-endian whatever the machine: the file is the same everywhere.
  std::array<unsigned char, 4> const bytes = {
      static_cast<unsigned char>(value), static_cast<unsigned char>(value >> 8),
      static_cast<unsigned char>(value >> 16), static_cast<unsigned char>(value >> 24)};
  (void)std::fwrite(bytes.data(), 1, bytes.size(), file_.get());
}

void capture::put(frame const& one, instant now) {
  if (!file_) return;
  auto const ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
  put32(static_cast<std::uint32_t>(ns / 1'000'000'000));
  put32(static_cast<std::uint32_t>(ns % 1'000'000'000));
  put32(static_cast<std::uint32_t>(one.size()));
  put32(static_cast<std::uint32_t>(one.size()));
  (void)std::fwrite(one.bytes.data(), 1, one.size(), file_.get());
}

}  // namespace morgana::sim
