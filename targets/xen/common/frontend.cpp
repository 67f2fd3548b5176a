#include "frontend.hpp"

#include <utility>

namespace morgana::xen {
namespace {

/// For reading why something failed, after its own deadline.
constexpr duration complaint_time = std::chrono::seconds(1);

std::string joined(std::string_view folder, std::string_view key) {
  std::string out(folder);
  out += '/';
  out += key;
  return out;
}

std::string_view name_of(device_state state) {
  switch (state) {
    case device_state::unknown:
      return "unknown";
    case device_state::initialising:
      return "initialising";
    case device_state::initialisation_wait:
      return "waiting for the frontend";
    case device_state::initialised:
      return "initialised";
    case device_state::connected:
      return "connected";
    case device_state::closing:
      return "closing";
    case device_state::closed:
      return "closed";
    case device_state::reconfiguring:
      return "reconfiguring";
    case device_state::reconfigured:
      return "reconfigured";
  }
  return "unknown";
}

}  // namespace

std::optional<std::uint32_t> decimal_of(std::optional<std::string> const& text) {
  return text ? decimal(std::string_view(*text)) : std::nullopt;
}

std::string text_of(std::uint64_t number) {
  fixed_text<20> text;
  text.put_unsigned(number);
  return std::string(text.view());
}

std::optional<std::uint32_t> decimal(std::string_view text) {
  auto const value = parse_decimal(text, UINT32_MAX);
  if (!value) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

frontend::frontend(driver_host& on, log_source log, std::string_view name, std::string_view kind, std::uint32_t number)
    : on_(&on), log_(log), name_(name), path_(joined(joined("device", kind), text_of(number))) {}

task<result<void>> frontend::find(instant deadline) {
  constexpr std::string_view keys[] = {"backend", "backend-id"};
  std::optional<std::string> said_of[std::size(keys)];
  if (auto answered = co_await ours(keys, said_of, deadline); !answered) {
    log_.error("`{}`: xenstore does not answer for {}/backend", name_, path_);
    co_return failure(std::move(answered.error()));
  }
  auto& [where, who] = said_of;
  if (!where) {
    log_.error("`{}`: the domain has no {}: give it one in its configuration", name_, path_);
    co_return failure(core_error::device_missing);
  }
  auto const number = decimal_of(who);
  if (!number || *number >= self) {
    log_.error("`{}`: {}/backend-id is no domain", name_, path_);
    co_return failure(driver_error::backend_missing);
  }
  backend_path_ = *std::move(where);
  backend_ = static_cast<domain>(*number);
  watch_.emplace(on_->store, backend_path_);
  std::optional<device_state> said;
  auto const say = [&](device_state state) -> task<void> {
    if (std::exchange(said, state) != state) (void)co_await set_state(state, deadline);
  };
  for (;;) {
    switch (co_await backend_state(deadline)) {
      case device_state::initialisation_wait:
      case device_state::initialised:
        co_return {};
      case device_state::closed:
        co_await say(device_state::initialising);
        break;
      case device_state::connected:
      case device_state::closing:
        // What an earlier life of this guest left.
        co_await say(device_state::closed);
        break;
      default:
        break;
    }
    if (!co_await watch_->changed(deadline)) {
      co_await complain("ready for a frontend");
      co_return failure(driver_error::backend_missing);
    }
  }
}

store::request frontend::ours(std::string_view key, instant deadline) {
  return on_->store.read(joined(path_, key), deadline);
}

store::request frontend::theirs(std::string_view key, instant deadline) {
  return on_->store.read(joined(backend_path_, key), deadline);
}

store::request frontend::ours(std::span<std::string_view const> keys, std::span<std::optional<std::string>> into,
                              instant deadline) {
  return on_->store.read_all(path_, keys, into, deadline);
}

store::request frontend::theirs(std::span<std::string_view const> keys, std::span<std::optional<std::string>> into,
                                instant deadline) {
  return on_->store.read_all(backend_path_, keys, into, deadline);
}

task<std::uint32_t> frontend::their_number(std::string_view key, std::uint32_t otherwise, instant deadline) {
  auto const text = co_await theirs(key, deadline);
  co_return text ? decimal(*text).value_or(otherwise) : otherwise;
}

task<device_state> frontend::backend_state(instant deadline) {
  auto const number = co_await their_number("state", 0, deadline);
  co_return number <= static_cast<std::uint32_t>(device_state::reconfigured) ? static_cast<device_state>(number)
                                                                            : device_state::unknown;
}

task<result<void>> frontend::set_state(device_state state, instant deadline) {
  auto const path = joined(path_, "state");
  auto const written = co_await on_->store.write(path, text_of(static_cast<unsigned>(state)), deadline);
  if (!written) co_return failure(written.error());
  co_return {};
}

task<result<void>> frontend::publish(std::span<store_entry const> entries, device_state state, instant deadline) {
  auto done = co_await on_->store.write_all(path_, entries, deadline);
  if (done) done = co_await set_state(state, deadline);
  if (!done) log_.error("`{}`: cannot write below {} in xenstore", name_, path_);
  co_return done;
}

task<result<void>> frontend::reached(device_state wanted, instant deadline) {
  for (;;) {
    auto const now = co_await backend_state(deadline);
    if (now == wanted) co_return {};
    if (now == device_state::closing || now == device_state::closed) {
      co_await complain(name_of(wanted));
      co_return failure(driver_error::backend_failed);
    }
    if (!co_await watch_->changed(deadline)) {
      co_await complain(name_of(wanted));
      co_return failure(driver_error::backend_missing);
    }
  }
}

task<result<void>> frontend::close(instant deadline) {
  if (!watch_) co_return {};
  for (auto const state : {device_state::closing, device_state::closed}) {
    (void)co_await set_state(state, deadline);
    for (;;) {
      auto const now = co_await backend_state(deadline);
      if (now == device_state::unknown || now == device_state::closed) break;
      if (now == device_state::closing && state == device_state::closing) break;
      // It never saw us connected.
      if (now <= device_state::initialised && state == device_state::closing) break;
      if (!co_await watch_->changed(deadline)) {
        co_await complain("closed");
        co_return failure(driver_error::backend_missing);
      }
    }
  }
  watch_.reset();
  co_return {};
}

task<void> frontend::complain(std::string_view awaited) {
  auto const& here = co_await this_context();
  auto const deadline = after(here.now(), complaint_time);
  auto const state = co_await backend_state(deadline);
  log_.error("`{}`: the backend is not {}: {}/state is \"{}\"", name_, awaited, backend_path_, name_of(state));
  // What its scripts say (Xen's docs/misc/xenstore-paths, "hotplug-error").
  if (auto const said = co_await theirs("hotplug-error", deadline); said && !said->empty()) {
    log_.error("`{}`: {}/hotplug-error: {}", name_, backend_path_, std::string_view(*said));
  }
}

}  // namespace morgana::xen
