#include <nlohmann/json.hpp>
#include <ostream>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {
namespace {

using json = nlohmann::ordered_json;

std::string_view name(severity level) {
  switch (level) {
    case severity::error:
      return "error";
    case severity::warning:
      return "warning";
    case severity::note:
      return "note";
  }
  return "error";
}

void add_place(json& to, std::optional<source_location> const& where, bool with_length) {
  if (!where || where->file.empty()) return;
  to["file"] = where->file.string();
  if (where->line == 0) return;
  to["line"] = where->line;
  if (where->column == 0) return;
  to["column"] = where->column;
  if (with_length) to["length"] = where->length;
}

}  // namespace

void print_json(std::ostream& out, diagnostic const& one) {
  json line{{"kind", "diagnostic"}, {"level", name(one.level)}, {"code", one.code}, {"message", one.message}};
  add_place(line, one.where, true);
  line["notes"] = json::array();
  for (auto const& note : one.notes) {
    json entry{{"message", note.message}};
    add_place(entry, note.where, false);
    line["notes"].push_back(std::move(entry));
  }
  line["help"] = one.help;
  // ASCII only, and never an exception for bytes that are no UTF-8.
  out << line.dump(-1, ' ', true, json::error_handler_t::replace) << '\n';
}

}  // namespace morgana::driver
