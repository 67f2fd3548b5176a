#include "sent_list.hpp"

#include <algorithm>
#include <utility>

namespace morgana::net::tcp {

using wire::sequence;

void sent_list::uncount(sent const& one) {
  if (one.is_sacked) {
    sacked_bytes_ -= one.size();
    --sacked_records_;
  }
  if (one.is_lost) lost_bytes_ -= one.size();
}

void sent_list::delivered(sent& one, acknowledged& outcome) {
  if (one.was_retransmitted) {
    outcome.retransmission_delivered = true;
  } else {
    outcome.original_delivered = true;
    outcome.has_sample = true;
    outcome.sample_sent_at = std::max(outcome.sample_sent_at, one.at);
    // What the same acknowledgment says is beyond it did not come before it (RFC 8985, 6.2 step 3).
    auto const highest = outcome.highest_before.value_or(highest_sacked_);
    if (one.end < highest) {
      outcome.reordered = true;
      outcome.reordering_bytes = std::max(outcome.reordering_bytes, highest.value - one.begin.value);
    }
  }
  if (one.was_retransmitted && one.at > outcome.ambiguous_after) return;
  outcome.rack_last_sent_at = one.at;
  if (one.at > outcome.rack_sent_at || (one.at == outcome.rack_sent_at && one.end > outcome.rack_end)) {
    outcome.rack_sent_at = one.at;
    outcome.rack_end = one.end;
  }
}

void sent_list::acknowledge_to(sequence where, acknowledged& outcome) {
  while (auto* const one = records_.front()) {
    if (where <= one->begin) break;
    if (where < one->end) {
      auto const gone = where.value - one->begin.value;
      if (one->is_sacked) sacked_bytes_ -= gone;
      if (one->is_lost) lost_bytes_ -= gone;
      if (!one->is_sacked) {
        outcome.cumulative_bytes += gone;
        // Its front was delivered like a whole record: a round trip, and progress for RACK.
        auto const end = std::exchange(one->end, where);
        delivered(*one, outcome);
        one->end = end;
      }
      one->begin = where;
      break;
    }
    if (!one->is_sacked) {
      outcome.cumulative_bytes += one->size();
      delivered(*one, outcome);
    }
    uncount(*one);
    remove(*one);
  }
  if (highest_sacked_ < where) highest_sacked_ = where;
  if (records_.empty()) sacked_ranges_ = 0;
}

void sent_list::split(sent& one, sequence where) {
  auto* const rest = from_->take();
  rest->begin = where;
  rest->end = one.end;
  rest->at = one.at;
  rest->is_sacked = one.is_sacked;
  rest->is_lost = one.is_lost;
  rest->was_retransmitted = one.was_retransmitted;
  rest->has_push = one.has_push;
  one.has_push = false;
  one.end = where;
  records_.insert_after(one, *rest);
  if (static_cast<hook<by_time>&>(one).linked()) times_.insert_after(one, *rest);
}

void sent_list::sack(sequence left, sequence right, std::uint32_t segment_bytes, std::uint32_t ranges_max,
                     acknowledged& outcome) {
  if (!outcome.highest_before) outcome.highest_before = highest_sacked_;
  // Each block cuts at most two records; a peer that acknowledges crumbs gets no more records than the limit.
  for (auto* one = records_.front(); one != nullptr && one->begin < right; one = records_.next(*one)) {
    if (one->end <= left || one->is_sacked) continue;
    // Only whole segments count, cut from the record's begin: who acknowledges crumbs makes no records of
    // crumbs.
    auto const size = one->size();
    auto const before = one->begin < left ? static_cast<std::uint32_t>(left - one->begin) : 0u;
    auto const skipped = (before + segment_bytes - 1) / segment_bytes * segment_bytes;
    auto const covered = right < one->end ? static_cast<std::uint32_t>(right - one->begin) : size;
    auto const kept = covered == size ? size : covered / segment_bytes * segment_bytes;
    if (skipped >= kept) continue;
    if ((skipped != 0 || kept != size) && sacked_ranges_ >= ranges_max) {
      outcome.ranges_full = true;
      continue;
    }
    if (skipped != 0) {
      ++sacked_ranges_;
      split(*one, one->begin + skipped);
      continue;
    }
    if (kept != size) {
      ++sacked_ranges_;
      split(*one, one->begin + kept);
    }
    separate_times();
    delivered(*one, outcome);
    if (one->is_lost) lost_bytes_ -= one->size();
    if (lost_hint_ == one) lost_hint_ = records_.next(*one);
    one->is_lost = false;
    one->is_sacked = true;
    sacked_bytes_ += one->size();
    ++sacked_records_;
    outcome.sacked_bytes += one->size();
    static_cast<hook<by_time>&>(*one).unlink();
    if (highest_sacked_ < one->end) highest_sacked_ = one->end;
  }
}

void sent_list::mark_lost(sent& one) {
  if (one.is_lost || one.is_sacked) return;
  separate_times();
  one.is_lost = true;
  lost_bytes_ += one.size();
  static_cast<hook<by_time>&>(one).unlink();
  if (lost_hint_ == nullptr || one.begin < lost_hint_->begin) lost_hint_ = &one;
}

void sent_list::mark_all_lost(bool forget_sacks) {
  for (auto* one = records_.front(); one != nullptr; one = records_.next(*one)) {
    if (forget_sacks && one->is_sacked) {
      one->is_sacked = false;
      sacked_bytes_ -= one->size();
      --sacked_records_;
    }
    mark_lost(*one);
  }
  if (forget_sacks && !records_.empty()) {
    highest_sacked_ = records_.front()->begin;
    sacked_ranges_ = 0;
  }
}

void sent_list::retransmitted(sent& one, instant now) {
  separate_times();
  if (one.is_lost) lost_bytes_ -= one.size();
  if (lost_hint_ == &one) lost_hint_ = records_.next(one);
  one.is_lost = false;
  one.was_retransmitted = true;
  retransmitted_to_ = std::max(retransmitted_to_, one.end);
  one.at = now;
  static_cast<hook<by_time>&>(one).unlink();
  times_.push_back(one);
}

sent* sent_list::next_lost() {
  if (lost_bytes_ == 0) return nullptr;
  while (lost_hint_ != nullptr && !lost_hint_->is_lost) lost_hint_ = records_.next(*lost_hint_);
  return lost_hint_;
}

void sent_list::forget_losses() {
  for (auto* one = records_.front(); one != nullptr; one = records_.next(*one)) {
    if (!one->is_lost) continue;
    one->is_lost = false;
    lost_bytes_ -= one->size();
    times_.push_back(*one);
  }
  lost_hint_ = nullptr;
}

void sent_list::clear() {
  while (auto* const one = records_.front()) remove(*one);
  sacked_bytes_ = lost_bytes_ = sacked_ranges_ = sacked_records_ = 0;
  lost_hint_ = nullptr;
}

}  // namespace morgana::net::tcp
