#include "morgana/net/direct/sockets.hpp"

#include <algorithm>

#include "morgana/net/direct/host.hpp"

namespace morgana::net {

// ---- waiting -----------------------------------------------------------------------------------------

void direct_wait::try_all(wait_queue& queue) {
  while (auto* const first = static_cast<direct_wait*>(queue.first())) {
    if (!first->attempt()) return;
    first->complete();
  }
}

void direct_wait::abandon_all(wait_queue& queue) {
  while (auto* const first = static_cast<direct_wait*>(queue.first())) {
    first->abandon();
    first->complete();
  }
}

std::optional<error> direct_wait::problem() {
  if (failed_) return std::move(failed_);
  if (timed_out()) return error(net_error::timed_out);
  return std::nullopt;
}

// ---- reading -----------------------------------------------------------------------------------------

namespace {

/// Whether read() has an answer: bytes, the end, or an error. Takes nothing.
bool is_readable(direct_connection& on) {
  return on.handle->is_readable() || on.host->is_lost();
}

}  // namespace

bool direct_stream::read_wait::attempt() {
  return into_.empty() || is_readable(*on_);
}
bool direct_stream::peek_wait::attempt() {
  return is_readable(*on_);
}

void direct_stream::read_wait::abandon() {
  on_ = nullptr;
  fail(net_error::not_connected);
}
void direct_stream::peek_wait::abandon() {
  on_ = nullptr;
  fail(net_error::not_connected);
}

result<std::size_t> direct_stream::read_wait::await_resume() {
  if (on_ != nullptr && on_->handle != nullptr && !into_.empty()) {
    auto const got = on_->handle->read(into_, on_->host->now());
    if (!got) return failure(got.error());
    if (got->has_value()) {
      if (**got != 0) on_->host->touch();  // the window may be open again
      return **got;
    }
    if (on_->host->is_lost()) return failure(net_error::unreachable);
  }
  if (auto why = problem()) return failure(std::move(*why));
  return 0;
}

result<std::span<std::byte const>> direct_stream::peek_wait::await_resume() {
  if (on_ != nullptr && on_->handle != nullptr) {
    if (auto const bytes = on_->handle->peek(); !bytes.empty()) return bytes;
    auto const state = on_->handle->read({}, on_->host->now());
    if (!state) return failure(state.error());
    if (state->has_value()) return std::span<std::byte const>();
    if (on_->host->is_lost()) return failure(net_error::unreachable);
  }
  return failure(problem().value_or(error(net_error::timed_out)));
}

void direct_stream::consume(std::size_t bytes) {
  if (connection_ == nullptr || bytes == 0) return;
  connection_->handle->consume(bytes, connection_->host->now());
  connection_->host->touch();
}

// ---- writing -----------------------------------------------------------------------------------------

bool direct_stream::write_wait::attempt() {
  auto& host = *on_->host;
  if (host.is_lost()) return fail(net_error::unreachable);
  for (; !parts_.empty(); parts_ = parts_.subspan(1), offset_ = 0) {
    while (offset_ < parts_.front().size()) {
      auto const taken = on_->handle->write(parts_.front().subspan(offset_), host.now());
      if (!taken) return fail(taken.error());
      if (*taken != 0) host.touch();
      offset_ += *taken;
      if (*taken == 0) return false;
    }
  }
  return true;
}

result<void> direct_stream::write_wait::await_resume() {
  if (auto why = problem()) return failure(std::move(*why));
  return {};
}

bool direct_stream::write_owned_wait::attempt() {
  auto& host = *on_->host;
  if (host.is_lost()) return fail(net_error::unreachable);
  auto const taken = on_->handle->write(owned_, host.now());
  if (!taken) return fail(taken.error());
  if (*taken) host.touch();
  return *taken;
}

result<bool> direct_stream::write_now(std::span<slice> owned) {
  if (connection_ == nullptr) return failure(net_error::not_connected);
  auto& on = *connection_;
  if (!on.writers.is_empty()) return false;  // first come, first served
  if (on.host->is_lost()) return failure(net_error::unreachable);
  auto taken = on.handle->write(owned, on.host->now());
  if (taken && *taken) on.host->touch();
  return taken;
}

result<void> direct_stream::write_owned_wait::await_resume() {
  if (auto why = problem()) return failure(std::move(*why));
  return {};
}

// ---- the stream itself -------------------------------------------------------------------------------

result<void> direct_stream::shutdown() {
  if (connection_ == nullptr) return failure(net_error::not_connected);
  auto& on = *connection_;
  if (auto const why = on.handle->failure()) return failure(*why);
  on.handle->shutdown(on.host->now());
  on.host->touch();
  return {};
}

void direct_stream::abort() noexcept {
  if (connection_ == nullptr) return;
  auto& on = *connection_;
  on.handle->abort(on.host->now());
  on.host->touch();
  direct_wait::abandon_all(on.readers);
  direct_wait::abandon_all(on.writers);
}

void direct_stream::release() noexcept {
  if (connection_ == nullptr) return;
  auto& on = *std::exchange(connection_, nullptr);
  direct_wait::abandon_all(on.readers);
  direct_wait::abandon_all(on.writers);
  on.handle->release(on.host->now());
  on.host->touch();
  on.host->give_record(on);
}

endpoint direct_stream::local() const {
  return connection_ == nullptr ? endpoint() : connection_->handle->local();
}
endpoint direct_stream::peer() const {
  return connection_ == nullptr ? endpoint() : connection_->handle->peer();
}

void direct_stream::set(tcp::settings const& to) {
  if (connection_ == nullptr) return;
  connection_->handle->options() = to;
  connection_->host->touch();
}
tcp::settings direct_stream::settings() const {
  return connection_ == nullptr ? tcp::settings() : connection_->handle->options();
}
tcp::information direct_stream::info() const {
  return connection_ == nullptr ? tcp::information() : connection_->handle->info();
}

// ---- accepting ---------------------------------------------------------------------------------------

bool direct_listener::accept_wait::attempt() {
  auto& host = *on_->host;
  if (auto* const handle = on_->handle->accept()) {
    accepted_ = direct_stream(host.take_record(*handle));
    return true;
  }
  return host.is_lost() && fail(net_error::unreachable);
}

result<direct_stream> direct_listener::accept_wait::await_resume() {
  if (auto why = problem(); why && accepted_.info().state == tcp::state::closed)
    return failure(std::move(*why));
  return std::move(accepted_);
}

direct_listening::~direct_listening() {
  direct_wait::abandon_all(acceptors);
  handle->release(host->now());
  host->touch();
  std::erase(host->listeners_, this);
}

// ---- datagrams ---------------------------------------------------------------------------------------

bool direct_datagrams::receive_wait::attempt() {
  auto const got = on_->handle->receive(into_);
  if (!got) return fail(got.error());
  if (!got->has_value()) return on_->host->is_lost() && fail(net_error::unreachable);
  received_ = **got;
  return true;
}

result<received_datagram> direct_datagrams::receive_wait::await_resume() {
  if (auto why = problem()) return failure(std::move(*why));
  return received_;
}

direct_datagrams::send_wait::send_wait(direct_port* on, std::span<std::byte const> from, endpoint const& to,
                                       instant deadline)
    : direct_wait(on == nullptr ? nullptr : &on->host->senders_, deadline), on_(on), from_(from), to_(to) {}

bool direct_datagrams::send_wait::attempt() {
  auto& host = *on_->host;
  if (host.is_lost()) return fail(net_error::unreachable);
  auto sent = on_->handle->send(from_, to_, host.now());
  if (sent) {
    host.touch();
    return true;
  }
  // No room now: the next turn, or buffers that come back, make some.
  return !sent.error().is(net_error::limit_reached) && fail(std::move(sent.error()));
}

result<void> direct_datagrams::send_wait::await_resume() {
  if (auto why = problem()) return failure(std::move(*why));
  return {};
}

direct_port::~direct_port() {
  direct_wait::abandon_all(readers);
  handle->release();
  std::erase(host->ports_, this);
}

}  // namespace morgana::net
