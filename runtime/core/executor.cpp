#include "morgana/core/executor.hpp"

#include <algorithm>
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
  for (std::size_t i = 0; i < timer_count_; ++i) timers_[i]->owner_ = nullptr;
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
  if (deadline == never) return timer.disarm();
  timer.deadline_ = deadline;
  timer.order_ = next_order_++;
  if (timer.is_armed()) {
    // Where it is, or from there.
    sift_up(timer.index_);
    return sift_down(timer.index_);
  }
  if (timer_count_ == timer_room_) make_room();
  timer.owner_ = this;
  timers_[timer_count_] = &timer;
  timer.index_ = timer_count_++;
  sift_up(timer.index_);
}

[[gnu::noinline, gnu::cold]] void executor::make_room() {
  constexpr std::size_t first = 16;
  timer_room_ = timer_room_ == 0 ? first : 2 * timer_room_;
  auto larger = std::make_unique<timer_node*[]>(timer_room_);
  std::copy_n(timers_.get(), timer_count_, larger.get());
  timers_ = std::move(larger);
}

void timer_node::stop() {
  owner_->remove(*this);
}

void executor::remove(timer_node& timer) {
  auto const index = timer.index_;
  timer_node* const last = timers_[--timer_count_];
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
    if (first_child >= timer_count_) break;
    auto best = first_child;
    for (auto child = first_child + 1; child < first_child + arity && child < timer_count_; ++child) {
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
  while (ran < batch_nodes_max / 2 && timer_count_ != 0 && timers_[0]->deadline_ <= now_) {
    timer_node& timer = *timers_[0];
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
  if (timer_count_ == 0) return never;
  auto const next = timers_[0]->deadline_;
  return next <= now_ ? now_ : next;
}

}  // namespace morgana
