#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <system_error>

#include "description/toml_node.hpp"

namespace morgana::driver {
namespace {

std::string_view article(toml_kind kind) {
  switch (kind) {
    case toml_kind::text:
      return "text";
    case toml_kind::integer:
      return "an integer";
    case toml_kind::real:
      return "a number with a fraction";
    case toml_kind::boolean:
      return "true or false";
    case toml_kind::date_time:
      return "a date or time";
    case toml_kind::array:
      return "an array";
    case toml_kind::table:
      return "a table";
  }
  return "a value";
}

std::string example(std::string_view key, toml_kind kind) {
  switch (kind) {
    case toml_kind::text:
      return fmt::format("write `{} = \"...\"`", key);
    case toml_kind::integer:
      return fmt::format("write `{} = 1`, without quotes", key);
    case toml_kind::boolean:
      return fmt::format("write `{0} = true` or `{0} = false`, without quotes", key);
    case toml_kind::array:
      return fmt::format("write `{} = [ ... ]`", key);
    default:
      return fmt::format("write `{} = {{ ... }}`, or a header of its own", key);
  }
}

/// " in [devices.htdocs]", " in [[device]]": as the header is written, without numbers of entries.
std::string in_table(std::string_view path) {
  if (path.empty()) return {};
  auto const entry = path.ends_with(']');
  std::string name;
  auto inside = false;
  for (auto const c : path) {
    if (c == '[') inside = true;
    if (!inside) name += c;
    if (c == ']') inside = false;
  }
  return entry ? fmt::format(" in [[{}]]", name) : fmt::format(" in [{}]", name);
}

std::string quoted_list(std::vector<std::string> const& names) {
  return fmt::format("`{}`", fmt::join(names, "`, `"));
}

}  // namespace

source_location const& toml_table::where() const {
  return node_->where;
}
std::string const& toml_table::path() const {
  return node_->path;
}

std::vector<located_string> toml_table::keys() const {
  std::vector<located_string> result;
  for (auto const& one : node_->members) result.push_back(one.key);
  return result;
}

bool toml_table::has(std::string_view key) const {
  return node_->find(key) != nullptr;
}

std::optional<toml_kind> toml_table::kind(std::string_view key) const {
  auto const* found = node_->find(key);
  return found ? std::optional(found->value.kind) : std::nullopt;
}

source_location toml_table::where(std::string_view key) const {
  auto const* found = node_->find(key);
  return found ? found->value.where : node_->where;
}

source_location toml_table::where_key(std::string_view key) const {
  auto const* found = node_->find(key);
  return found ? found->key.where : node_->where;
}

toml_detail::node* toml_table::expect(std::string_view key, toml_kind kind) {
  allow(key);
  auto* found = node_->find(key);
  if (!found) return nullptr;
  if (found->value.kind != kind) {
    wrong_value(key,
                fmt::format("`{}` must be {}, but it is {}", key, article(kind), article(found->value.kind)),
                {example(key, kind)});
    return nullptr;
  }
  return &found->value;
}

void toml_table::missing(std::string_view key, std::string_view what) {
  report({.code = "missing-name",
          .message = fmt::format("`{}` is missing{}", key, in_table(node_->path)),
          .where = node_->where,
          .help = {fmt::format("add `{} = {}`", key, what)}});
}

std::optional<located_string> toml_table::text(std::string_view key) {
  auto const* found = expect(key, toml_kind::text);
  if (!found) return std::nullopt;
  return located_string{found->text, found->where};
}

located_string toml_table::require_text(std::string_view key) {
  auto value = text(key);
  if (value && value->value.empty())
    wrong_value(key, fmt::format("`{}` must not be empty", key), {example(key, toml_kind::text)});
  if (!has(key)) missing(key, "\"...\"");
  return value.value_or(located_string{{}, where(key)});
}

std::string toml_table::plain_text(std::string_view key, std::string_view otherwise) {
  auto value = text(key);
  return value ? std::move(value->value) : std::string(otherwise);
}

std::optional<located_string> toml_table::one_of(std::string_view key,
                                                 std::vector<std::string> const& values) {
  auto value = text(key);
  if (!value || std::ranges::find(values, value->value) != values.end()) return value;
  std::vector<std::string> help;
  if (auto const near = nearest(value->value, values))
    help.push_back(fmt::format("did you mean `{}`?", *near));
  help.push_back(fmt::format("write one of {}", quoted_list(values)));
  wrong_value(key, fmt::format("`{}` cannot be `{}`", key, value->value), std::move(help));
  return std::nullopt;
}

std::optional<located_string> toml_table::require_one_of(std::string_view key,
                                                         std::vector<std::string> const& values) {
  if (!has(key)) {
    allow(key);
    report({.code = "missing-name",
            .message = fmt::format("`{}` is missing{}", key, in_table(node_->path)),
            .where = node_->where,
            .help = {fmt::format("add `{} = \"...\"` with one of {}", key, quoted_list(values))}});
    return std::nullopt;
  }
  return one_of(key, values);
}

std::optional<bool> toml_table::boolean(std::string_view key) {
  auto const* found = expect(key, toml_kind::boolean);
  return found ? std::optional(found->boolean) : std::nullopt;
}

std::optional<std::int64_t> toml_table::integer(std::string_view key, std::int64_t least, std::int64_t most) {
  auto const* found = expect(key, toml_kind::integer);
  if (!found) return std::nullopt;
  if (found->integer >= least && found->integer <= most) return found->integer;
  auto const range = most == std::numeric_limits<std::int64_t>::max()
                         ? fmt::format("at least {}", least)
                         : fmt::format("from {} to {}", least, most);
  wrong_value(key, fmt::format("`{}` must be {}, but it is {}", key, range, found->integer),
              {fmt::format("write a number {}{}", range.starts_with("at") ? "of " : "", range)});
  return std::nullopt;
}

std::optional<std::int64_t> toml_table::require_integer(std::string_view key, std::int64_t least,
                                                        std::int64_t most) {
  if (!has(key)) missing(key, fmt::format("{}", least));
  return integer(key, least, most);
}

std::optional<std::vector<std::int64_t>> toml_table::integers(std::string_view key, std::int64_t least,
                                                              std::int64_t most) {
  auto const* found = expect(key, toml_kind::array);
  if (!found) return std::nullopt;
  std::vector<std::int64_t> result;
  for (auto const& item : found->items) {
    if (item.kind == toml_kind::integer && item.integer >= least && item.integer <= most) {
      result.push_back(item.integer);
      continue;
    }
    report({.code = "wrong-value",
            .message =
                item.kind == toml_kind::integer
                    ? fmt::format("{} is out of range in `{}`", item.integer, key)
                    : fmt::format("`{}` must hold integers only, but this is {}", key, article(item.kind)),
            .where = item.where,
            .help = {most == std::numeric_limits<std::int64_t>::max()
                         ? fmt::format("write integers of at least {}", least)
                         : fmt::format("write integers from {} to {}", least, most)}});
    return std::nullopt;
  }
  return result;
}

std::vector<located_string> toml_table::texts(std::string_view key) {
  std::vector<located_string> result;
  auto const* found = expect(key, toml_kind::array);
  if (!found) return result;
  for (auto const& item : found->items) {
    if (item.kind != toml_kind::text) {
      report({.code = "wrong-value",
              .message = fmt::format("`{}` must hold text only, but this is {}", key, article(item.kind)),
              .where = item.where,
              .help = {"put it in quotes"}});
    } else {
      result.push_back({item.text, item.where});
    }
  }
  return result;
}

std::vector<std::string> toml_table::plain_texts(std::string_view key) {
  std::vector<std::string> result;
  for (auto& one : texts(key)) result.push_back(std::move(one.value));
  return result;
}

std::optional<setting> toml_table::scalar(std::string_view key) {
  allow(key);
  auto const* found = node_->find(key);
  if (!found) return std::nullopt;
  auto const kind = found->value.kind;
  if (kind == toml_kind::array || kind == toml_kind::table || kind == toml_kind::date_time) {
    wrong_value(key,
                fmt::format("`{}` must be text, a number, true or false, but it is {}", key, article(kind)),
                {example(key, toml_kind::text)});
    return std::nullopt;
  }
  return setting{found->value.text, found->value.where, found->key.where};
}

std::optional<toml_table> toml_table::table(std::string_view key) {
  auto* found = expect(key, toml_kind::table);
  if (!found) return std::nullopt;
  found->opened = true;
  return toml_table(document_, found);
}

std::optional<toml_table> toml_table::require_table(std::string_view key) {
  if (!has(key)) {
    allow(key);
    auto const full = node_->path.empty() ? std::string(key) : fmt::format("{}.{}", node_->path, key);
    report({.code = "missing-name",
            .message = fmt::format("`[{}]` is missing", full),
            .where = node_->where,
            .help = {fmt::format("add the table `[{}]`", full)}});
    return std::nullopt;
  }
  return table(key);
}

std::vector<toml_table> toml_table::tables(std::string_view key) {
  std::vector<toml_table> result;
  if (kind(key) == toml_kind::table) {
    allow(key);
    wrong_value(key, fmt::format("`{}` must be an array of tables, but it is one table", key),
                {fmt::format("write its header with two brackets: `[[{}]]`", key)});
    return result;
  }
  auto* found = expect(key, toml_kind::array);
  if (!found) return result;
  for (auto& item : found->items) {
    if (item.kind != toml_kind::table) {
      report({.code = "wrong-value",
              .message = fmt::format("`{}` must hold tables only, but this is {}", key, article(item.kind)),
              .where = item.where,
              .help = {fmt::format("write `[[{}]]` headers, or `{} = [ {{ ... }} ]`", key, key)}});
    } else {
      item.opened = true;
      result.push_back(toml_table(document_, &item));
    }
  }
  return result;
}

bool toml_table::require_schema(int supported, std::string_view code) {
  if (!has("schema")) missing("schema", fmt::format("{}", supported));
  auto const found = integer("schema");
  if (!found || *found == supported) return true;
  report({.code = std::string(code),
          .message = fmt::format("the file has schema {}, this morgana reads schema {}", *found, supported),
          .where = where("schema"),
          .help = {*found > supported ? "upgrade morgana"
                                      : fmt::format("rewrite the file for schema {}", supported)}});
  document_->ignore_unknown = true;
  return false;
}

void toml_table::allow(std::string_view key) {
  if (!node_->asked.contains(key)) node_->asked.emplace(key);
}

void toml_table::allow_all() {
  node_->all_allowed = true;
}

void toml_table::report(diagnostic what) {
  document_->reported.push_back(std::move(what));
}

void toml_table::wrong_value(std::string_view key, std::string message, std::vector<std::string> help) {
  report(
      {.code = "wrong-value", .message = std::move(message), .where = where(key), .help = std::move(help)});
}

namespace {

void report_unknown(toml_detail::document& in, toml_detail::node& at) {
  if (at.opened && !at.all_allowed) {
    std::vector<std::string> const known(at.asked.begin(), at.asked.end());
    for (auto const& [key, value] : at.members) {
      if (at.asked.contains(key.value)) continue;
      diagnostic one{.code = "unknown-name",
                     .message = fmt::format("unknown key `{}`{}", key.value, in_table(at.path)),
                     .where = key.where};
      if (&at != &in.root && in.root.asked.contains(key.value) && !in.root.find(key.value)) {
        one.help.push_back(
            fmt::format("`{}` belongs to the top of the file: move it above the first [table]", key.value));
      } else if (auto const near = nearest(key.value, known)) {
        one.help.push_back(fmt::format("did you mean `{}`?", *near));
      } else if (known.empty()) {
        one.help.push_back("remove it");
      } else {
        one.help.push_back(fmt::format("remove it; the keys here are {}", quoted_list(known)));
      }
      in.reported.push_back(std::move(one));
    }
  }
  for (auto& one : at.members) report_unknown(in, one.value);
  for (auto& item : at.items) report_unknown(in, item);
}

}  // namespace

outcome<toml_document> toml_document::parse(std::string_view text, std::filesystem::path const& file) {
  auto content = toml_detail::parse(text, file);
  if (!content) return fail(std::move(content));
  return toml_document(std::move(*content));
}

toml_document::toml_document(std::unique_ptr<toml_detail::document> content) : content_(std::move(content)) {}
toml_document::toml_document(toml_document&&) noexcept = default;
toml_document& toml_document::operator=(toml_document&&) noexcept = default;
toml_document::~toml_document() = default;

toml_table toml_document::root() {
  content_->root.opened = true;
  return toml_table(content_.get(), &content_->root);
}

void toml_document::report(diagnostic what) {
  content_->reported.push_back(std::move(what));
}

void toml_document::ignore_unknown() {
  content_->ignore_unknown = true;
}

diagnostics toml_document::take_diagnostics() {
  if (!content_->ignore_unknown) report_unknown(*content_, content_->root);
  std::multimap<std::pair<std::uint32_t, std::uint32_t>, diagnostic> in_order;
  for (auto& one : content_->reported) {
    auto const place = one.where ? std::pair(one.where->line, one.where->column) : std::pair(0u, 0u);
    in_order.emplace(place, std::move(one));
  }
  content_->reported.clear();
  diagnostics result;
  for (auto& [place, one] : in_order) result.push_back(std::move(one));
  return result;
}

outcome<std::string> read_text_file(std::filesystem::path const& file) {
  constexpr std::size_t bytes_max = 4u << 20;
  auto const refuse = [&](std::string reason, std::string help) {
    return fail({.code = "unreadable-file",
                 .message = fmt::format("cannot read the file: {}", reason),
                 .where = source_location{file},
                 .help = {std::move(help)}});
  };
  std::error_code error;
  auto const status = std::filesystem::status(file, error);
  if (error && status.type() != std::filesystem::file_type::not_found) {
    return refuse(error.message(), "make it readable");
  }
  if (!std::filesystem::exists(status)) return refuse("it does not exist", "create it, or correct its name");
  if (!std::filesystem::is_regular_file(status)) return refuse("it is not a file", "name a file");
  std::ifstream in(file, std::ios::binary);
  if (!in) return refuse("permission denied", "make it readable");
  std::string text;
  char buffer[1u << 16];
  while (in.read(buffer, sizeof buffer), in.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (text.size() > bytes_max) return refuse("it is larger than 4 MiB", "divide it into several files");
  }
  if (in.bad()) return refuse("reading failed", "check the disk");
  return text;
}

}  // namespace morgana::driver
