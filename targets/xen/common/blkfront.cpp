#include "morgana/xen/blkfront.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "block_queue.hpp"
#include "driver_host.hpp"
#include "frontend.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/platform.hpp"
#include "morgana/storage/block_check.hpp"

namespace morgana::xen {
namespace {

using block_wire::operation;
using storage::storage_error;

/// Between two looks whether a page is still mapped.
constexpr duration release_interval = std::chrono::milliseconds(10);
/// Requests of one read() or write() that are out at once.
constexpr std::size_t requests_at_once = 4;
/// Enough for a request without indirect segments.
constexpr std::size_t pages_min = 16;
constexpr std::uint32_t sector_bytes_max = grant_page_bytes;
/// io/blkif.h, "xvd": the number of xvda, and from one to the next.
constexpr std::uint32_t first_device = 202 << 8, device_step = 16, devices_max = 16;

#ifdef __x86_64__
constexpr char const* protocol = "x86_64-abi";
#else
constexpr char const* protocol = "arm-abi";
#endif

/// "xvdb", or a number.
std::optional<std::uint32_t> device_number(std::string_view text) {
  if (text.size() == 4 && text.starts_with("xvd") && text[3] >= 'a' &&
      text[3] < 'a' + static_cast<int>(devices_max)) {
    return first_device + static_cast<std::uint32_t>(text[3] - 'a') * device_step;
  }
  return decimal(text);
}

std::optional<std::uint64_t> large_number(std::string_view text) {
  std::uint64_t value = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

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

  /// Waits until another has made room.
  class room_wait final : public waiter {
   public:
    room_wait(blkfront_state& on, instant deadline) : on_(&on), deadline_(deadline) {}
    bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    void await_suspend(std::coroutine_handle<Promise> waiting) {
      wait(waiting, on_->room, deadline_);
    }
    bool await_resume() const { return !timed_out(); }

   private:
    blkfront_state* on_;
    instant deadline_;
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
    return failure(storage_error::input_output, status);
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

// ---- connecting ---------------------------------------------------------------------------------------

result<void> blkfront_state::make_ring() {
  auto const with = device.backend();
  auto const memory = static_cast<std::size_t>(platform::memory().limit_bytes / grant_page_bytes);
  if (auto made = pages.make(*host, with, std::clamp(memory / 32, pages_min, blkfront::pages_max)); !made)
    return made;
  auto made = shared_pages::make(*host, with, 1);
  if (!made) return failure(std::move(made.error()));
  ring = *std::move(made);
  queue.emplace(ring.memory(), pages);
  return open_port();
}

result<void> blkfront_state::open_port() {
  auto opened = host->open_port(device.backend());
  if (!opened) return failure(std::move(opened.error()));
  port = bound_port(*host, *opened);
  return {};
}

// Once it is connected: Linux' backend says most of it no sooner.
task<result<void>> blkfront_state::read_disk(instant deadline) {
  auto const sectors = co_await device.theirs("sectors", deadline);
  auto const count = sectors ? large_number(*sectors) : std::nullopt;
  auto const sector = co_await device.their_number("sector-size", block_wire::sector_bytes, deadline);
  auto const about = co_await device.their_number("info", 0, deadline);
  if (!count || sector < block_wire::sector_bytes || sector > sector_bytes_max ||
      !std::has_single_bit(sector) || *count > UINT64_MAX / block_wire::sector_bytes) {
    log.error("`{}`: the backend at {} says no size of the disk that can be", name, device.backend_path());
    co_return failure(core_error::invalid_argument);
  }
  // Linux' backend counts sectors of 512 bytes whatever a sector is, and so does everyone who works with it.
  as.sector_bytes = sector;
  as.sectors = *count / (sector / block_wire::sector_bytes);
  as.read_only = as.read_only || (about & block_wire::is_read_only) != 0;
  can_flush = co_await device.their_number("feature-flush-cache", 0, deadline) != 0;
  can_barrier = co_await device.their_number("feature-barrier", 0, deadline) != 0;
  can_discard = co_await device.their_number("feature-discard", 0, deadline) != 0;
  indirect_pages = co_await device.their_number("feature-max-indirect-segments", 0, deadline);
  queue->allow_indirect(indirect_pages);
  co_return {};
}

task<result<void>> blkfront_state::connect(instant deadline) {
  if (auto found = co_await device.find(deadline); !found) co_return found;
  if (auto made = make_ring(); !made) {
    log.error("`{}`: {}", name, made.error());
    co_return made;
  }
  auto shown = co_await show_ring(deadline);
  if (shown) go_on();
  co_return shown;
}

task<result<void>> blkfront_state::show_ring(instant deadline) {
  std::array const keys{store_entry{"ring-ref", std::to_string(ring.reference(0))},
                        store_entry{"event-channel", std::to_string(port.number())},
                        store_entry{"protocol", protocol}, store_entry{"feature-persistent", "1"}};
  if (auto told = co_await device.publish(keys, device_state::initialised, deadline); !told) co_return told;
  if (auto reached = co_await device.reached(device_state::connected, deadline); !reached) co_return reached;
  if (auto read = co_await read_disk(deadline); !read) co_return read;
  if (auto told = co_await device.publish({}, device_state::connected, deadline); !told) co_return told;
  if (!can_flush && !can_barrier && !as.read_only) {
    log.warning("`{}`: the backend at {} has no flush: what it answered counts as stored", name,
                device.backend_path());
  }
  co_return {};
}

// ---- a suspend ----------------------------------------------------------------------------------------

bool blkfront_state::quiesce() {
  if (is_busy || lost || !queue) return !is_busy;
  queue->pause(true);
  return queue->out() == 0;
}

void blkfront_state::go_on() {
  is_busy = is_away = false;
  queue->pause(false);
  room.complete_all();
}

void blkfront_state::renew(domain with) {
  pages.renew(*host, with);
  ring.renew(with);
  if (!lost) queue->restart(ring.memory());
}

void blkfront_state::resumed(resumption how) {
  if (is_busy || !queue) return;
  if (how == resumption::cancelled) return go_on();
  port.forget();
  renew(device.backend());
  is_busy = is_away = !lost;
}

task<result<void>> blkfront_state::connect_again(instant deadline) {
  auto const before = as;
  auto const could_flush = can_flush || can_barrier;
  if (auto found = co_await device.find(deadline); !found) co_return found;
  renew(device.backend());
  if (auto opened = open_port(); !opened) co_return opened;
  auto shown = co_await show_ring(deadline);
  if (shown && (as.sector_bytes != before.sector_bytes || as.sectors < before.sectors ||
                as.read_only != before.read_only || (could_flush && !can_flush && !can_barrier))) {
    log.error("`{}`: after the suspend the backend at {} has another disk", name, device.backend_path());
    shown = failure(core_error::not_supported);
  }
  as = before;
  if (shown) go_on();
  co_return shown;
}

task<void> blkfront_state::monitor() {
  while (!lost) {
    if (!co_await device.changed(never)) co_return;
    auto const& here = co_await this_context();
    if (is_away) {
      if (co_await connect_again(after(here.now(), blkfront::connect_time))) {
        log.info("`{}`: connected again", name);
        continue;
      }
      is_busy = is_away = false;
      lose(driver_error::backend_failed);
      co_return;
    }
    auto const state = co_await device.backend_state(after(here.now(), blkfront::connect_time));
    if (state != device_state::connected) {
      log.error("`{}`: the backend closed {}", name, device.path());
      lose(driver_error::backend_failed);
      co_return;
    }
  }
}

task<result<std::unique_ptr<blkfront>>> blkfront::connect(context& in, device_name name,
                                                          blkfront_options const& options) {
  auto* const host = driver_host::of_guest();
  if (host == nullptr) {
    log_source const log(in.log(), "disk");
    log.error("`{}`: this is no guest of Xen, and has no disks", name.text);
    co_return failure(core_error::device_missing);
  }
  co_return co_await connect(in, *host, name, options);
}

namespace {

/// The number of the disk in xenstore. Errors: core_error::device_missing, core_error::invalid_argument.
task<result<std::uint32_t>> choose_disk(driver_host& on, log_source log, device_name name,
                                        std::string_view wanted, instant deadline) {
  if (!wanted.empty()) {
    auto const number = device_number(wanted);
    if (number) co_return *number;
    log.error("`{}`: `{}` is no disk: write for example --{}.vdev=xvdb", name.text, wanted, name.text);
    co_return failure(core_error::invalid_argument);
  }
  auto const path = "data/disks/" + std::string(name.text);
  if (auto const said = co_await on.store.read(path, deadline); said) {
    if (auto const number = decimal(*said)) co_return *number;
  }
  if (co_await on.store.read("data/disks", deadline)) {
    log.error("there is no disk `{}`: attach a file with `morgana run --disk {}=FILE`", name.text, name.text);
    co_return failure(core_error::device_missing);
  }
  co_return first_device + device_step* std::min(name.place, devices_max - 1);
}

}  // namespace

task<result<std::unique_ptr<blkfront>>> blkfront::connect(context& in, driver_host& on, device_name name,
                                                          blkfront_options const& options) {
  log_source const log(in.log(), "disk");
  auto const deadline = after(in.now(), connect_time);
  auto const number = co_await choose_disk(on, log, name, options.vdev, deadline);
  if (!number) co_return failure(number.error());
  std::unique_ptr<blkfront> made(new blkfront(std::make_unique<blkfront_state>(on, log, name.text, *number)));
  auto& state = *made->state_;
  state.as.read_only = options.read_only;
  if (auto connected = co_await state.connect(deadline); !connected) {
    co_await made->disconnect();
    co_return failure(std::move(connected.error()));
  }
  state.monitoring = state.monitor();
  state.monitoring.start(in, state.monitor_ended);
  log.debug(
      "`{}`: disk {}, {} sectors of {} bytes, read-only {}, indirect segments {}, flush {}, barrier {}, "
      "discard {}",
      name.text, *number, state.as.sectors, state.as.sector_bytes, state.as.read_only, state.indirect_pages,
      state.can_flush, state.can_barrier, state.can_discard);
  co_return made;
}

task<void> blkfront::disconnect() {
  auto& state = *state_;
  auto const& here = co_await this_context();
  auto const deadline = after(here.now(), disconnect_time);
  state.is_busy = true;
  state.lose(driver_error::backend_failed);
  state.monitoring = {};
  (void)co_await state.device.close(deadline);
  state.is_busy = false;
  for (;;) {
    auto const pages = state.pages.end();
    if (state.ring.end() && pages) co_return;
    auto const& now = co_await this_context();
    if (now.now() >= deadline) break;
    co_await sleep_for(release_interval);
  }
  state.log.error("`{}`: the backend at {} keeps pages of this guest mapped; they are lost", state.name,
                  state.device.backend_path());
}

// ---- moving data --------------------------------------------------------------------------------------

void blkfront_state::events_came() {
  if (!queue || lost || is_away) return;
  queue->poll();
  if (!queue->broken()) return;
  log.error("`{}`: the backend of {} broke the protocol: {}", name, device.path(), queue->lie());
  lose(driver_error::backend_lied);
}

task<result<void>> blkfront_state::move(std::uint64_t sector, std::span<std::byte> into,
                                        std::span<std::byte const> from) {
  auto const is_read = from.empty();
  auto const size = is_read ? into.size() : from.size();
  auto const first = sector * (as.sector_bytes / block_wire::sector_bytes);
  auto const& here = co_await this_context();
  std::array<piece, requests_at_once> pieces;
  std::array<std::size_t, requests_at_once> begins{}, sizes{};
  std::size_t begun = 0, ended = 0, put = 0;
  result<void> done;
  while (!lost) {
    while (done && put < size && begun - ended < requests_at_once) {
      auto const bytes = queue->room(size - put);
      if (bytes == 0) break;
      auto& one = pieces[begun % requests_at_once];
      auto const at = first + put / block_wire::sector_bytes;
      one.began(*this,
                is_read ? queue->read(one, at, bytes) : queue->write(one, at, from.subspan(put, bytes)));
      begins[begun % requests_at_once] = put;
      sizes[begun % requests_at_once] = bytes;
      put += bytes;
      ++begun;
    }
    show();
    auto const deadline = after(here.now(), blkfront::request_time);
    if (begun == ended) {
      if (!done || put == size) co_return done;
      if (!co_await room_wait(*this, deadline)) co_return timed_out();
      continue;
    }
    auto const at = ended++ % requests_at_once;
    auto& oldest = pieces[at];
    if (!co_await oldest.wait_until(deadline)) co_return timed_out();
    auto const verdict_of_it = verdict(oldest.status());
    if (!verdict_of_it && done) done = verdict_of_it;
    if (verdict_of_it && is_read) queue->copy_out(oldest.number(), into.subspan(begins[at], sizes[at]));
    oldest.release();
  }
  co_return failure(*lost);
}

template <class Put>
task<result<void>> blkfront_state::ask(Put put) {
  auto const& here = co_await this_context();
  auto const deadline = after(here.now(), blkfront::request_time);
  piece one;
  while (!lost && !queue->has_slot()) {
    if (!co_await room_wait(*this, deadline)) co_return timed_out();
  }
  if (lost) co_return failure(*lost);
  one.began(*this, put(one));
  show();
  if (!co_await one.wait_until(deadline)) co_return timed_out();
  co_return verdict(one.status());
}

block_information blkfront::information() const {
  return state_->as;
}

task<result<void>> blkfront::read(std::uint64_t sector, std::span<std::byte> into) {
  auto checked = storage::check_transfer(state_->as, storage::transfer::read, sector, into.size());
  if (!checked || into.empty()) co_return checked;
  co_return co_await state_->move(sector, into, {});
}

task<result<void>> blkfront::write(std::uint64_t sector, std::span<std::byte const> from) {
  auto checked = storage::check_transfer(state_->as, storage::transfer::write, sector, from.size());
  if (!checked || from.empty()) co_return checked;
  co_return co_await state_->move(sector, {}, from);
}

task<result<void>> blkfront::flush() {
  auto& on = *state_;
  if (on.lost) co_return failure(*on.lost);
  if (on.as.read_only || (!on.can_flush && !on.can_barrier)) co_return {};
  auto const what = on.can_flush ? operation::flush : operation::barrier;
  co_return co_await on.ask([&on, what](block_queue::owner& who) { return on.queue->order(who, what); });
}

task<result<void>> blkfront::discard(std::uint64_t sector, std::uint64_t sectors) {
  auto& on = *state_;
  auto checked = storage::check_transfer(on.as, storage::transfer::write, sector, 0);
  if (checked && sectors > on.as.sectors - sector) {
    checked = failure(storage_error::out_of_range, static_cast<std::int64_t>(on.as.sectors));
  }
  if (!checked || sectors == 0) co_return checked;
  if (!on.can_discard) co_return failure(core_error::not_supported);
  auto const unit = on.as.sector_bytes / block_wire::sector_bytes;
  co_return co_await on.ask([&on, sector, sectors, unit](block_queue::owner& who) {
    return on.queue->discard(who, sector * unit, sectors * unit);
  });
}

blkfront::blkfront(std::unique_ptr<blkfront_state> state) : state_(std::move(state)) {}
blkfront::~blkfront() = default;

}  // namespace morgana::xen
