// The context: what a task finds through its parent instead of through a global. Every task of a guest
// carries a pointer to it, inherited at co_await and at spawn.
//
//   context& here = co_await this_context();
//   here.now();
#pragma once

#include "morgana/core/executor.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/time.hpp"

namespace morgana {

class event;

/// What a boot session tells its tasks. Null where there is no session, in tests for instance.
struct session_events {
  event* stop = nullptr;   ///< set once an orderly stop was asked for; see stop_requested (event.hpp)
  event* input = nullptr;  ///< pulsed when console input may have arrived
};

class context {
 public:
  context(executor& runs, log_sink& logs, session_events events = {})
      : executor_(&runs), log_(&logs), events_(events) {}
  context(context const&) = delete;
  context& operator=(context const&) = delete;

  [[nodiscard]] morgana::executor& executor() const { return *executor_; }
  [[nodiscard]] log_sink& log() const { return *log_; }
  [[nodiscard]] session_events const& events() const { return events_; }

  /// Monotonic time of the batch that is running: constant while no coroutine suspends.
  [[nodiscard]] instant now() const { return executor_->now(); }

 private:
  morgana::executor* executor_;
  log_sink* log_;
  session_events events_;
};

}  // namespace morgana
