#include "morgana/net/direct/raw.hpp"

#include "morgana/net/direct/host.hpp"

namespace morgana::net {

result<direct_raw> direct_host::open_raw(address_family family, std::uint8_t protocol) {
  if (lost_) return failure(net_error::unreachable);
  auto const handle = core_.open_raw(family, protocol);
  if (!handle) return failure(handle.error());
  auto record = std::make_unique<direct_raw_port>(this, *handle);
  (*handle)->user = record.get();
  raws_.push_back(record.get());
  return direct_raw(std::move(record));
}

direct_raw_port::~direct_raw_port() {
  direct_wait::abandon_all(readers);
  handle->release();
  std::erase(host->raws_, this);
}

bool direct_raw::receive_wait::attempt() {
  auto const got = on_->handle->receive(into_);
  if (!got) return on_->host->is_lost() && fail(net_error::unreachable);
  received_ = *got;
  return true;
}

result<received_packet> direct_raw::receive_wait::await_resume() {
  if (auto why = problem()) return failure(std::move(*why));
  return received_;
}

direct_raw::send_wait::send_wait(direct_raw_port* on, std::span<std::byte const> from, ip_address const* to,
                                 instant deadline)
    : direct_wait(&on->host->senders_, deadline),
      on_(on),
      from_(from),
      to_(to == nullptr ? ip_address() : *to),
      is_whole_(to == nullptr) {}

bool direct_raw::send_wait::attempt() {
  auto& host = *on_->host;
  if (host.is_lost()) return fail(net_error::unreachable);
  auto sent = is_whole_ ? on_->handle->send_packet(from_, host.now()) : on_->handle->send(from_, to_, host.now());
  if (sent) {
    host.touch();
    return true;
  }
  return !sent.error().is(net_error::limit_reached) && fail(std::move(sent.error()));
}

result<void> direct_raw::send_wait::await_resume() {
  if (auto why = problem()) return failure(std::move(*why));
  return {};
}

}  // namespace morgana::net
