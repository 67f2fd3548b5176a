#include "store.hpp"

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

store::request::request(store& on, std::uint32_t first, std::uint32_t count, bool was_put, instant deadline,
                        std::optional<std::string>* answers)
    : on_(&on),
      next_(std::exchange(on.requests_, this)),
      first_(first),
      count_(count),
      left_(count),
      answers_(answers),
      was_put_(was_put),
      deadline_(deadline) {}

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
    auto const which = event.request - one->first_;
    if (which >= one->count_ || !one->is_waiting()) continue;
    auto const is_error = event.what == store_event::kind::error;
    if (one->answers_ != nullptr) {
      if (!is_error) one->answers_[which] = event.text;
    } else if (is_error ? !one->is_error_ : which == 0) {
      one->is_error_ = is_error;
      one->answer_ = event.text;
    }
    if (--one->left_ == 0) one->complete();
    return;
  }
}

store::request store::sent(bool was_put, instant deadline) {
  return sent(1, was_put, deadline, nullptr);
}

store::request store::sent(std::uint32_t count, bool was_put, instant deadline, std::optional<std::string>* answers) {
  auto const first = next_number_;
  // No batch is so long that its numbers wrap.
  next_number_ = first + count >= UINT32_MAX / 2 ? requests_begin : first + count;
  link_->flush();
  return {*this, first, count, was_put, deadline, answers};
}

namespace {

/// Keys below one folder, whose text is made once.
class below {
 public:
  explicit below(std::string_view folder) {
    text_.reserve(folder.size() + key_bytes);
    text_ = folder;
    text_ += '/';
    folder_bytes_ = text_.size();
  }
  [[nodiscard]] std::string_view path(std::string_view key) {
    text_.resize(folder_bytes_);
    return text_ += key;
  }

 private:
  static constexpr std::size_t key_bytes = 40;
  std::string text_;
  std::size_t folder_bytes_;
};

}  // namespace

store::request store::read_all(std::string_view folder, std::span<std::string_view const> keys,
                               std::span<std::optional<std::string>> answers, instant deadline) {
  below in(folder);
  auto all_put = !keys.empty();
  auto number = next_number_;
  for (auto const key : keys) all_put = link_->client().read(number++, 0, in.path(key)) && all_put;
  return sent(static_cast<std::uint32_t>(keys.size()), all_put, deadline, answers.data());
}

store::request store::write_entries(std::string_view folder, std::span<store_entry const> entries, instant deadline,
                                    std::uint32_t transaction) {
  below in(folder);
  auto all_put = !entries.empty();
  auto number = next_number_;
  for (auto const& one : entries) {
    all_put = link_->client().write(number++, transaction, in.path(one.key), one.value) && all_put;
  }
  return sent(static_cast<std::uint32_t>(entries.size()), all_put, deadline, nullptr);
}

store::request store::read(std::string_view path, instant deadline, std::uint32_t transaction) {
  return sent(link_->client().read(next_number_, transaction, path), deadline);
}

store::request store::write(std::string_view path, std::string_view value, instant deadline,
                            std::uint32_t transaction) {
  return sent(link_->client().write(next_number_, transaction, path, value), deadline);
}

store::request store::remove(std::string_view path, instant deadline) {
  return sent(link_->client().remove(next_number_, 0, path), deadline);
}

store::request store::start_transaction(instant deadline) {
  return sent(link_->client().transaction_start(next_number_), deadline);
}

store::request store::end_transaction(std::uint32_t transaction, instant deadline) {
  return sent(link_->client().transaction_end(next_number_, transaction, store_client::end::commit), deadline);
}

task<result<void>> store::write_all(std::string_view folder, std::span<store_entry const> entries,
                                    instant deadline) {
  if (entries.empty()) co_return {};
  for (;;) {
    auto const begun = co_await start_transaction(deadline);
    if (!begun) co_return failure(begun.error());
    auto const said = parse_decimal(std::string_view(*begun).substr(0, begun->find('\0')), UINT32_MAX);
    if (!said) co_return failure(store_error::refused);
    auto const number = static_cast<std::uint32_t>(*said);
    auto last = co_await write_entries(folder, entries, deadline, number);
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
