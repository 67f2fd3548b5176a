#include <dlfcn.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "morgana/driver/plugin_library.hpp"
#include "morgana/plugin/plugin.h"

namespace morgana::driver {
namespace {

using nlohmann::json;

std::string text_of(json const& object, char const* name) {
  auto const found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint32_t count_of(json const& object, char const* name) {
  auto const found = object.find(name);
  return found != object.end() && found->is_number_unsigned() && found->get<std::uint64_t>() <= UINT32_MAX
             ? found->get<std::uint32_t>()
             : 0;
}

std::vector<std::string> texts_of(json const& object, char const* name) {
  std::vector<std::string> out;
  auto const found = object.find(name);
  if (found == object.end() || !found->is_array()) return out;
  for (auto const& one : *found) {
    if (one.is_string()) out.push_back(one.get<std::string>());
  }
  return out;
}

std::optional<source_location> place_of(json const& object) {
  auto const file = text_of(object, "file");
  if (file.empty()) return std::nullopt;
  return source_location{file, count_of(object, "line"), count_of(object, "column"),
                         std::max(1u, count_of(object, "length"))};
}

/// A diagnostic in print_json's form; nothing when it has no message.
std::optional<diagnostic> parse_diagnostic(json const& object) {
  if (!object.is_object() || text_of(object, "message").empty()) return std::nullopt;
  auto code = text_of(object, "code");
  diagnostic out{.code = code.empty() ? "plugin-failed" : std::move(code),
                 .message = text_of(object, "message"),
                 .where = place_of(object),
                 .help = texts_of(object, "help")};
  if (text_of(object, "level") == "warning") out.level = severity::warning;
  if (auto const notes = object.find("notes"); notes != object.end() && notes->is_array()) {
    for (auto const& note : *notes) {
      if (note.is_object()) out.notes.push_back({text_of(note, "message"), place_of(note)});
    }
  }
  return out;
}

/// What the sink got during one call.
struct answer {
  std::string text;
  int count = 0;
  bool too_long = false;
};

extern "C" void take_answer(void* context, char const* bytes, std::size_t size) {
  auto& into = *static_cast<answer*>(context);
  ++into.count;
  if (size > plugin_response_bytes_max || (bytes == nullptr && size != 0)) {
    into.too_long = true;
    return;
  }
  if (into.count == 1 && size != 0) into.text.assign(bytes, size);
}

struct close_library {
  void operator()(void* handle) const { ::dlclose(handle); }
};

class loaded_library final : public plugin_library {
 public:
  loaded_library(std::string name, std::unique_ptr<void, close_library> handle, morgana_plugin const* plugin)
      : name_(std::move(name)), handle_(std::move(handle)), plugin_(plugin) {}
  ~loaded_library() override {
    if (plugin_->destroy != nullptr) plugin_->destroy(plugin_->self);
  }

  outcome<std::optional<std::string>> call(std::string_view verb, std::string_view request) override {
    std::string const verb_text(verb);
    answer got;
    auto const status =
        plugin_->call(plugin_->self, verb_text.c_str(), request.data(), request.size(), take_answer, &got);
    auto wrong = [&](std::string what) {
      return fail(
          {.code = "plugin-response",
           .message = fmt::format("the library of plugin `{}` answered `{}` wrongly: {}", name_, verb, what),
           .help = {"report it to the author of the plugin"}});
    };
    if (status == MORGANA_PLUGIN_UNKNOWN_VERB) {
      if (got.count != 0) return wrong("an answer to a verb that it says it does not have");
      return std::optional<std::string>();
    }
    if (status != MORGANA_PLUGIN_OK && status != MORGANA_PLUGIN_FAILED)
      return wrong(fmt::format("status {}", status));
    if (got.too_long) return wrong(fmt::format("more than {} bytes", plugin_response_bytes_max));
    if (got.count != 1) return wrong(fmt::format("{} answers instead of one", got.count));
    auto const parsed = json::parse(got.text, nullptr, false);
    if (parsed.is_discarded() || !parsed.is_object()) return wrong("not a JSON object");
    if (status == MORGANA_PLUGIN_OK) return std::optional(std::move(got.text));

    diagnostics own;
    bool error = false;
    if (auto const list = parsed.find("diagnostics"); list != parsed.end() && list->is_array()) {
      for (auto const& one : *list) {
        auto diagnosed = parse_diagnostic(one);
        if (!diagnosed) return wrong("a diagnostic without a message");
        error = error || diagnosed->level == severity::error;
        own.push_back(std::move(*diagnosed));
      }
    }
    if (!error) return wrong("a failure without a diagnostic");
    return std::unexpected(std::move(own));
  }

 private:
  std::string name_;
  std::unique_ptr<void, close_library> handle_;
  morgana_plugin const* plugin_;
};

/// call() with a parsed answer; an empty object when the verb is not there.
outcome<std::optional<json>> ask(plugin_library& plugin, std::string_view verb, json const& request) {
  auto answered = plugin.call(verb, request.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!answered) return fail(std::move(answered));
  if (!*answered) return std::optional<json>();
  return std::optional(json::parse(**answered, nullptr, false));
}

std::unexpected<diagnostics> wrong_member(std::string_view verb, std::string_view what) {
  return fail(
      {.code = "plugin-response", .message = fmt::format("the plugin's answer to `{}`: {}", verb, what)});
}

}  // namespace

outcome<std::unique_ptr<plugin_library>> plugin_library::load(target const& on) {
  if (!on.library) return std::unique_ptr<plugin_library>();
  auto const path = on.library->is_absolute() ? *on.library : on.folder / *on.library;
  auto refuse = [&](std::string code, std::string message, std::string help) {
    return fail({.code = std::move(code),
                 .message = std::move(message),
                 .where = source_location{.file = on.file},
                 .help = {std::move(help)}});
  };
  // Everything is bound now: a missing symbol is an error here, not a crash in the middle of a build.
  std::unique_ptr<void, close_library> handle(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (!handle) {
    auto const* words = ::dlerror();
    return refuse("plugin-library",
                  fmt::format("the library of plugin `{}` cannot be loaded: {}", on.name,
                              words ? words : path.string()),
                  "build the plugin again, for this host");
  }
  using entry_function = morgana_plugin const* (*)();
  auto const entry = reinterpret_cast<entry_function>(::dlsym(handle.get(), "morgana_plugin_entry"));
  if (entry == nullptr) {
    return refuse("plugin-library",
                  fmt::format("the library of plugin `{}` has no function morgana_plugin_entry", on.name),
                  "export it with MORGANA_PLUGIN from morgana/plugin/plugin.hpp");
  }
  auto const* plugin = entry();
  if (plugin == nullptr) {
    return refuse("plugin-library", fmt::format("the library of plugin `{}` gave no plugin object", on.name),
                  "report it to the author of the plugin");
  }
  if (plugin->major != plugin_api_major) {
    // Nothing of a foreign object but its version can be trusted, not even destroy.
    return refuse(
        "plugin-api",
        fmt::format("the library of plugin `{}` was built for version {}.{} of the plugin interface, this "
                    "driver has {}.{}",
                    on.name, plugin->major, plugin->minor, plugin_api_major, plugin_api_minor),
        "build the plugin against the installed Morgana");
  }
  if (plugin->call == nullptr) {
    return refuse("plugin-library", fmt::format("the library of plugin `{}` has no function `call`", on.name),
                  "report it to the author of the plugin");
  }
  return std::unique_ptr<plugin_library>(
      std::make_unique<loaded_library>(on.name, std::move(handle), plugin));
}

outcome<plugin_description> describe(plugin_library& plugin) {
  auto answered = ask(plugin, "describe", json::object());
  if (!answered) return fail(std::move(answered));
  if (!*answered) return plugin_description{};
  return plugin_description{texts_of(**answered, "capabilities"), texts_of(**answered, "verbs")};
}

outcome<diagnostics> check_host(plugin_library& plugin, std::string_view target_name) {
  auto answered = ask(plugin, "check_host", {{"target", target_name}});
  if (!answered) return fail(std::move(answered));
  diagnostics out;
  if (!*answered) return out;
  auto const problems = (*answered)->find("problems");
  if (problems == (*answered)->end()) return out;
  if (!problems->is_array()) return wrong_member("check_host", "`problems` is not a list");
  for (auto const& problem : *problems) {
    auto const message = problem.is_object() ? text_of(problem, "message") : std::string();
    if (message.empty()) return wrong_member("check_host", "a problem without a `message`");
    diagnostic one{.code = "host-check", .message = message, .help = texts_of(problem, "help")};
    if (auto help = text_of(problem, "help"); !help.empty()) one.help.push_back(std::move(help));
    out.push_back(std::move(one));
  }
  return out;
}

outcome<std::map<std::string, std::filesystem::path>> package(plugin_library& plugin,
                                                              std::string_view target_name,
                                                              std::filesystem::path const& image,
                                                              std::filesystem::path const& build_folder) {
  auto answered =
      ask(plugin, "package",
          {{"target", target_name}, {"image", image.string()}, {"build_folder", build_folder.string()}});
  if (!answered) return fail(std::move(answered));
  std::map<std::string, std::filesystem::path> out;
  if (!*answered) return out;
  auto const artefacts = (*answered)->find("artefacts");
  if (artefacts == (*answered)->end() || !artefacts->is_object()) {
    return wrong_member("package", "no table `artefacts`");
  }
  for (auto const& [name, path] : artefacts->items()) {
    if (!path.is_string()) return wrong_member("package", fmt::format("artefact `{}` is not a path", name));
    out.emplace(name, path.get<std::string>());
  }
  return out;
}

outcome<std::optional<plugin_command_result>> run_command(plugin_library& plugin, std::string_view name,
                                                          std::vector<std::string> const& arguments) {
  auto const verb = fmt::format("command:{}", name);
  auto answered = ask(plugin, verb, {{"arguments", arguments}});
  if (!answered) return fail(std::move(answered));
  if (!*answered) return std::optional<plugin_command_result>();
  auto const exit = (*answered)->find("exit");
  if (exit == (*answered)->end() || !exit->is_number_unsigned() || exit->get<std::uint64_t>() > 255) {
    return wrong_member(verb, "no `exit` from 0 to 255");
  }
  return std::optional(plugin_command_result{exit->get<int>(), text_of(**answered, "output")});
}

}  // namespace morgana::driver
