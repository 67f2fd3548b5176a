#include "machine/messages.hpp"

#include <fmt/format.h>

#include <optional>
#include <system_error>

#include "morgana/driver/description.hpp"

namespace morgana::driver::messages {
namespace {

using nlohmann::json;
using reading = std::expected<message, std::string>;

constexpr std::size_t text_shown_bytes_max = 60;

std::string const* text_of(json const& object, char const* name) {
  auto const found = object.find(name);
  return found != object.end() ? found->get_ptr<std::string const*>() : nullptr;
}

std::vector<std::string> texts_of(json const& object, char const* name) {
  std::vector<std::string> out;
  auto const found = object.find(name);
  if (found == object.end() || !found->is_array()) return out;
  for (auto const& one : *found) {
    if (auto const* text = one.get_ptr<std::string const*>()) out.push_back(*text);
  }
  return out;
}

std::optional<int> small_number_of(json const& object, char const* name) {
  auto const found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  auto const value = found->get<std::uint64_t>();
  return value <= 255 ? std::optional(static_cast<int>(value)) : std::nullopt;
}

reading wrong(std::string what) {
  return std::unexpected(std::move(what));
}

reading parse_hello(json const& object) {
  auto const version = object.find("version");
  if (version == object.end() || !version->is_array() || version->size() != 2 ||
      !(*version)[0].is_number_unsigned() || !(*version)[1].is_number_unsigned()) {
    return wrong("hello without `version: [major, minor]`");
  }
  return hello{(*version)[0].get<std::uint64_t>(), (*version)[1].get<std::uint64_t>(),
               texts_of(object, "capabilities")};
}

reading parse_exit(json const& object) {
  auto const status = small_number_of(object, "status");
  if (!status) return wrong("exit without a `status` from 0 to 255");
  auto const* reason_text = text_of(object, "reason");
  auto const reason =
      reason_text != nullptr ? machine_protocol::parse_exit_reason(*reason_text) : std::nullopt;
  if (!reason) return wrong("exit without a `reason` that the protocol knows");
  exit_event event{
      .status = *status, .reason = *reason, .signal = small_number_of(object, "signal"), .report = {}};
  if (auto const* report = text_of(object, "report")) event.report = *report;
  return machine_event(std::move(event));
}

/// Text that JSON and a process both can carry.
std::optional<std::string> why_unsendable(std::string const& text) {
  if (text.find('\0') != std::string::npos) return "it holds a zero byte";
  try {
    (void)json(text).dump();
  } catch (json::exception const&) {
    return "it is not UTF-8";
  }
  return std::nullopt;
}

}  // namespace

reading parse(std::string_view text) {
  auto const object = json::parse(text, nullptr, false);
  if (object.is_discarded() || !object.is_object()) {
    auto shown = json(std::string(text.substr(0, text_shown_bytes_max)))
                     .dump(-1, ' ', true, json::error_handler_t::replace);
    return wrong(
        fmt::format("not a JSON object: {}{}", shown, text.size() > text_shown_bytes_max ? "..." : ""));
  }
  auto const* type = text_of(object, "type");
  if (type == nullptr) return wrong("a message without a `type`");
  if (*type == "hello") return parse_hello(object);
  if (*type == "exit") return parse_exit(object);
  if (*type == "console") {
    auto const* data = text_of(object, "data");
    auto bytes = data != nullptr ? machine_protocol::base64_decode(*data) : std::nullopt;
    if (!bytes) return wrong("console without base64 `data`");
    return machine_event(console_event{std::move(*bytes)});
  }
  if (*type == "error") {
    auto const* words = text_of(object, "message");
    if (words == nullptr) return wrong("error without a `message`");
    return machine_event(error_event{*words, texts_of(object, "help")});
  }
  if (*type == "started" || *type == "paused" || *type == "resumed" || *type == "snapshotted" || *type == "cored") {
    state_event event{.type = *type};
    if (*type == "started" && object.contains("capabilities")) event.capabilities = texts_of(object, "capabilities");
    return machine_event(std::move(event));
  }
  return unknown{};
}

outcome<json> start(target const& on, machine_configuration const& what) {
  auto refuse = [&](std::string message) {
    return fail({.code = "wrong-value", .message = std::move(message)});
  };
  for (std::size_t i = 0; i < what.arguments.size(); ++i) {
    if (auto const why = why_unsendable(what.arguments[i])) {
      return refuse(fmt::format("argument {} cannot be given to the guest: {}", i + 1, *why));
    }
  }
  for (auto const& [name, value] : what.environment) {
    auto const why = name.empty() || name.find('=') != std::string::npos ? "its name is none" : std::string();
    auto const wrong_text = why.empty() ? why_unsendable(name + value) : why;
    if (wrong_text)
      return refuse(fmt::format("variable `{}` cannot be given to the guest: {}", name, *wrong_text));
  }
  std::error_code error;
  auto const absolute = [&](std::filesystem::path const& path) {
    auto full = std::filesystem::absolute(path, error);
    return error ? path.string() : full.string();
  };

  auto memory = what.memory_bytes;
  if (auto const setting = on.settings.find("memory"); memory == 0 && setting != on.settings.end()) {
    memory = parse_size(setting->second.default_value.value_or("0")).value_or(0);
  }
  auto settings = json::object();
  for (auto const& [name, declared] : on.settings) {
    if (declared.default_value) settings[name] = *declared.default_value;
  }
  for (auto const& [name, value] : what.settings) {
    if (auto const wrong_text = why_unsendable(name + value)) {
      return refuse(fmt::format("setting `{}` cannot be given to the runner: {}", name, *wrong_text));
    }
    settings[name] = value;
  }
  json message{{"type", "start"},
               {"image", absolute(what.image)},
               {"name", what.name},
               {"arguments", what.arguments},
               {"environment", what.environment},
               {"memory_bytes", memory},
               {"settings", std::move(settings)},
               {"networks", json::array()},
               {"disks", json::array()}};
  for (auto const& network : what.networks) {
    json one{{"name", network.name},
             {"mac", network.mac},
             {"mtu", network.mtu},
             {"vnet_header", network.vnet_header}};
    if (network.descriptor >= 0 && network.descriptor <= 2) {
      return refuse(
          fmt::format("network `{}`: descriptor {} is a standard stream", network.name, network.descriptor));
    }
    if (network.descriptor >= 0) {
      one["descriptor"] = network.descriptor;
    } else if (network.is_user) {
      one["user"] = true;
      one["forwards"] = network.forwards;
    } else {
      one["tap"] = network.tap;
      if (network.tap.empty()) one["host_address"] = network.host_address;
    }
    message["networks"].push_back(std::move(one));
  }
  for (auto const& disk : what.disks) {
    message["disks"].push_back({{"name", disk.name},
                                {"path", absolute(disk.path)},
                                {"read_only", disk.read_only},
                                {"sector_bytes", disk.sector_bytes}});
  }
  if (!what.snapshot.empty()) message["snapshot"] = absolute(what.snapshot);
  if (!what.crash_core.empty()) message["crash_core"] = absolute(what.crash_core);
  if (auto text = to_text(message); !text) return fail(std::move(text));
  return message;
}

outcome<std::string> to_text(json const& message) {
  std::string text;
  try {
    text = message.dump();
  } catch (json::exception const&) {
    return fail({.code = "wrong-value", .message = "a name or path for the runner is not UTF-8"});
  }
  if (text.size() > machine_protocol::frame_bytes_max) {
    return fail(
        {.code = "wrong-value",
         .message = fmt::format("arguments and environment of the guest need {} bytes, a message to a runner "
                                "holds {}",
                                text.size(), machine_protocol::frame_bytes_max)});
  }
  return text;
}

}  // namespace morgana::driver::messages
