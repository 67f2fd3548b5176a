#include "morgana/xen/blkfront.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "blkfront_state.hpp"
#include "morgana/core/platform.hpp"

namespace morgana::xen {
namespace {

/// Between two looks whether a page is still mapped.
constexpr duration release_interval = std::chrono::milliseconds(10);
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

}  // namespace

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
  auto const count = sectors ? parse_decimal(*sectors) : std::nullopt;
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
  std::array const keys{store_entry{"ring-ref", text_of(ring.reference(0))},
                        store_entry{"event-channel", text_of(port.number())},
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

blkfront::blkfront(std::unique_ptr<blkfront_state> state) : state_(std::move(state)) {}
blkfront::~blkfront() = default;

}  // namespace morgana::xen
