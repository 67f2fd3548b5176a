#include "morgana/core/wait_queue.hpp"

namespace morgana {

void waiter::enter(wait_queue& queue, instant deadline) {
  in_ = &queue;
  next_ = nullptr;
  previous_ = queue.last_;
  (previous_ == nullptr ? queue.first_ : previous_->next_) = this;
  queue.last_ = this;
  if (deadline <= context().now()) {
    expired();
  } else {
    context().executor().arm(*this, deadline);
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
