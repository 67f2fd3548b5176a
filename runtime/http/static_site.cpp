#include "morgana/http/static_site.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "morgana/core/text.hpp"
#include "morgana/http/date.hpp"
#include "text_rules.hpp"

namespace morgana::http {
namespace {

/// Eight bytes at a time, the last of which may overlap. The keys are the site's own, so nobody can choose colliding ones; a
/// request only looks up.
std::uint64_t hash_of(std::string_view key) {
  constexpr std::uint64_t factor = 0x9e37'79b9'7f4a'7c15u;   // 2^64 by the golden ratio
  auto hash = key.size();
  auto const add = [&](char const* at, std::size_t bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, bytes);
    hash = (hash ^ word) * factor;
    hash ^= hash >> 32;
  };
  if (key.size() < sizeof hash) {
    for (char const& c : key) add(&c, 1);
    return hash;
  }
  for (std::size_t at = 0; at + sizeof hash < key.size(); at += sizeof hash) add(key.data() + at, sizeof hash);
  add(key.data() + key.size() - sizeof hash, sizeof hash);
  return hash;
}

std::string_view view_of(std::array<char, date_bytes> const& date) { return {date.data(), date.size()}; }

}  // namespace

std::string_view make_entity_tag(std::uint64_t content_hash, std::array<char, entity_tag_bytes>& into) {
  if (content_hash == 0) return {};
  text_writer text{std::span<char>(into)};
  text.put('"');
  text.put_unsigned(content_hash, 16, 16, '0');
  text.put('"');
  return text.view();
}

bool site_index::wanted::append(std::string_view more) {
  if (more.size() > text.size() - size) return false;
  std::memcpy(text.data() + size, more.data(), more.size());
  size += more.size();
  return true;
}

void site_index::add(std::string_view key, value_information const& about, std::span<std::byte const> body) {
  auto& added = files_.emplace_back();
  added.key = key;
  added.is_plain = key.find('%') == std::string_view::npos;
  added.body = body;
  added.about = about;
}

[[gnu::noinline]] void site_index::prepare(file& one) const {
  one.content_type = content_type_of(one.key);
  one.tag_bytes = make_entity_tag(one.about.content_hash, one.tag_text).size();

  auto& validators = one.fields_not_modified;
  if (one.tag_bytes != 0) validators.append("ETag: ").append(one.entity_tag()).append("\r\n");
  if (one.about.modified_unix_seconds != 0) {
    validators.append("Last-Modified: ").append(view_of(format_date(one.about.modified_unix_seconds))).append("\r\n");
  }
  if (!options_.cache_control.empty()) validators.append("Cache-Control: ").append(options_.cache_control).append("\r\n");

  fixed_text<24> size;
  size.put_unsigned(one.body.size());
  one.fields.append("Content-Type: ").append(one.content_type).append("\r\nContent-Length: ").append(size.view());
  one.fields.append("\r\nAccept-Ranges: bytes\r\n").append(validators);
  one.ok = prepared_answer({ok_line_, one.fields}, one.body);
}

void site_index::finish() {
  // At most half full, so that a look-up ends soon.
  table_.assign(std::bit_ceil(files_.size() * 2 + 1), 0);
  for (std::size_t i = 0; i < files_.size(); ++i) {
    auto slot = hash_of(files_[i].key) & (table_.size() - 1);
    while (table_[slot] != 0) slot = (slot + 1) & (table_.size() - 1);
    table_[slot] = static_cast<std::uint32_t>(i + 1);
  }
}

site_index::file* site_index::find(std::string_view key) const {
  if (table_.empty()) return nullptr;
  for (auto slot = hash_of(key) & (table_.size() - 1); table_[slot] != 0; slot = (slot + 1) & (table_.size() - 1)) {
    auto& candidate = files_[table_[slot] - 1];
    if (candidate.key == key) return &candidate;
  }
  return nullptr;
}

