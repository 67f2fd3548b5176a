// xenstore for coroutines: one request at a time per coroutine, any number of coroutines, on one client
// (store_client.hpp) that the platform uses as well.
//
//   auto mac = co_await store.read("device/vif/0/mac", deadline);
//   store_watch watch(store, "device/vif/0/state");
//   co_await watch.changed(deadline);                       // at once the first time, as xenstore does
//
// Nothing of it is for a path per packet: texts are std::string.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/core/wait_queue.hpp"
#include "store_client.hpp"

namespace morgana::xen {

/// Who gets what the platform itself did not ask for.
class store_user {
 public:
  virtual void take(store_event const& event) = 0;

 protected:
  ~store_user() = default;
};

/// The way to xenstore: the guest's rings, or a test's.
class store_link {
 public:
  /// From here on `user` gets events whose request is store::requests_begin or more, and watches whose token begins
  /// with store::token_prefix.
  virtual void attach(store_user& user) = 0;
  [[nodiscard]] virtual store_client& client() = 0;
  /// Sends what waits in the client, as far as there is room.
  virtual void flush() = 0;

 protected:
  ~store_link() = default;
};

enum class store_error : std::uint8_t {
  refused,    ///< EACCES, EINVAL and whatever else xenstore answers
  conflict,   ///< EAGAIN: the transaction must be tried again
  too_much,   ///< more waits to be sent than there is room for, or a text is longer than xenstore takes
};
[[nodiscard]] error_domain const& domain_of(store_error);

struct store_entry {
  std::string_view key;
  std::string value;
};

class store_watch;

class store final : store_user {
 public:
  static constexpr std::uint32_t requests_begin = 0x1000;
  static constexpr char token_prefix = 'w';

  explicit store(store_link& link) : link_(&link) { link.attach(*this); }

  /// Requests that are out, one or several at once; completed when all are answered. The answer is the first one's, or
  /// the first error; where each one's is wanted they are put into `answers`, and an error is no answer there.
  class request final : public waiter {
   public:
    request(store& on, std::uint32_t first, std::uint32_t count, bool was_put, instant deadline,
            std::optional<std::string>* answers = nullptr);
    ~request();
    bool await_ready() const noexcept { return !was_put_; }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->waiting_, deadline_);
    }
    result<std::string> await_resume();

   private:
    friend class store;
    store* on_;
    request* next_ = nullptr;
    std::uint32_t first_, count_, left_;
    std::optional<std::string>* answers_;
    bool was_put_;
    bool is_error_ = false;
    instant deadline_;
    std::string answer_;
  };

  /// Errors of all: core_error::timed_out, core_error::not_found (ENOENT), store_error.
  [[nodiscard]] request read(std::string_view path, instant deadline, std::uint32_t transaction = 0);
  [[nodiscard]] request write(std::string_view path, std::string_view value, instant deadline,
                              std::uint32_t transaction = 0);
  [[nodiscard]] request remove(std::string_view path, instant deadline);
  /// Several keys below `folder` at once; `answers` has a place for each, and lives until then. Nothing in place of those
  /// that are not there or cannot be read.
  [[nodiscard]] request read_all(std::string_view folder, std::span<std::string_view const> keys,
                                 std::span<std::optional<std::string>> answers, instant deadline);
  /// Writes all of it below `folder`, or nothing. Tried again while others change the same keys.
  [[nodiscard]] task<result<void>> write_all(std::string_view folder, std::span<store_entry const> entries,
                                             instant deadline);

  /// Nobody waits for an answer.
  [[nodiscard]] bool is_quiet() const { return requests_ == nullptr; }
  /// Another xenstore, which knows of no watch: each is registered anew, and fires.
  void resumed();

 private:
  friend class store_watch;
  void take(store_event const& event) override;
  /// Sends; what there was no room for goes out with the next.
  request sent(bool was_put, instant deadline);
  request sent(std::uint32_t count, bool was_put, instant deadline, std::optional<std::string>* answers);
  [[nodiscard]] request write_entries(std::string_view folder, std::span<store_entry const> entries, instant deadline,
                                      std::uint32_t transaction);
  [[nodiscard]] request start_transaction(instant deadline);
  [[nodiscard]] request end_transaction(std::uint32_t transaction, instant deadline);

  store_link* link_;
  wait_queue waiting_;
  request* requests_ = nullptr;
  store_watch* watches_ = nullptr;
  std::uint32_t next_number_ = requests_begin;
  std::uint32_t next_token_ = 0;
};

/// Says when something at or below a path may have changed. Registered for as long as it lives.
class store_watch {
 public:
  store_watch(store& on, std::string_view path);
  store_watch(store_watch const&) = delete;
  store_watch& operator=(store_watch const&) = delete;
  ~store_watch();

  class change final : public waiter {
   public:
    change(store_watch& on, instant deadline) : on_(&on), deadline_(deadline) {}
    bool await_ready() const noexcept { return on_->has_fired_; }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->waiting_, deadline_);
    }
    result<void> await_resume() {
      on_->has_fired_ = false;
      if (timed_out()) return failure(core_error::timed_out);
      return {};
    }

   private:
    store_watch* on_;
    instant deadline_;
  };
  /// Waits for a change since the last wait ended. Errors: core_error::timed_out.
  [[nodiscard]] change changed(instant deadline) { return {*this, deadline}; }

 private:
  friend class store;
  void start();
  store* on_;
  store_watch* next_;
  std::string path_;
  std::uint32_t token_;
  bool has_fired_ = false;
  wait_queue waiting_;
};

}  // namespace morgana::xen
