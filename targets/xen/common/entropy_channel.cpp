#include "morgana/xen/entropy_channel.hpp"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "driver_host.hpp"
#include "entropy_dialogue.hpp"
#include "frontend.hpp"
#include "interface.hpp"
#include "morgana/core/deadline.hpp"
#include "queue_wait.hpp"

namespace morgana::xen {
namespace {

/// Between two looks whether a page is still mapped.
constexpr duration release_interval = std::chrono::milliseconds(10);
constexpr std::string_view name = "entropy";

}  // namespace

struct entropy_channel_state final : event_listener {
  entropy_channel_state(driver_host& on, log_source to) : event_listener(on), host(&on), log(to) {}

  /// Looks for the channel; false when there is none.
  [[nodiscard]] task<bool> find(instant deadline);
  [[nodiscard]] task<result<void>> open(instant deadline);
  [[nodiscard]] task<result<void>> show_ring(instant deadline);
  [[nodiscard]] task<result<std::size_t>> sample(std::span<std::byte> into, instant deadline);

  void events_came() override { arrived.complete_all(); }
  [[nodiscard]] bool quiesce() override { return !is_busy; }
  void resumed(resumption how) override;

  driver_host* host;
  log_source log;
  std::optional<frontend> device;  ///< once it was found
  shared_pages ring;
  bound_port port;
  byte_ring input, output;
  entropy_dialogue dialogue;
  bool is_busy = false;  ///< a handshake is under way
  bool is_open = false;
  wait_queue arrived;
};

task<bool> entropy_channel_state::find(instant deadline) {
  for (std::uint32_t number = 1; !device && number <= entropy_channel::channels_max; ++number) {
    auto const path = "device/console/" + text_of(number) + "/name";
    auto const said = co_await host->store.read(path, deadline);
    if (said && *said == entropy_dialogue::channel_name) device.emplace(*host, log, name, "console", number);
  }
  co_return device.has_value();
}

task<result<void>> entropy_channel_state::open(instant deadline) {
  if (auto found = co_await device->find(deadline); !found) co_return found;
  // Of an earlier connection; a page anew is zeroed, and nothing is taken twice.
  if (!ring.end()) co_return failure(driver_error::page_still_mapped);
  auto made = shared_pages::make(*host, device->backend(), 1);
  if (!made) co_return failure(std::move(made.error()));
  ring = *std::move(made);
  auto opened = host->open_port(device->backend());
  if (!opened) co_return failure(std::move(opened.error()));
  port = bound_port(*host, *opened);
  auto& page = *reinterpret_cast<console_page*>(ring.memory().data());
  input = byte_ring(page.input, page.input_taken, page.input_put);
  output = byte_ring(page.output, page.output_put, page.output_taken);
  dialogue = {};
  co_return co_await show_ring(deadline);
}

task<result<void>> entropy_channel_state::show_ring(instant deadline) {
  std::array const keys{store_entry{"ring-ref", text_of(ring.reference(0))},
                        store_entry{"port", text_of(port.number())}};
  if (auto told = co_await device->publish(keys, device_state::initialised, deadline); !told) co_return told;
  if (auto reached = co_await device->reached(device_state::connected, deadline); !reached) co_return reached;
  co_return co_await device->publish({}, device_state::connected, deadline);
}

task<result<std::size_t>> entropy_channel_state::sample(std::span<std::byte> into, instant deadline) {
  for (;;) {
    // Again, too, when a suspend came while nothing did.
    if (!is_open) {
      is_busy = true;
      auto const is_there = co_await find(deadline);
      auto const opened = is_there ? co_await open(deadline) : result<void>();
      is_busy = false;
      if (!is_there) co_return std::size_t{0};
      if (!opened) co_return failure(opened.error());
      is_open = true;
    }
    auto const was_said = dialogue.speak(output);
    auto const heard = dialogue.listen(input, into);
    if (was_said || heard.was_taken) port.notify();
    if (heard.bytes != 0) co_return heard.bytes;
    if (dialogue.is_broken()) {
      log.error("`{}`: the backend at {} does not speak the protocol of {}", name, device->backend_path(),
                entropy_dialogue::channel_name);
      co_return failure(driver_error::backend_lied);
    }
    if (!co_await queue_wait(arrived, deadline)) {
      log.warning("`{}`: nothing has come from {} in time", name, device->backend_path());
      co_return failure(core_error::timed_out);
    }
  }
}

void entropy_channel_state::resumed(resumption how) {
  if (how == resumption::cancelled || ring.memory().empty()) return;
  port.forget();
  ring.renew(device->backend());
  is_open = false;
  arrived.complete_all();
}

task<result<std::unique_ptr<entropy_channel>>> entropy_channel::connect(context& in) {
  co_return co_await connect(in, driver_host::of_guest());
}

task<result<std::unique_ptr<entropy_channel>>> entropy_channel::connect(context& in, driver_host* on) {
  std::unique_ptr<entropy_channel_state> state;
  if (on != nullptr) state = std::make_unique<entropy_channel_state>(*on, log_source(in.log(), "entropy"));
  co_return std::unique_ptr<entropy_channel>(new entropy_channel(std::move(state)));
}

task<result<std::size_t>> entropy_channel::sample(std::span<std::byte> into, instant deadline) {
  if (!state_) co_return std::size_t{0};
  co_return co_await state_->sample(into, deadline);
}

task<void> entropy_channel::disconnect() {
  if (!state_ || !state_->device) co_return;
  auto& state = *state_;
  auto const& here = co_await this_context();
  auto const deadline = after(here.now(), disconnect_time);
  state.is_busy = true;
  state.is_open = false;
  (void)co_await state.device->close(deadline);
  state.is_busy = false;
  while (!state.ring.end()) {
    if (here.now() >= deadline) {
      state.log.error("`{}`: the backend at {} keeps a page of this guest mapped; it is lost", name,
                      state.device->backend_path());
      co_return;
    }
    co_await sleep_for(release_interval);
  }
}

entropy_channel::entropy_channel(std::unique_ptr<entropy_channel_state> state) : state_(std::move(state)) {}
entropy_channel::~entropy_channel() = default;

}  // namespace morgana::xen
