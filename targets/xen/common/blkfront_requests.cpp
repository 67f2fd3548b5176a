#include <algorithm>
#include <array>

#include "blkfront_state.hpp"
#include "morgana/storage/block_check.hpp"
#include "queue_wait.hpp"

namespace morgana::xen {
namespace {

using block_wire::operation;
using storage::storage_error;

/// Requests of one read() or write() that are out at once.
constexpr std::size_t requests_at_once = 4;

}  // namespace

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
      if (!co_await queue_wait(room, deadline)) co_return timed_out();
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
    if (!co_await queue_wait(room, deadline)) co_return timed_out();
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

}  // namespace morgana::xen
