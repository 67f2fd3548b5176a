#include "morgana/core/executor.hpp"

#include <utility>

namespace morgana {

namespace {
// Four children a node: half the levels of a binary heap, and the children share cache lines.
constexpr std::size_t arity = 4;
}  // namespace

executor::executor() {
  ready_.next_ = ready_.previous_ = &ready_;
}

executor::~executor() {
  while (ready_.next_ != &ready_) ready_.next_->unlink();
  for (timer_node* timer : timers_) timer->owner_ = nullptr;
}

void executor::make_ready(ready_node& node) {
  if (node.is_ready()) return;
  node.previous_ = ready_.previous_;
  node.next_ = &ready_;
  ready_.previous_->next_ = &node;
  ready_.previous_ = &node;
}

bool executor::is_before(timer_node const& a, timer_node const& b) {
  return a.deadline_ != b.deadline_ ? a.deadline_ < b.deadline_ : a.order_ < b.order_;
}

void executor::arm(timer_node& timer, instant deadline) {
  timer.disarm();
  if (deadline == never) return;
  timer.owner_ = this;
  timer.deadline_ = deadline;
  timer.order_ = next_order_++;
  timer.index_ = timers_.size();
  timers_.push_back(&timer);
  sift_up(timer.index_);
}

void timer_node::disarm() {
  if (owner_ != nullptr) owner_->remove(*this);
}

void executor::remove(timer_node& timer) {
  auto const index = timer.index_;
  timer_node* const last = timers_.back();
  timers_.pop_back();
  timer.owner_ = nullptr;
  if (last == &timer) return;
  timers_[index] = last;
  last->index_ = index;
  sift_up(index);
  sift_down(last->index_);
}

void executor::sift_up(std::size_t index) {
  timer_node* const moved = timers_[index];
  while (index != 0) {
    auto const parent = (index - 1) / arity;
    if (!is_before(*moved, *timers_[parent])) break;
    timers_[index] = timers_[parent];
    timers_[index]->index_ = index;
    index = parent;
  }
  timers_[index] = moved;
  moved->index_ = index;
}

void executor::sift_down(std::size_t index) {
  timer_node* const moved = timers_[index];
  for (;;) {
    auto const first_child = index * arity + 1;
    if (first_child >= timers_.size()) break;
    auto best = first_child;
    for (auto child = first_child + 1; child < first_child + arity && child < timers_.size(); ++child) {
      if (is_before(*timers_[child], *timers_[best])) best = child;
    }
    if (!is_before(*timers_[best], *moved)) break;
    timers_[index] = timers_[best];
    timers_[index]->index_ = index;
    index = best;
  }
  timers_[index] = moved;
  moved->index_ = index;
}

instant executor::run_ready(instant now) {
  if (now > now_) now_ = now;
  std::size_t ran = 0;
  while (ran < batch_nodes_max / 2 && !timers_.empty() && timers_.front()->deadline_ <= now_) {
    timer_node& timer = *timers_.front();
    remove(timer);
    timer.expired();
    ++ran;
  }
  while (ran < batch_nodes_max && has_ready()) {
    ready_node& node = *ready_.next_;
    node.unlink();
    node.run();
    ++ran;
  }
  if (has_ready()) return now_;
  if (timers_.empty()) return never;
  auto const next = timers_.front()->deadline_;
  return next <= now_ ? now_ : next;
}

}  // namespace morgana
