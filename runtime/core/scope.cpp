#include "morgana/core/scope.hpp"

#include <utility>

#include "morgana/core/require.hpp"

namespace morgana {

// Children are destroyed in run(), which the executor calls when no coroutine runs, or in the destructor.
class scope::child : public ready_node, public completion {
 public:
  enum class state : std::uint8_t { running, ended, cancelled };

  explicit child(scope& in) : in_(&in) {}
  virtual ~child() = default;
  [[nodiscard]] scope& in() const { return *in_; }

  child* older = nullptr;
  state at = state::running;

 private:
  scope* in_;
};

template <class T>
class scope::child_of final : public child {
 public:
  child_of(scope& in, task<T> what) : child(in), task_(std::move(what)) {}

 private:
  void run() override {
    if (at == state::running) task_.start(*in().context_, *this);  // not when it was cancelled before
  }
  std::coroutine_handle<> ended() noexcept override {
    std::optional<error> why;
    if constexpr (!std::is_void_v<T>) {
      if (auto value = task_.take(); !value) why = std::move(value.error());
    }
    in().child_ended(*this, std::move(why));
    return std::noop_coroutine();
  }
  task<T> task_;
};

scope::~scope() {
  closing_ = true;
  reap(true);
}

void scope::spawn(task<void> what) {
  if (what && !closing_) add(*new child_of<void>(*this, std::move(what)));
}

void scope::spawn(task<result<void>> what) {
  if (what && !closing_) add(*new child_of<result<void>>(*this, std::move(what)));
}

void scope::add(child& spawned) {
  spawned.older = std::exchange(youngest_, &spawned);
  ++running_;
  context_->executor().make_ready(spawned);
}

void scope::child_ended(child& ended, std::optional<error> why) noexcept {
  if (closing_) return;
  // A child that was cancelled may run once more before it is reaped; its error interests nobody.
  if (ended.at == child::state::running) {
    ended.at = child::state::ended;
    --running_;
    ++leaving_;
    if (why && !first_error_) {
      first_error_ = std::move(why);
      cancel();
    }
  }
  context_->executor().make_ready(*this);
}

void scope::cancel() {
  if (closing_) return;
  for (child* at = youngest_; at != nullptr; at = at->older) {
    if (at->at == child::state::running) {
      at->at = child::state::cancelled;
      --running_;
      ++leaving_;
    }
  }
  if (leaving_ != 0) context_->executor().make_ready(*this);
}

void scope::run() {
  reap(false);
  if (waiting_ != nullptr && is_settled(waiting_->most_)) std::exchange(waiting_, nullptr)->complete();
}

void scope::reap(bool all) {
  // Taken out of the list before any destructor of a child runs: those may spawn or cancel here.
  child* gone = nullptr;
  child** last = &gone;
  child** link = &youngest_;
  while (child* at = *link) {
    if (!all && at->at == child::state::running) {
      link = &at->older;
      continue;
    }
    *link = at->older;
    at->older = nullptr;
    *last = at;
    last = &at->older;
    if (at->at != child::state::running) --leaving_;
  }
  while (gone != nullptr) delete std::exchange(gone, gone->older);
}

bool scope::is_settled(std::size_t most) const {
  if (first_error_ && (running_ != 0 || leaving_ != 0)) return false;
  return running_ < most && (most > 1 || leaving_ == 0);
}

void scope::wait_operation::claim() {
  require(on_->waiting_ == nullptr, "two tasks wait for one scope");
  on_->waiting_ = this;
}

result<void> scope::wait_operation::await_resume() {
  if (!on_->first_error_) return {};
  error why = std::move(*on_->first_error_);
  on_->first_error_.reset();
  return failure(std::move(why));
}

}  // namespace morgana