site_index::outcome site_index::answer(request const& asked, response_writer& response, wanted& into) const {
  if (asked.method() != method::get && asked.method() != method::head) {
    response.header("Allow", "GET, HEAD");
    response.reply(status::method_not_allowed);
    return outcome::answered;
  }
  auto const path = asked.path();
  // The usual case: the path is a key as it stands.
  if (auto* found = find(path.substr(1)); found != nullptr && found->is_plain) {
    send(*found, asked, response);
    return outcome::answered;
  }
  std::array<char, key_bytes_max> decoded_text;
  auto const decoded = decode_path(path, decoded_text);
  if (!decoded) {
    response.reply(status::bad_request);
    return outcome::answered;
  }
  if (!into.append(decoded->substr(1)) || ((into.size == 0 || into.key().ends_with('/')) && !into.append(options_.index))) {
    answer_not_found(response);
    return outcome::answered;
  }
  if (auto* found = find(into.key()); found != nullptr) {
    send(*found, asked, response);
    return outcome::answered;
  }
  auto const size = into.size;
  bool const is_folder = into.append("/") && into.append(options_.index) && find(into.key()) != nullptr;
  into.size = size;
  if (!is_folder) return outcome::not_here;
  answer_redirect(asked, response);
  return outcome::answered;
}

void site_index::answer_not_found(response_writer& response) const {
  if (auto const* page = find(options_.not_found_page); page != nullptr) {
    response.reply_view(status::not_found, content_type_of(page->key), page->body);
  } else {
    response.reply(status::not_found);
  }
}

void site_index::answer_redirect(request const& asked, response_writer& response) {
  // The path names a key, so its first component is not empty and "//host" cannot be made of it.
  std::array<char, key_bytes_max * 3 + 2> text;
  text_writer location{std::span<char>(text)};
  location.put(asked.path());
  location.put('/');
  if (!asked.query().empty()) {
    location.put('?');
    location.put(asked.query());
  }
  if (location.was_cut()) {
    response.reply(status::not_found);
    return;
  }
  response.header("Location", location.view());
  response.reply(status::moved_permanently);
}

bool site_index::answer_conditions(request const& asked, response_writer& response, representation const& selected,
                                   byte_range& range, status& with) const {
  auto const decided = asked.is_conditional() ? evaluate(asked, selected)
                                              : decision{disposition::whole, {0, selected.size_bytes}};
  fixed_text<64> content_range;
  switch (decided.what) {
    case disposition::precondition_failed: response.reply(status::precondition_failed); return true;
    case disposition::unsatisfiable:
      content_range.append("bytes */{}", selected.size_bytes);
      response.header("Content-Range", content_range.view());
      response.reply(status::range_not_satisfiable);
      return true;
    case disposition::part:
      content_range.append("bytes {}-{}/{}", decided.range.first, decided.range.first + decided.range.size - 1,
                           selected.size_bytes);
      response.header("Content-Range", content_range.view());
      with = status::partial_content;
      break;
    case disposition::whole:
      response.header("Accept-Ranges", "bytes");
      with = status::ok;
      break;
    case disposition::not_modified: with = status::not_modified; break;
  }
  if (!selected.entity_tag.empty()) response.header("ETag", selected.entity_tag);
  if (selected.modified_unix_seconds != 0) {
    response.header("Last-Modified", view_of(format_date(selected.modified_unix_seconds)));
  }
  if (!options_.cache_control.empty()) response.header("Cache-Control", options_.cache_control);
  if (decided.what == disposition::not_modified) {
    response.reply(status::not_modified);
    return true;
  }
  range = decided.range;
  return false;
}

void site_index::send(file& found, request const& asked, response_writer& response) const {
  if (found.fields.empty()) prepare(found);
  if (asked.is_conditional()) return send_by_conditions(found, asked, response);
  response.reply_prepared(found.ok);
}

[[gnu::noinline]] void site_index::send_by_conditions(file& found, request const& asked,
                                                      response_writer& response) const {
  representation const selected{.size_bytes = found.body.size(),
                                .entity_tag = found.entity_tag(),
                                .modified_unix_seconds = found.about.modified_unix_seconds};
  auto const decided = evaluate(asked, selected);
  if (decided.what == disposition::whole) {
    response.reply_prepared(found.ok);
    return;
  }
  if (decided.what == disposition::not_modified) {
    response.reply_prepared({status_line(status::not_modified), found.fields_not_modified}, {});
    return;
  }
  byte_range range;
  auto code = status::ok;
  if (answer_conditions(asked, response, selected, range, code)) return;
  response.reply_view(code, found.content_type,
                      found.body.subspan(static_cast<std::size_t>(range.first), static_cast<std::size_t>(range.size)));
}

}  // namespace morgana::http
