#include "morgana/net/happy_eyeballs.hpp"

#include <algorithm>

namespace morgana::net {

void happy_eyeballs::resolved(address_family family, address_list const& found, instant now) {
  auto& of = family == address_family::v4 ? v4_ : v6_;
  of.found = found;
  of.is_answered = true;
  if (family == address_family::v4 && !found.empty()) v4_answered_at_ = now;
}

bool happy_eyeballs::may_begin(instant now) const {
  // RFC 8305 3: with IPv6 addresses at once; with IPv4 ones only after a moment in which IPv6 may still come.
  if (attempts_ != 0 || v6_.is_answered) return true;
  return v4_answered_at_ != never && now >= after(v4_answered_at_, limits_.resolution_delay);
}

std::optional<ip_address> happy_eyeballs::poll_attempt(instant now) {
  if (!v6_.has_more() && !v4_.has_more()) return std::nullopt;
  if (!may_begin(now) || now < next_attempt_ || running_ >= limits_.connection_attempts) return std::nullopt;
  // RFC 8305 4: the families take turns, while both have some left.
  bool const takes_v4 = v4_.has_more() && (v4_is_next_ || !v6_.has_more());
  auto& of = takes_v4 ? v4_ : v6_;
  v4_is_next_ = !takes_v4;
  ++running_;
  ++attempts_;
  next_attempt_ = after(now, limits_.attempt_delay);
  return of.found[of.next++];
}

void happy_eyeballs::failed(instant now) {
  --running_;
  // RFC 8305 5: what failed need not be waited for.
  next_attempt_ = now;
}

instant happy_eyeballs::next_deadline() const {
  if (!v6_.has_more() && !v4_.has_more()) return never;
  if (running_ >= limits_.connection_attempts) return never;
  if (attempts_ == 0 && !v6_.is_answered) return after(v4_answered_at_, limits_.resolution_delay);
  return next_attempt_;
}

bool happy_eyeballs::is_exhausted() const {
  return v6_.is_answered && v4_.is_answered && !v6_.has_more() && !v4_.has_more() && running_ == 0;
}

}  // namespace morgana::net
