// Scopes: tasks that run side by side and end together.
//
//   scope children = co_await open_scope();
//   children.spawn(serve(connection));           // starts on the executor's next turn
//   auto ended = co_await children.join();       // all ended; or the first error, and the rest cancelled
//
// A child is task<> or task<result<void>>. A scope's destructor cancels what still runs, so nothing outlives
// it. Cancelling from within a child of the same scope is allowed: it takes effect when that child next
// suspends. A child costs one allocation (its own frame is held in the child's record).
#pragma once

#include <cstddef>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"

namespace morgana {

class scope {
 public:
  explicit scope(context& in);
  scope(scope const&) = delete;
  scope& operator=(scope const&) = delete;
  ~scope();

  void spawn(task<void> child);
  void spawn(task<result<void>> child);

  /// Waits until no child runs. When a child ends in an error the others are cancelled and that error is
  /// given. May be awaited again after more spawns; one waiter at a time.
  [[nodiscard]] auto join();

  /// Waits until fewer than `most` children run: back-pressure for accept loops.
  [[nodiscard]] auto below(std::size_t most);

  /// Cancels every child.
  void cancel();

  [[nodiscard]] std::size_t running() const;
};

/// `scope s = co_await open_scope();`
struct open_scope;

}  // namespace morgana
