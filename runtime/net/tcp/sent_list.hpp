// What was sent and is not acknowledged, one record per transmission, in the order of sequence numbers and in
// the order of sending: the scoreboard of SACK (RFC 6675) and the clock of RACK (RFC 8985).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "list.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "slab.hpp"

namespace morgana::net::tcp {

struct by_sequence;
struct by_time;

struct sent : hook<by_sequence>, hook<by_time> {
  wire::sequence begin, end;  ///< FIN counts one
  instant at{};               ///< of the last transmission
  bool is_sacked = false;
  bool is_lost = false;            ///< and not retransmitted since
  bool was_retransmitted = false;  ///< ever
  bool has_push = false;           ///< its last byte ends a write

  [[nodiscard]] std::uint32_t size() const { return end.value - begin.value; }
};

/// What one acknowledgment said.
struct acknowledged {
  std::uint32_t cumulative_bytes = 0;
  std::uint32_t sacked_bytes = 0;   ///< newly
  bool original_delivered = false;  ///< bytes that were sent only once, and not sacked before
  bool retransmission_delivered = false;
  bool has_sample = false;  ///< latest record sent only once: for the round trip (Karn)
  instant sample_sent_at{};
  // RACK (RFC 8985, 6.2 step 2): the record sent last of those delivered, and the one looked at last.
  instant rack_sent_at = instant::min();
  instant rack_last_sent_at = instant::min();
  wire::sequence rack_end;
  instant ambiguous_after = instant::max();  ///< a retransmission of later than that was not what is answered
  std::uint32_t reordering_bytes = 0;        ///< how far beyond
  bool reordered = false;                    ///< below what was delivered before, and sent only once
  std::optional<wire::sequence> highest_before;  ///< sacked, when it began to say anything
  bool duplicate_reported = false;           ///< DSACK
  bool ranges_full = false;                  ///< a block was not recorded for the limit of ranges
};

class sent_list {
 public:
  explicit sent_list(slab<sent>& from) : from_(&from) {}
  ~sent_list() { clear(); }

  [[nodiscard]] bool empty() const { return records_.empty(); }
  [[nodiscard]] sent* front() const { return records_.front(); }
  [[nodiscard]] sent* back() const { return records_.back(); }
  [[nodiscard]] sent* oldest() const { return is_timed_ ? times_.front() : records_.front(); }
  [[nodiscard]] sent* next(sent const& one) const { return records_.next(one); }
  [[nodiscard]] sent* next_sent(sent const& one) const { return is_timed_ ? times_.next(one) : records_.next(one); }

  void add(wire::sequence begin, wire::sequence end, instant now, bool has_push = false) {
    if (records_.empty()) {
      highest_sacked_ = retransmitted_to_ = begin;
      is_timed_ = false;
    }
    auto& one = put_last(begin, end, now, has_push);
    if (is_timed_) [[unlikely]]
      times_.push_back(one);
  }
  /// The same when nothing is out.
  [[gnu::always_inline]] void add_first(wire::sequence begin, wire::sequence end, instant now, bool has_push) {
    highest_sacked_ = retransmitted_to_ = begin;
    is_timed_ = false;
    (void)put_last(begin, end, now, has_push);
  }
  void acknowledge_to(wire::sequence where, acknowledged& outcome);
  /// Nothing that is out was sent twice, so the records are in the order of their times. May say no although
  /// it is so.
  [[nodiscard]] bool is_in_order() const { return !empty() && front()->begin >= retransmitted_to_; }
  /// What was delivered last.
  struct delivery {
    instant sent_at{};
    wire::sequence end;
  };
  /// The same as acknowledge_to() while is_in_order() and nothing is sacked or lost.
  [[nodiscard, gnu::always_inline]] delivery acknowledge_in_order(wire::sequence where) {
    delivery last;
    while (auto* const one = records_.front()) {
      if (where <= one->begin) break;
      last.sent_at = one->at;
      if (where < one->end) {
        one->begin = last.end = where;
        break;
      }
      last.end = one->end;
      remove(*one);
    }
    highest_sacked_ = retransmitted_to_ = where;
    if (records_.empty()) sacked_ranges_ = 0;
    return last;
  }
  [[nodiscard]] bool has_several() const { return records_.has_several(); }
  /// The one that is out was delivered: `where` is its end.
  [[nodiscard, gnu::always_inline]] delivery acknowledge_only(wire::sequence where) {
    auto& one = records_.first();
    delivery const last{one.at, where};
    remove(one);
    highest_sacked_ = retransmitted_to_ = where;
    sacked_ranges_ = 0;
    return last;
  }
  void sack(wire::sequence left, wire::sequence right, std::uint32_t segment_bytes, std::uint32_t ranges_max,
            acknowledged& outcome);
  void mark_lost(sent& one);
  /// After a timeout: all that is not sacked. With `forget_sacks` the peer went back on its SACKs (RFC 2018,
  /// 8).
  void mark_all_lost(bool forget_sacks);
  /// It was sent once more.
  void retransmitted(sent& one, instant now);
  /// The first one lost and not sent again, or null.
  [[nodiscard]] sent* next_lost();
  /// Nothing was lost after all.
  void forget_losses();
  /// Cuts it so that it ends at `where`, which lies inside; the rest becomes a record of its own.
  void split(sent& one, wire::sequence where);
  void clear();

  [[nodiscard]] std::uint32_t sacked_bytes() const { return sacked_bytes_; }
  [[nodiscard]] std::uint32_t lost_bytes() const { return lost_bytes_; }
  [[nodiscard]] wire::sequence highest_sacked() const { return highest_sacked_; }
  [[nodiscard]] std::uint32_t sacked_records() const { return sacked_records_; }

 private:
  [[gnu::always_inline]] sent& put_last(wire::sequence begin, wire::sequence end, instant now, bool has_push) {
    auto* const one = from_->take();
    one->begin = begin;
    one->end = end;
    one->at = now;
    one->has_push = has_push;
    records_.push_back(*one);
    return *one;
  }
  void uncount(sent const& one);
  /// From here on times_ has an order of its own.
  void separate_times() {
    if (is_timed_) return;
    is_timed_ = true;
    for (auto* one = records_.front(); one != nullptr; one = records_.next(*one)) times_.push_back(*one);
  }
  void delivered(sent& one, acknowledged& outcome);
  void remove(sent& one) {
    if (lost_hint_ == &one) lost_hint_ = records_.next(one);
    static_cast<hook<by_sequence>&>(one).unlink();
    static_cast<hook<by_time>&>(one).unlink();
    from_->give(&one);
  }

  slab<sent>* from_;
  list<sent, by_sequence> records_;
  list<sent, by_time> times_;  ///< those neither sacked nor lost; not kept while these are all, in their order
  sent* lost_hint_ = nullptr;  ///< no lost one lies before it
  std::uint32_t sacked_bytes_ = 0;
  std::uint32_t lost_bytes_ = 0;     ///< marked, and not sent again since
  std::uint32_t sacked_ranges_ = 0;  ///< cut out of records, of the limit
  std::uint32_t sacked_records_ = 0;
  bool is_timed_ = false;
  wire::sequence highest_sacked_;
  wire::sequence retransmitted_to_;  ///< from here on nothing was
};

}  // namespace morgana::net::tcp
