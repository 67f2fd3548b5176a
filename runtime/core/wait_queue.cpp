#include "morgana/core/wait_queue.hpp"

#include <algorithm>
#include <utility>

namespace morgana {

void waiter::enter(wait_queue& queue, instant deadline) {
  in_ = &queue;
  next_ = nullptr;
  previous_ = queue.last_;
  (previous_ == nullptr ? queue.first_ : previous_->next_) = this;
  queue.last_ = this;
  auto& runs = context().executor();
  if (deadline <= runs.now()) {
    expired();
  } else if (auto* const shared = queue.shared_timer_; shared == nullptr) {
    runs.arm(*this, deadline);
  } else {
    until_ = deadline;
    if (!shared->is_armed() || deadline < shared->deadline()) runs.arm(*shared, deadline);
  }
}

void waiter::leave() {
  if (in_ == nullptr) return;
  (previous_ == nullptr ? in_->first_ : previous_->next_) = next_;
  (next_ == nullptr ? in_->last_ : next_->previous_) = previous_;
  in_ = nullptr;
}

void waiter::complete() {
  leave();
  disarm();
  operation::complete();
}

void waiter::expired() {
  timed_out_ = true;
  complete();
}

wait_queue::~wait_queue() {
  while (first_ != nullptr) first_->leave();
}

void timed_wait_queue::expired() {
  if (is_empty()) return;
  auto& runs = first()->context().executor();
  auto next = never;
  for (auto* one = first(); one != nullptr;) {
    auto& who = *std::exchange(one, one->next_);
    if (who.until_ <= runs.now()) {
      who.expired();
    } else {
      next = std::min(next, who.until_);
    }
  }
  runs.arm(*this, next);
}

bool wait_queue::complete_first() {
  if (first_ == nullptr) return false;
  first_->complete();
  return true;
}

void wait_queue::complete_all() {
  while (complete_first()) {
  }
}

}  // namespace morgana
