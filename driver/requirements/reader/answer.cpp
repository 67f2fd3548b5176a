#include "requirements/reader/answer.hpp"

#include <nlohmann/json.hpp>

namespace morgana::driver {

// nlohmann finds these by argument-dependent lookup, so they live beside the types; static, because no other
// file should speak this dialect.

// json{a, b} would make an object of two strings, so lists are json::array.
using nlohmann::json;

static void to_json(json& out, source_location const& from) {
  out = json::array({from.file.string(), from.line, from.column, from.length});
}

static void from_json(json const& in, source_location& to) {
  to.file = in.at(0).get<std::string>();
  in.at(1).get_to(to.line);
  in.at(2).get_to(to.column);
  in.at(3).get_to(to.length);
}

static json place_or_null(std::optional<source_location> const& from) {
  return from ? json(*from) : json(nullptr);
}

static void read_place(json const& in, std::optional<source_location>& to) {
  if (!in.is_null()) to = in.get<source_location>();
}

static void to_json(json& out, located_string const& from) {
  out = json::array({from.value, from.where});
}

static void from_json(json const& in, located_string& to) {
  in.at(0).get_to(to.value);
  in.at(1).get_to(to.where);
}

static void to_json(json& out, diagnostic_note const& from) {
  out = json::array({from.message, place_or_null(from.where)});
}

static void from_json(json const& in, diagnostic_note& to) {
  in.at(0).get_to(to.message);
  read_place(in.at(1), to.where);
}

static void to_json(json& out, diagnostic const& from) {
  out = json{{"code", from.code},
             {"message", from.message},
             {"where", place_or_null(from.where)},
             {"notes", from.notes},
             {"help", from.help}};
}

static void from_json(json const& in, diagnostic& to) {
  in.at("code").get_to(to.code);
  in.at("message").get_to(to.message);
  read_place(in.at("where"), to.where);
  in.at("notes").get_to(to.notes);
  in.at("help").get_to(to.help);
}

static void to_json(json& out, option_field const& from) {
  out = json{{"name", from.name},
             {"flag", from.flag},
             {"type", from.type},
             {"declared_type", from.declared_type},
             {"documentation", from.documentation},
             {"default_source", from.default_source},
             {"default_value", from.default_value}};
}

static void from_json(json const& in, option_field& to) {
  in.at("name").get_to(to.name);
  in.at("flag").get_to(to.flag);
  in.at("type").get_to(to.type);
  in.at("declared_type").get_to(to.declared_type);
  in.at("documentation").get_to(to.documentation);
  in.at("default_source").get_to(to.default_source);
  in.at("default_value").get_to(to.default_value);
}

static void to_json(json& out, option_struct const& from) {
  out = json{{"type", from.type},
             {"parameter", from.parameter},
             {"generic", from.generic},
             {"position", from.position},
             {"fields", from.fields}};
}

static void from_json(json const& in, option_struct& to) {
  in.at("type").get_to(to.type);
  in.at("parameter").get_to(to.parameter);
  in.at("generic").get_to(to.generic);
  in.at("position").get_to(to.position);
  in.at("fields").get_to(to.fields);
}

static void to_json(json& out, start_parameter const& from) {
  out = json::array({from.what == start_parameter::kind::options, from.name});
}

static void from_json(json const& in, start_parameter& to) {
  to.what = in.at(0).get<bool>() ? start_parameter::kind::options : start_parameter::kind::device;
  in.at(1).get_to(to.name);
}

static void to_json(json& out, device_requirement const& from) {
  out = json::array({from.name, from.concept_name});
}

static void from_json(json const& in, device_requirement& to) {
  in.at(0).get_to(to.name);
  in.at(1).get_to(to.concept_name);
}

static void to_json(json& out, requirements const& from) {
  out = json{{"start", from.start},
             {"qualified_start", from.qualified_start},
             {"result", static_cast<int>(from.result)},
             {"parameters", from.parameters},
             {"devices", from.devices},
             {"options", from.options ? json(*from.options) : json(nullptr)}};
}

static void from_json(json const& in, requirements& to) {
  in.at("start").get_to(to.start);
  in.at("qualified_start").get_to(to.qualified_start);
  to.result = static_cast<start_result>(in.at("result").get<int>());
  in.at("parameters").get_to(to.parameters);
  in.at("devices").get_to(to.devices);
  if (auto const& options = in.at("options"); !options.is_null()) to.options = options.get<option_struct>();
}

static void to_json(json& out, option_struct_query const& from) {
  out = json::array({from.type, from.header});
}

static void from_json(json const& in, option_struct_query& to) {
  in.at(0).get_to(to.type);
  in.at(1).get_to(to.header);
}

namespace {

json strings(std::vector<std::filesystem::path> const& paths) {
  auto out = json::array();
  for (auto const& path : paths) out.push_back(path.string());
  return out;
}

std::vector<std::filesystem::path> paths(json const& in) {
  std::vector<std::filesystem::path> out;
  for (auto const& path : in) out.emplace_back(path.get<std::string>());
  return out;
}

/// Bytes that are no UTF-8 (a Latin-1 comment) become U+FFFD instead of an exception.
std::string print(json const& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// nlohmann reports a missing or mistyped member by an exception; here is where that ends.
template <class Read>
auto parsed(std::string_view text, Read read) -> std::optional<decltype(read(json()))> {
  try {
    auto const value = json::parse(text, nullptr, false);
    if (value.is_discarded()) return std::nullopt;
    return read(value);
  } catch (json::exception const&) {
    return std::nullopt;
  }
}

}  // namespace

std::string to_json_text(reader_request const& request) {
  return print(json{{"entry", request.entry.string()},
                    {"include", strings(request.include)},
                    {"flags", request.flags},
                    {"queries", request.queries},
                    {"device_concepts", request.device_concepts}});
}

std::optional<reader_request> read_request(std::string_view text) {
  return parsed(text, [](json const& in) {
    return reader_request{.entry = in.at("entry").get<std::string>(),
                          .include = paths(in.at("include")),
                          .flags = in.at("flags").get<std::vector<std::string>>(),
                          .queries = in.at("queries").get<std::vector<option_struct_query>>(),
                          .device_concepts = in.at("device_concepts").get<std::vector<std::string>>()};
  });
}

std::string to_json_text(reader_answer const& answer) {
  return print(json{{"files", strings(answer.files)},
                    {"errors", answer.errors},
                    {"needs", answer.needs},
                    {"structs", answer.structs}});
}

std::optional<reader_answer> read_answer(std::string_view text) {
  return parsed(text, [](json const& in) {
    return reader_answer{.files = paths(in.at("files")),
                         .errors = in.at("errors").get<diagnostics>(),
                         .needs = in.at("needs").get<requirements>(),
                         .structs = in.at("structs").get<std::vector<option_struct>>()};
  });
}

}  // namespace morgana::driver
