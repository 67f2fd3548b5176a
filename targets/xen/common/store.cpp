#include "store.hpp"

#include <charconv>
#include <utility>

#include "morgana/core/text.hpp"

namespace morgana::xen {
namespace {

/// Answers to requests that nobody waits for.
constexpr std::uint32_t nobody = 0;

error error_named(std::string_view name) {
  if (name == "ENOENT") return core_error::not_found;
  if (name == "EAGAIN") return store_error::conflict;
  return store_error::refused;
}

using token_text = fixed_text<16>;

void write_token(token_text& into, std::uint32_t token) {
  into.append("{}{}", store::token_prefix, token);
}

}  // namespace

store::request::request(store& on, std::uint32_t number, bool was_put, instant deadline)
    : on_(&on), next_(std::exchange(on.requests_, this)), number_(number), was_put_(was_put), deadline_(deadline) {}

store::request::~request() {
  auto** link = &on_->requests_;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
}

result<std::string> store::request::await_resume() {
  if (!was_put_) return failure(store_error::too_much);
  if (timed_out()) return failure(core_error::timed_out);
  if (is_error_) return failure(error_named(answer_));
  return std::move(answer_);
}

void store::take(store_event const& event) {
  if (event.what == store_event::kind::watch) {
    for (auto* one = watches_; one != nullptr; one = one->next_) {
      token_text token;
      write_token(token, one->token_);
      if (event.token != token.view()) continue;
      one->has_fired_ = true;
      one->waiting_.complete_all();
    }
    return;
  }
  for (auto* one = requests_; one != nullptr; one = one->next_) {
    if (one->number_ != event.request || !one->is_waiting()) continue;
    one->is_error_ = event.what == store_event::kind::error;
    one->answer_ = event.text;
    one->complete();
    return;
  }
}

store::request store::sent(std::uint32_t number, bool was_put, instant deadline) {
  next_number_ = number + 1 < requests_begin ? requests_begin : number + 1;
  link_->flush();
  return {*this, number, was_put, deadline};
}

store::request store::read(std::string_view path, instant deadline, std::uint32_t transaction) {
  return sent(next_number_, link_->client().read(next_number_, transaction, path), deadline);
}

store::request store::write(std::string_view path, std::string_view value, instant deadline,
                            std::uint32_t transaction) {
  return sent(next_number_, link_->client().write(next_number_, transaction, path, value), deadline);
}

store::request store::remove(std::string_view path, instant deadline) {
  return sent(next_number_, link_->client().remove(next_number_, 0, path), deadline);
}

store::request store::start_transaction(instant deadline) {
  return sent(next_number_, link_->client().transaction_start(next_number_), deadline);
}

store::request store::end_transaction(std::uint32_t transaction, instant deadline) {
  return sent(next_number_,
              link_->client().transaction_end(next_number_, transaction, store_client::end::commit), deadline);
}

task<result<void>> store::write_all(std::string_view folder, std::span<store_entry const> entries,
                                    instant deadline) {
  for (;;) {
    auto const begun = co_await start_transaction(deadline);
    if (!begun) co_return failure(begun.error());
    std::uint32_t number = 0;
    auto const text = std::string_view(*begun).substr(0, begun->find('\0'));
    if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc()) {
      co_return failure(store_error::refused);
    }
    result<std::string> last = std::string();
    for (auto const& entry : entries) {
      if (!last) break;
      last = co_await write(std::string(folder) + '/' + std::string(entry.key), entry.value, deadline, number);
    }
    if (!last) {
      static_cast<void>(link_->client().transaction_end(nobody, number, store_client::end::abort));
      link_->flush();
      co_return failure(std::move(last.error()));
    }
    last = co_await end_transaction(number, deadline);
    if (last) co_return {};
    if (!last.error().is(store_error::conflict)) co_return failure(std::move(last.error()));
  }
}

store_watch::store_watch(store& on, std::string_view path)
    : on_(&on), next_(std::exchange(on.watches_, this)), path_(path), token_(on.next_token_++) {
  start();
}

void store_watch::start() {
  token_text token;
  write_token(token, token_);
  static_cast<void>(on_->link_->client().watch(nobody, path_, token.view()));
  on_->link_->flush();
}

void store::resumed() {
  for (auto* one = watches_; one != nullptr; one = one->next_) one->start();
}

store_watch::~store_watch() {
  auto** link = &on_->watches_;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
  token_text token;
  write_token(token, token_);
  static_cast<void>(on_->link_->client().unwatch(nobody, path_, token.view()));
  on_->link_->flush();
}

namespace {

std::string_view message_of(std::uint32_t code) {
  switch (static_cast<store_error>(code)) {
    case store_error::refused:
      return "xenstore refuses";
    case store_error::conflict:
      return "others change the same keys of xenstore";
    case store_error::too_much:
      return "too much for xenstore at once";
  }
  return "unknown error of xenstore";
}

constexpr error_domain store_domain{.name = "xenstore", .message = message_of};

}  // namespace

error_domain const& domain_of(store_error) {
  return store_domain;
}

}  // namespace morgana::xen
