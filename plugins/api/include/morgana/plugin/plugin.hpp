// The plugin interface for authors in C++: derive from morgana::plugin::plugin, override what your target
// does differently, and export it.
//
//   class my_plugin final : public morgana::plugin::plugin {
//    public:
//     response lower(std::string_view request) override { return ok(R"({"edges": [...]})"); }
//   };
//   MORGANA_PLUGIN(my_plugin)
//
// Requests and responses are the JSON texts that plugin.h documents; with nlohmann-json installed, parse()
// and ok() take and give its values too. Every verb not overridden is "unknown", so the driver does its
// default. No exception leaves the library: one that escapes a verb becomes a `plugin-failed` diagnostic.
// Header-only; the shared library needs `-fvisibility=hidden` to export nothing but its entry.
#pragma once

#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "morgana/plugin/plugin.h"

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#define MORGANA_PLUGIN_HAS_JSON 1
#endif

namespace morgana::plugin {

/// What a verb answers.
struct response {
  morgana_plugin_status status = MORGANA_PLUGIN_UNKNOWN_VERB;
  std::string json;
};

/// `text` as a JSON string, quotes included. Bytes outside ASCII are passed on as they are.
[[nodiscard]] inline std::string json_string(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "\"";
  for (auto const c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20) {
      out.append("\\u00");
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15u]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

/// The verb is not there: the driver does its default.
[[nodiscard]] inline response unknown_verb() {
  return {};
}

/// The verb's answer, a JSON object.
[[nodiscard]] inline response ok(std::string json) {
  return {MORGANA_PLUGIN_OK, std::move(json)};
}

/// The verb failed: one diagnostic, with what to do next.
[[nodiscard]] inline response failed(std::string_view code, std::string_view message,
                                     std::vector<std::string> const& help = {}) {
  auto json = "{\"diagnostics\":[{\"level\":\"error\",\"code\":" + json_string(code) +
              ",\"message\":" + json_string(message) + ",\"help\":[";
  for (std::size_t i = 0; i < help.size(); ++i) json += (i == 0 ? "" : ",") + json_string(help[i]);
  return {MORGANA_PLUGIN_FAILED, json + "]}]}"};
}

#ifdef MORGANA_PLUGIN_HAS_JSON
[[nodiscard]] inline response ok(nlohmann::json const& value) {
  return ok(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}
[[nodiscard]] inline response ok(char const* json) {
  return ok(std::string(json));
}
/// The request; the driver always sends a JSON object.
[[nodiscard]] inline nlohmann::json parse(std::string_view request) {
  return nlohmann::json::parse(request, nullptr, false);
}
#endif

class plugin {
 public:
  plugin() = default;
  plugin(plugin const&) = delete;
  plugin& operator=(plugin const&) = delete;
  virtual ~plugin() = default;

  // The verbs of plugin.h; each gets the request's text.
  [[nodiscard]] virtual response describe(std::string_view) { return unknown_verb(); }
  [[nodiscard]] virtual response check_host(std::string_view) { return unknown_verb(); }
  [[nodiscard]] virtual response lower(std::string_view) { return unknown_verb(); }
  [[nodiscard]] virtual response package(std::string_view) { return unknown_verb(); }
  /// `command:NAME`.
  [[nodiscard]] virtual response command(std::string_view, std::string_view) { return unknown_verb(); }
};

namespace detail {

[[nodiscard]] inline response dispatch(plugin& self, std::string_view verb, std::string_view request) {
  constexpr std::string_view command = "command:";
  if (verb == "describe") return self.describe(request);
  if (verb == "check_host") return self.check_host(request);
  if (verb == "lower") return self.lower(request);
  if (verb == "package") return self.package(request);
  if (verb.starts_with(command)) return self.command(verb.substr(command.size()), request);
  return unknown_verb();
}

/// The object that crosses the border, with what it points to.
template <class Plugin>
struct exported {
  morgana_plugin table{};
  Plugin self;

  static int call(void* context, char const* verb, char const* request, std::size_t size,
                  morgana_plugin_sink sink, void* sink_context) noexcept {
    response answer;
    try {
      answer = dispatch(static_cast<exported*>(context)->self, verb, std::string_view(request, size));
    } catch (std::exception const& error) {
      answer = explain(error.what());
    } catch (...) {
      answer = explain("an exception that is no std::exception");
    }
    if (answer.status != MORGANA_PLUGIN_UNKNOWN_VERB)
      sink(sink_context, answer.json.data(), answer.json.size());
    return answer.status;
  }

  static void destroy(void* context) noexcept { delete static_cast<exported*>(context); }

 private:
  static response explain(char const* what) noexcept {
    try {
      return failed("plugin-failed", what);
    } catch (...) {
      return {MORGANA_PLUGIN_FAILED, {}};  // out of memory; the driver says that there was no diagnostic
    }
  }
};

/// morgana_plugin_entry's work.
template <class Plugin>
[[nodiscard]] morgana_plugin const* make() noexcept {
  try {
    auto* const object = new exported<Plugin>;
    object->table = {MORGANA_PLUGIN_API_MAJOR, MORGANA_PLUGIN_API_MINOR, object, exported<Plugin>::call,
                     exported<Plugin>::destroy};
    return &object->table;
  } catch (...) {
    return nullptr;
  }
}

}  // namespace detail
}  // namespace morgana::plugin

/// Exports the class as this library's plugin.
#define MORGANA_PLUGIN(CLASS)                                                                      \
  extern "C" __attribute__((visibility("default"))) morgana_plugin const* morgana_plugin_entry() { \
    return ::morgana::plugin::detail::make<CLASS>();                                               \
  }
