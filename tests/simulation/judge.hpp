// Whether the way that a conversation ended is one that its plan justifies. Every excuse names the fault that
// is one, and counts only for conversations that this fault met: at one of its hosts, or on its way, and in
// its time.
#pragma once

#include <string>

#include "plan.hpp"
#include "talker.hpp"

namespace morgana::simulation {

class judge {
 public:
  /// `resets` counts what each middlebox of the plan injected, in its order.
  judge(plan const& chosen, std::vector<std::uint64_t> resets)
      : planned_(chosen), resets_(std::move(resets)) {}

  /// What is wrong with the end of that side, in words; empty: nothing.
  [[nodiscard]] std::string side(conversation const& which, std::size_t number) const;

 private:
  /// The time in which a conversation was alive, as the world counts it.
  struct span {
    instant from, to;
    [[nodiscard]] bool overlaps(instant first, instant last) const { return first <= to && last >= from; }
  };
  [[nodiscard]] static span life_of(conversation const& which);
  [[nodiscard]] bool is_at(conversation const& which, std::uint32_t host) const;
  /// Whether some reset was injected into what one of its hosts was sent.
  [[nodiscard]] bool is_shot_at(conversation const& which) const;
  /// Whether a translator on its way forgot it.
  [[nodiscard]] bool is_rebound(conversation const& which) const;
  /// Whether something loses or holds its frames beyond what queues do.
  [[nodiscard]] bool is_disturbed(conversation const& which) const;
  [[nodiscard]] bool has(conversation const& which, fault_kind kind) const;
  /// Whether its other host lost power in its time, or had none when it began.
  [[nodiscard]] bool peer_crashed(conversation const& which, std::size_t side) const;
  [[nodiscard]] bool gives_up(conversation const& which) const;

  plan const& planned_;
  std::vector<std::uint64_t> resets_;
};

}  // namespace morgana::simulation
