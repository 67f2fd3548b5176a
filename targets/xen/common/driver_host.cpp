#include "driver_host.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "morgana/xen/grants.hpp"

namespace morgana::xen {

event_listener::event_listener(driver_host& on) : on_(&on), next_(std::exchange(on.first_, this)) {}

event_listener::~event_listener() {
  auto** link = &on_->first_;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
}

bool driver_host::quiesce() {
  auto is_quiet = true;
  for (auto* one = first_; one != nullptr; one = one->next_) is_quiet = one->quiesce() && is_quiet;
  return is_quiet && store.is_quiet();
}

void driver_host::resumed(resumption how) {
  if (how == resumption::elsewhere) grants.restart();
  for (auto* one = first_; one != nullptr; one = one->next_) one->resumed(how);
  if (how != resumption::elsewhere) return;
  grants.collect();
  store.resumed();
}

std::span<std::byte> driver_host::take_pages(std::size_t count) {
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(grant_page_bytes, count * grant_page_bytes));
  if (memory == nullptr) return {};
  std::memset(memory, 0, count * grant_page_bytes);
  return {memory, count * grant_page_bytes};
}

shared_pages::shared_pages(shared_pages&& other) noexcept : on_(other.on_), memory_(std::exchange(other.memory_, {})) {
  for (std::size_t i = 0; i < count(); ++i) grants_[i] = std::move(other.grants_[i]);
}

shared_pages& shared_pages::operator=(shared_pages&& other) noexcept {
  if (this == &other) return *this;
  (void)end();
  on_ = other.on_;
  memory_ = std::exchange(other.memory_, {});
  for (std::size_t i = 0; i < count(); ++i) grants_[i] = std::move(other.grants_[i]);
  return *this;
}

result<shared_pages> shared_pages::make(driver_host& on, domain with, std::size_t count) {
  if (count == 0 || count > pages_max) return failure(core_error::invalid_argument);
  shared_pages made;
  made.on_ = &on;
  if (count == 1) made.memory_ = on.take_guarded();
  if (made.memory_.empty()) {
    made.memory_ = on.take_pages(count);
    std::ranges::fill(made.memory_, std::byte{0});
  }
  if (made.memory_.empty()) return failure(core_error::out_of_memory);
  for (std::size_t i = 0; i < count; ++i) {
    made.grants_[i] =
        on.grants.give(with, on.frame_of(made.memory_.data() + i * grant_page_bytes), grant_access::read_write);
    if (!made.grants_[i]) return failure(driver_error::no_grant, static_cast<std::int64_t>(on.grants.limit()));
  }
  return made;
}

void shared_pages::renew(domain with) {
  for (std::size_t i = 0; i < count(); ++i) {
    grants_[i].renew(with, on_->frame_of(memory_.data() + i * grant_page_bytes));
    grants_[i].permit(grant_access::read_write);
  }
}

bool shared_pages::end() {
  auto ended = true;
  for (std::size_t i = 0; i < count(); ++i) ended = grants_[i].end() && ended;
  if (!ended) return false;
  auto* const memory = std::exchange(memory_, {}).data();
  if (memory != nullptr && !on_->give_guarded(memory)) std::free(memory);
  return true;
}

grant_counts grants_of_guest() {
  auto const* const host = driver_host::of_guest();
  if (host == nullptr) return {};
  return {.used = host->grants.used(), .stuck = host->grants.stuck(), .limit = host->grants.limit()};
}

namespace {

std::string_view message_of(std::uint32_t code) {
  switch (static_cast<driver_error>(code)) {
    case driver_error::no_grant:
      return "no grant is left";
    case driver_error::no_port:
      return "Xen gives no event channel";
    case driver_error::backend_missing:
      return "the backend does not come up";
    case driver_error::backend_failed:
      return "the backend closed the device";
    case driver_error::backend_lied:
      return "the backend broke the protocol";
    case driver_error::page_still_mapped:
      return "the backend keeps a page mapped";
  }
  return "unknown error of a driver";
}

constexpr error_domain driver_domain{.name = "xen", .message = message_of};

}  // namespace

error_domain const& domain_of(driver_error) {
  return driver_domain;
}

}  // namespace morgana::xen
