// Randomness from another domain, by the console channel "org.openmirage.entropy.1" (xentropyd's): the source
// of a guest whose processor has neither RDSEED nor RDRAND. xl gives it with `channel =
// ["name=org.openmirage.entropy.1,..."]` (docs/targets/xen-x86.md says how, and what serves it).
//
// connect() never fails and does nothing: the channel is looked for when somebody asks for a sample, and
// stays connected then. Where the domain has none, sample() gives 0 bytes at once.
//
// Its bytes count in full: who serves it, dom0, can read this guest's memory anyway. The ring and what is
// said on it are not trusted (entropy_dialogue.hpp). After a suspend the next sample() connects again; what
// came before is not given out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "morgana/core/context.hpp"
#include "morgana/core/random.hpp"
#include "morgana/core/task.hpp"

namespace morgana::xen {

class driver_host;
struct entropy_channel_state;

class entropy_channel {
 public:
  /// Of the domain's console devices, of which number 0 is no channel, those that are looked at.
  static constexpr std::uint32_t channels_max = 8;
  /// For the other side to let go of our page.
  static constexpr duration disconnect_time = std::chrono::seconds(2);

  [[nodiscard]] static task<result<std::unique_ptr<entropy_channel>>> connect(context& in);
  /// The same on a host of the caller's; null where there is no Xen.
  [[nodiscard]] static task<result<std::unique_ptr<entropy_channel>>> connect(context& in, driver_host* on);
  /// Tells the other side and takes the page back; what it keeps mapped is never used again, and said in the
  /// log.
  task<void> disconnect();
  ~entropy_channel();

  /// Waits for randomness: how many bytes of it are in `into`; 0 where the domain has no such channel.
  /// Errors: core_error::timed_out, driver_error (the log says what the other side did).
  [[nodiscard]] task<result<std::size_t>> sample(std::span<std::byte> into, instant deadline);
  [[nodiscard]] std::uint32_t millibits_per_byte() const { return 8000; }

 private:
  explicit entropy_channel(std::unique_ptr<entropy_channel_state> state);
  std::unique_ptr<entropy_channel_state> state_;
};

static_assert(entropy_source<entropy_channel>);

}  // namespace morgana::xen
