#include "morgana/sim/core_host.hpp"

#include <algorithm>
#include <cstring>

#include "morgana/sim/random.hpp"

namespace morgana::sim {

namespace {

net::keyed_secrets secrets_of(std::uint64_t seed) {
  random_source random(seed, "secret");
  std::array<std::byte, 32> secret;
  for (std::size_t i = 0; i < secret.size(); i += 8) {
    auto const word = random.next();
    std::memcpy(secret.data() + i, &word, 8);
  }
  return net::keyed_secrets::derive(secret);
}

std::size_t buffer_size(net::device_capabilities const& device) {
  return device.segmentation_tcp_v4 || device.segmentation_tcp_v6 ? 4096 : 2048;
}

}  // namespace

core_host::core_host(net::core_configuration const& configuration, std::uint64_t seed,
                     std::size_t buffer_bytes, instant now)
    : buffers_(buffer_size(configuration.device), buffer_bytes),
      ring_(buffer_size(configuration.device), buffer_bytes),
      stack_(configuration, secrets_of(seed), buffers_, now) {}

void core_host::receive(std::size_t, frame& arrived, instant now) {
  net::segment one;
  if (!copy_to(one, arrived, ring_)) {
    ++dropped_;
    return;
  }
  stack_.input(std::span(&one, 1), now);
  (void)tell(now);
}

bool core_host::tell(instant now) {
  bool any = false;
  while (auto const one = stack_.poll_event()) {
    any = true;
    if (user_ != nullptr) user_->on_event(*one, now);
  }
  return any;
}

bool core_host::poll_transmit(std::size_t, frame& into, instant now) {
  while (out_first_ == out_count_) {
    out_first_ = 0;
    out_count_ = stack_.poll_transmit(out_, now);
    // Sending may have made room that somebody waits for.
    if (out_count_ == 0 && !tell(now)) return false;
  }
  auto& next = out_[out_first_++];
  copy_from(into, next);
  next.clear();
  return true;
}

instant core_host::next_deadline() const {
  return std::min(stack_.next_deadline(), user_ == nullptr ? never : user_->next_time());
}

void core_host::on_deadline(instant now) {
  stack_.on_deadline(now);
  (void)tell(now);
  if (user_ != nullptr && user_->next_time() <= now) user_->on_time(now);
}

}  // namespace morgana::sim
