// The device behind blkfront once it is connected: its ring, its pages, and who waits. blkfront.cpp connects it, now and
// after a suspend; blkfront_requests.cpp moves data. Private to both.
#pragma once

#include <optional>
#include <utility>

#include "block_queue.hpp"
#include "driver_host.hpp"
#include "frontend.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/storage/error.hpp"
#include "morgana/xen/blkfront.hpp"

namespace morgana::xen {

/// The device once it is connected: the ring, its pages, and who waits.
struct blkfront_state final : event_listener {
  blkfront_state(driver_host& on, log_source to, std::string_view text, std::uint32_t number)
      : event_listener(on), host(&on), log(to), name(text), device(on, to, text, "vbd", number) {}
  // Without disconnect() the pages are the backend's still: their grants do not end, and they are not used
  // again.
  ~blkfront_state() { monitoring = {}; }

  /// A request that is out, or has ended and is not looked at yet.
  class piece final : public block_queue::owner {
   public:
    piece() = default;
    piece(piece const&) = delete;
    piece& operator=(piece const&) = delete;
    ~piece() { release(); }

    void began(blkfront_state& on, std::uint32_t number) {
      on_ = &on;
      number_ = number;
      has_ended_ = false;
    }
    void ended(std::int16_t status) override {
      status_ = status;
      has_ended_ = true;
      waiting_.complete_all();
    }
    void release() {
      auto* const on = std::exchange(on_, nullptr);
      if (on == nullptr) return;
      on->queue->release(number_);
      on->room.complete_all();
    }
    [[nodiscard]] std::uint32_t number() const { return number_; }
    [[nodiscard]] std::int16_t status() const { return status_; }

    /// Waits for its end; false when that did not come in time.
    class end final : public waiter {
     public:
      end(piece& of, instant deadline) : of_(&of), deadline_(deadline) {}
      bool await_ready() const noexcept { return of_->has_ended_; }
      template <std::derived_from<promise_base> Promise>
      void await_suspend(std::coroutine_handle<Promise> waiting) {
        wait(waiting, of_->waiting_, deadline_);
      }
      bool await_resume() const { return of_->has_ended_; }

     private:
      piece* of_;
      instant deadline_;
    };
    [[nodiscard]] end wait_until(instant deadline) { return {*this, deadline}; }

   private:
    blkfront_state* on_ = nullptr;
    std::uint32_t number_ = 0;
    std::int16_t status_ = 0;
    bool has_ended_ = false;
    wait_queue waiting_;
  };

  [[nodiscard]] task<result<void>> connect(instant deadline);
  [[nodiscard]] task<result<void>> read_disk(instant deadline);
  [[nodiscard]] result<void> make_ring();
  [[nodiscard]] result<void> open_port();
  [[nodiscard]] task<result<void>> show_ring(instant deadline);
  /// After a suspend, with the pages there are.
  [[nodiscard]] task<result<void>> connect_again(instant deadline);
  void renew(domain with);
  void go_on();
  [[nodiscard]] task<void> monitor();

  void lose(driver_error why) {
    if (lost) return;
    lost = why;
    if (queue) queue->abandon();
    room.complete_all();
  }
  void events_came() override;
  [[nodiscard]] bool quiesce() override;
  void resumed(resumption how) override;
  void show() {
    if (queue->publish()) port.notify();
  }
  [[nodiscard]] result<void> timed_out() const {
    log.error("`{}`: the backend at {} has not answered for {} s", name, device.backend_path(),
              std::chrono::duration_cast<std::chrono::seconds>(blkfront::request_time).count());
    return failure(core_error::timed_out);
  }
  /// Of a request that has ended.
  [[nodiscard]] result<void> verdict(std::int16_t status) const {
    if (lost) return failure(*lost);
    if (status == block_wire::response::okay) return {};
    return failure(storage::storage_error::input_output, status);
  }

  /// Moves `size` bytes either way: `into` or `from` is empty.
  [[nodiscard]] task<result<void>> move(std::uint64_t sector, std::span<std::byte> into,
                                        std::span<std::byte const> from);
  /// Has one request done that moves nothing.
  template <class Put>
  [[nodiscard]] task<result<void>> ask(Put put);

  struct nobody final : completion {
    std::coroutine_handle<> ended() noexcept override { return std::noop_coroutine(); }
  };

  driver_host* host;
  log_source log;
  std::string_view name;
  frontend device;
  block_information as;
  std::uint32_t indirect_pages = 0;
  bool can_flush = false, can_barrier = false, can_discard = false;
  bool is_busy = true;   ///< a handshake is under way
  bool is_away = false;  ///< resumed, and not connected again yet: requests wait
  std::optional<driver_error> lost;
  shared_pages ring;
  block_pages pages;
  std::optional<block_queue> queue;
  bound_port port;
  wait_queue room;
  nobody monitor_ended;
  task<void> monitoring;
};

}  // namespace morgana::xen
