#include "group_membership.hpp"

#include <algorithm>

namespace morgana::net::host {
namespace {
/// RFC 3376 8.1, 8.11; RFC 3810 9.1, 9.11.
constexpr std::uint8_t robustness = 2;
constexpr duration unsolicited_interval = 1s;
/// RFC 3376 8.12: robustness times the query interval, plus a response.
constexpr duration old_querier_timeout = 260s;
}  // namespace

group_membership::group_membership(network_limits const& limits, keyed_secrets const& secrets)
    : limits_(limits), random_({secrets.jitter.low ^ 0x6772'6f75'70, secrets.jitter.high}) {}

duration group_membership::upto(duration most) {
  return duration(static_cast<duration::rep>(random_.below(static_cast<std::uint64_t>(std::max<duration>(most, 1ns).count()))));
}

void group_membership::set_due(entry& one, instant due) {
  one.due = due;
  next_due_ = std::min(next_due_, due);
}

std::uint8_t group_membership::version_for(ip_address const& group, instant now) const {
  if (group.is_v6()) return 2;
  return now >= old_querier_until_ ? 3 : 2;
}

result<void> group_membership::join(ip_address const& group, membership_events& events, instant now) {
  if (!group.is_multicast() || group.is_left_out()) return failure(net_error::invalid_address);
  auto const known = std::ranges::find(groups_, group, &entry::group);
  if (known != groups_.end()) {
    ++known->users;
    return {};
  }
  if (groups_.size() >= limits_.multicast_groups) return failure(net_error::limit_reached, limits_.multicast_groups);
  events_ = &events;
  groups_.push_back({group, 1, robustness, never});
  set_due(groups_.back(), now);
  return {};
}

void group_membership::leave(ip_address const& group, instant now) {
  auto const known = std::ranges::find(groups_, group, &entry::group);
  if (known == groups_.end() || --known->users != 0) return;
  groups_.erase(known);
  events_->report(group, membership_events::change::left, version_for(group, now), now);
}

bool group_membership::is_member(ip_address const& group) const {
  return std::ranges::any_of(groups_, [&](entry const& one) { return one.group == group; });
}

void group_membership::queried(ip_address const& group, duration response_max, std::uint8_t version, instant now) {
  if (group.is_v4() && version < 3) old_querier_until_ = after(now, old_querier_timeout);
  for (auto& one : groups_) {
    bool const asked = one.group.is_v6() == group.is_v6() && (group.is_unspecified() || one.group == group);
    if (!asked) continue;
    auto const due = after(now, upto(response_max));
    if (due < one.due) set_due(one, due);
  }
}

void group_membership::on_deadline(instant now) {
  if (now < next_due_) return;
  next_due_ = never;
  for (auto& one : groups_) {
    if (one.due <= now) {
      auto const what = one.joins_left > 0 ? membership_events::change::joined : membership_events::change::is_member;
      if (one.joins_left > 0) --one.joins_left;
      one.due = one.joins_left > 0 ? after(now, upto(unsolicited_interval)) : never;
      events_->report(one.group, what, version_for(one.group, now), now);
    }
    next_due_ = std::min(next_due_, one.due);
  }
}

}  // namespace morgana::net::host
