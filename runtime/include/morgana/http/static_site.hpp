// A website out of a key_value_store: GET and HEAD, media types, entity tags, conditional and range requests,
// index.html of folders, a page for what is not there.
//
//   http::static_site site(htdocs);
//   co_return co_await server.serve(network, clock, site);
//
// Every value that the store holds in memory has its head made when the site is, and is sent without a copy
// and without a coroutine: a request is a look-up in a hash table. Other values are looked up and read at each
// request, through a buffer of file_buffer_bytes.
//
// "/a/b" is the key "a/b"; a path that ends in '/' means its index.html; the name of a folder with an
// index.html is redirected (301) to that. Anything else is 404, with the content of 404.html if there is one.
// Paths with "." or ".." components, empty components or encoded slashes name no key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/core/task.hpp"
#include "morgana/http/conditions.hpp"
#include "morgana/http/content_type.hpp"
#include "morgana/http/request.hpp"
#include "morgana/http/response.hpp"
#include "morgana/storage/key_value_store.hpp"

namespace morgana::http {

struct site_options {
  std::string_view index = "index.html";
  std::string_view not_found_page = "404.html";
  /// `Cache-Control` of every file; empty: none is sent.
  std::string_view cache_control = {};
};

inline constexpr std::size_t entity_tag_bytes = 18;

/// `"0123456789abcdef"`, quotes included; empty for a hash of 0.
[[nodiscard]] std::string_view make_entity_tag(std::uint64_t content_hash, std::array<char, entity_tag_bytes>& into);

/// What a site knows beforehand; no template, no I/O.
class site_index {
 public:
  struct file {
    std::string key;
    std::span<std::byte const> body;
    value_information about;
    bool is_plain = true;                ///< a path that is the key as it stands has nothing to be decoded
    // Made when it is first asked for; a site with many files starts with none of them.
    std::string fields;                  ///< of 200, with Content-Length
    std::string fields_not_modified;     ///< of 304
    prepared_answer ok;                  ///< of `fields` and `body`
    std::string_view content_type;
    std::array<char, entity_tag_bytes> tag_text;
    std::size_t tag_bytes = 0;
    [[nodiscard]] std::string_view entity_tag() const { return {tag_text.data(), tag_bytes}; }
  };

  explicit site_index(site_options options) : options_(options) {}

  /// A value in memory: `body` lives as long as the index.
  void add(std::string_view key, value_information const& about, std::span<std::byte const> body);
  /// After the last add().
  void finish();
  /// Whether an answer is one of this site's.
  [[nodiscard]] bool has(prepared_answer const& one) const {
    auto const at = reinterpret_cast<std::uintptr_t>(&one), begin = reinterpret_cast<std::uintptr_t>(files_.data());
    return at - begin < files_.size() * sizeof(file);
  }
  [[nodiscard]] std::size_t files() const { return files_.size(); }
  [[nodiscard]] file* find(std::string_view key) const;
  [[nodiscard]] site_options const& options() const { return options_; }

  /// A key in a buffer of its own: what a request's path means.
  struct wanted {
    std::array<char, key_bytes_max> text;
    std::size_t size = 0;
    [[nodiscard]] std::string_view key() const { return {text.data(), size}; }
    [[nodiscard]] bool append(std::string_view more);
  };
  enum class outcome : std::uint8_t { answered, not_here };

  /// Answers what needs no store. not_here: `into` is the key to look for; not for a request that was refused.
  [[nodiscard]] outcome answer(request const& asked, response_writer& response, wanted& into) const;
  void answer_not_found(response_writer& response) const;
  static void answer_redirect(request const& asked, response_writer& response);

  /// The fields that say what a representation is, and the answers without its content. False: send `range`
  /// (the whole, when it has its size), with code `with`.
  [[nodiscard]] bool answer_conditions(request const& asked, response_writer& response, representation const& selected,
                                       byte_range& range, status& with) const;

