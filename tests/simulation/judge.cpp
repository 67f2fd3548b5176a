#include "judge.hpp"

#include <algorithm>

namespace morgana::simulation {

namespace {

/// Limits of half-open connections below this one make listeners send SYN cookies.
constexpr std::uint32_t cookies_below = 16;
/// What a fault leaves behind when it is over: a timeout that backed off to a minute.
constexpr duration afterwards = 60s;

}  // namespace

judge::span judge::life_of(conversation const& which) {
  auto const from = sim::start + which.planned->begins;
  auto to = from;
  for (auto const& side : which.sides) {
    if (side.outcome != outcome::absent) to = std::max(to, side.ended_at);
  }
  return {from, to};
}

bool judge::is_at(conversation const& which, std::uint32_t host) const {
  return which.planned->hosts[0] == host || which.planned->hosts[1] == host;
}

bool judge::is_shot_at(conversation const& which) const {
  for (std::size_t i = 0; i < planned_.boxes.size(); ++i) {
    auto const& box = planned_.boxes[i];
    if (box.kind == box_kind::resets && is_at(which, box.host) && resets_[i] != 0) return true;
  }
  return false;
}

bool judge::is_rebound(conversation const& which) const {
  auto const life = life_of(which);
  auto const was_then = [&](duration at) {
    return at != 0ns && life.overlaps(sim::start + at, sim::start + at);
  };
  if (planned_.is_translated(which.planned->hosts, which.planned->is_v6) &&
      was_then(planned_.sites[0].rebinds_at)) {
    return true;
  }
  return std::ranges::any_of(planned_.boxes, [&](auto const& box) {
    return box.kind == box_kind::translator && is_at(which, box.host) && was_then(box.rebinds_at);
  });
}

bool judge::has(conversation const& which, fault_kind kind) const {
  auto const life = life_of(which);
  return std::ranges::any_of(planned_.faults, [&](auto const& fault) {
    auto const begins = sim::start + fault.begins;
    return fault.kind == kind && is_at(which, fault.host) &&
           life.overlaps(begins, begins + fault.lasts + afterwards);
  });
}

bool judge::is_disturbed(conversation const& which) const {
  for (std::size_t i = 0; i < fault_kinds; ++i) {
    auto const kind = static_cast<fault_kind>(i);
    if (kind != fault_kind::marks && has(which, kind)) return true;
  }
  // Loss that no healing ends, on the link between routers.
  return planned_.crosses_routers(which.planned->hosts) &&
         std::ranges::any_of(planned_.sites,
                             [](auto const& one) { return one.to_next.loss_millionths != 0; });
}

bool judge::peer_crashed(conversation const& which, std::size_t side) const {
  auto const life = life_of(which);
  return std::ranges::any_of(planned_.crashes, [&](auto const& one) {
    auto const begins = sim::start + one.begins;
    return which.planned->hosts[1 - side] == one.host && life.overlaps(begins, begins + one.lasts);
  });
}

bool judge::gives_up(conversation const& which) const {
  auto const& plan = *which.planned;
  auto const& accepted = planned_.hosts[plan.hosts[1]].accepted;
  return plan.settings.keepalive || plan.settings.user_timeout != 0s || accepted.keepalive ||
         accepted.user_timeout != 0s;
}

std::string judge::side(conversation const& which, std::size_t number) const {
  auto const& plan = *which.planned;
  auto const& here = which.sides[number];
  auto const& there = which.sides[1 - number];
  auto const who = "conversation c" + std::to_string(plan.number) + ", side " + std::to_string(number) + ": ";
  if (here.outcome == outcome::complete || here.outcome == outcome::aborted ||
      here.outcome == outcome::crashed) {
    return {};
  }
  // One that gives up needs a reason to: what it hears nothing of is disturbed, or gone.
  bool const gave_up = gives_up(which) && is_disturbed(which);
  // A translator that forgot its ports cuts a connection in two, and neither end need notice.
  if (is_shot_at(which) || is_rebound(which) || peer_crashed(which, number)) return {};
  // It lost power before it had read whose connection that was.
  if (here.outcome == outcome::absent && peer_crashed(which, 1 - number)) return {};
  if (here.outcome == outcome::absent || here.outcome == outcome::talking) {
    // The other end failed, left or lost power; its reset may be lost, and who has nothing to send does not
    // notice without keepalives (RFC 9293 3.5.1).
    if (there.outcome == outcome::failed || there.outcome == outcome::aborted ||
        there.outcome == outcome::crashed) {
      return {};
    }
    // Who is done may give up on what the stack still sends, and nobody hears of that either.
    if (there.outcome == outcome::complete && gave_up) return {};
    return who + "did not finish, " + std::to_string(here.read) + " bytes read of " +
           std::to_string(plan.bytes[1 - number]) + ", " + std::to_string(here.written) + " written of " +
           std::to_string(plan.bytes[number]);
  }
  if (plan.aborting_side >= 0 && there.outcome == outcome::aborted) return {};
  auto const why = here.error.value_or(net::net_error::reset);
  switch (why) {
    case net::net_error::timed_out:
      if (gave_up) return {};
      // A neighbour's wrong address stays until it is asked again, which SYNs do too seldom.
      if (!here.was_connected && has(which, fault_kind::corruption)) return {};
      return who + "timed out without a reason";
    case net::net_error::unreachable:
      // No neighbour answered in time: it asks three times.
      if (!here.was_connected && is_disturbed(which)) return {};
      return who + "unreachable without a reason";
    case net::net_error::reset:
    case net::net_error::refused:
      if (there.outcome == outcome::failed && there.error != net::net_error::reset && there.error) return {};
      if (gave_up) return {};
      // A cookie is found only in the segment that follows the handshake: when that is lost, what comes next
      // is a stray (RFC 4987 3.6, one of the costs of cookies).
      if (planned_.hosts[plan.hosts[1]].syn_received < cookies_below && is_disturbed(which)) return {};
      return who + "reset without a reason";
    default:
      return who + "ended in error " + std::to_string(static_cast<int>(why));
  }
}

}  // namespace morgana::simulation
