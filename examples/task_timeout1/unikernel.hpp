// A task with a deadline: it takes 0 to 3 s, and is cancelled after 2.
#pragma once

#include <optional>
#include <string_view>

#include "morgana/app.hpp"

struct options {
  /// How long the task takes; random, up to 3 s, when not given.
  std::optional<std::chrono::milliseconds> delay;
};

/// The time given, or a random one.
template <morgana::random_generator Random>
morgana::task<morgana::result<morgana::duration>> choose_delay(Random& random,
                                                               std::optional<std::chrono::milliseconds> given) {
  using namespace std::chrono_literals;
  if (given) co_return *given;
  auto const deadline = (co_await morgana::this_context()).now() + 5s;
  if (auto seeded = co_await random.seeded(deadline); !seeded) co_return morgana::failure(std::move(seeded.error()));
  auto const milliseconds = morgana::random_below(random, 3'001);
  if (!milliseconds) co_return morgana::failure(milliseconds.error());
  co_return std::chrono::milliseconds(*milliseconds);
}

inline morgana::task<morgana::result<std::string_view>> slow(morgana::duration delay) {
  co_await morgana::sleep_for(delay);
  co_return "Heads";
}

morgana::task<morgana::result<void>> start(morgana::random_generator auto& random,
                                           morgana::option_set<options> auto const& opt) {
  using namespace std::chrono_literals;
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "timeout");
  auto const delay = co_await choose_delay(random, opt.delay);
  if (!delay) co_return morgana::failure(delay.error());
  auto const answer = co_await morgana::with_deadline(here.now() + 2s, slow(*delay));
  if (answer) {
    log.info("Returned {}", *answer);
  } else {
    log.info("Cancelled");
  }
  co_return morgana::result<void>();
}