 private:
  void send(file& found, request const& asked, response_writer& response) const;
  void send_by_conditions(file& found, request const& asked, response_writer& response) const;
  void prepare(file& one) const;

  site_options options_;
  std::string_view ok_line_ = status_line(status::ok);
  mutable std::vector<file> files_;
  std::vector<std::uint32_t> table_;     ///< open addressing: index into files_ plus one, 0 is free
};

template <key_value_store Store>
class static_site {
 public:
  static constexpr std::size_t file_buffer_bytes = 16 * 1024;
  /// try_handle() answers all: nothing of the store must be waited for.
  static constexpr bool answers_at_once = requires { requires Store::is_in_memory; };

  /// Looks at every key once. The values in memory must not change while the site lives.
  explicit static_site(Store& store, site_options options = {}) : store_(&store), index_(options) {
    auto const each = [](void* self, std::string_view key, value_information const& about) {
      static_cast<static_site*>(self)->add(key, about);
    };
    listed_ = store.keys(each, this).has_value();
    index_.finish();
  }
  static_site(static_site const&) = delete;
  static_site& operator=(static_site const&) = delete;

  /// Files whose heads are made once.
  [[nodiscard]] std::size_t prepared_files() const { return index_.files(); }

  /// Values in memory do not change.
  [[nodiscard]] bool gives_again(prepared_answer const& one) const { return index_.has(one); }

  [[nodiscard]] bool try_handle(request const& asked, response_writer& response) {
    if (auto* const before = response.answer_before(); before != nullptr && gives_again(*before)) {
      response.reply_prepared(*before);
      return true;
    }
    // Not cleared first: a kilobyte for each request, of which seldom any is used.
    [[clang::uninitialized]] site_index::wanted wanted;
    if (index_.answer(asked, response, wanted) == site_index::outcome::answered) return true;
    if (!is_all_in_memory()) return false;
    index_.answer_not_found(response);
    return true;
  }

  task<> operator()(request const& asked, response_writer& response) {
    site_index::wanted wanted;
    if (index_.answer(asked, response, wanted) == site_index::outcome::answered) co_return;
    auto about = co_await store_->stat(wanted.key());
    if (!about) {
      bool const is_folder = wanted.append("/") && wanted.append(index_.options().index) &&
                             (co_await store_->stat(wanted.key())).has_value() && !asked.path().ends_with('/');
      if (is_folder) {
        site_index::answer_redirect(asked, response);
      } else {
        index_.answer_not_found(response);
      }
      co_return;
    }
    std::array<char, entity_tag_bytes> tag;
    representation const selected{.size_bytes = about->size_bytes,
                                  .entity_tag = make_entity_tag(about->content_hash, tag),
                                  .modified_unix_seconds = about->modified_unix_seconds};
    byte_range range;
    auto code = status::ok;
    if (index_.answer_conditions(asked, response, selected, range, code)) co_return;
    response.begin(code, content_type_of(wanted.key()), range.size);
    if (asked.method() == method::head) co_return;
    std::array<std::byte, file_buffer_bytes> buffer;
    while (range.size != 0) {
      auto const part = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), range.size)));
      auto const got = co_await store_->read(wanted.key(), range.first, part);
      if (!got || *got == 0) co_return;   // the file shrank: the connection is cut, so the peer notices
      if (!co_await response.write(part.first(*got))) co_return;
      range.first += *got;
      range.size -= *got;
    }
  }

 private:
  void add(std::string_view key, value_information const& about) {
    auto const body = store_->view(key);
    if (body.data() == nullptr) {
      all_in_memory_ = false;
    } else {
      index_.add(key, about, body);
    }
  }
  /// An empty store may be a folder that fills later.
  [[nodiscard]] bool is_all_in_memory() const {
    return answers_at_once || (listed_ && all_in_memory_ && index_.files() != 0);
  }

  Store* store_;
  site_index index_;
  bool all_in_memory_ = true;
  bool listed_ = false;
};

}  // namespace morgana::http
