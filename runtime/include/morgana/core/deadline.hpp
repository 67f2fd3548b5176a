// Waiting with an end.
//
//   co_await sleep_for(1s);   co_await sleep_until(when);
//   auto reply = co_await with_deadline(here.now() + 2s, ask(server));       // core_error::timed_out
//   auto first = co_await race(ask(a), ask(b));                              // the loser is cancelled
//   auto [x, y] = co_await all(f(), g());
//   co_await yield();                                                        // lets other ready tasks run
#pragma once

#include <tuple>
#include <variant>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"

namespace morgana {

/// Suspends until monotonic time reaches `when`. At once, through the ready queue, if it has.
struct sleep_until;
/// The same, `length` after the current batch's time.
struct sleep_for;

/// Runs `inner` until it ends or `deadline` comes; then it is cancelled (destroyed) and the result is
/// core_error::timed_out. A deadline in the past still lets `inner` run to its first suspension.
template <class T>
[[nodiscard]] task<result<T>> with_deadline(instant deadline, task<result<T>> inner);
[[nodiscard]] task<result<void>> with_deadline(instant deadline, task<void> inner);

/// Runs all until the first ends; the others are cancelled. The index of the alternative tells which.
template <class... T>
[[nodiscard]] task<std::variant<T...>> race(task<T>... contenders);

/// Runs all to their ends.
template <class... T>
[[nodiscard]] task<std::tuple<T...>> all(task<T>... members);

/// Lets everything that is ready now run first.
struct yield;

}  // namespace morgana
