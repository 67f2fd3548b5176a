// A command line's memory, disks and networks as a machine.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "command/commands.hpp"
#include "workspace/files.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

std::unexpected<diagnostics> wrong(std::string message, std::string help) {
  return fail({.code = "wrong-value", .message = std::move(message), .help = {std::move(help)}});
}

outcome<machine_disk> parse_disk(std::string const& text) {
  auto const equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return wrong(fmt::format("`--disk {}` says no disk", text), "write --disk NAME=FILE or NAME=FILE,ro");
  }
  machine_disk out;
  out.name = text.substr(0, equals);
  auto file = text.substr(equals + 1);
  if (file.ends_with(",ro")) {
    out.read_only = true;
    file.resize(file.size() - 3);
  }
  std::error_code error;
  out.path = fs::absolute(file, error);
  if (!fs::exists(out.path, error)) {
    return wrong(fmt::format("disk `{}`: the file `{}` does not exist", out.name, file),
                 fmt::format("make one of 64 MiB: truncate -s 64M {}", file));
  }
  return out;
}

/// "8080:80"
std::optional<std::pair<std::uint16_t, std::uint16_t>> parse_forward(std::string_view text) {
  std::pair<std::uint16_t, std::uint16_t> out;
  auto const colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  for (auto const& [part, into] :
       {std::pair(text.substr(0, colon), &out.first), std::pair(text.substr(colon + 1), &out.second)}) {
    auto const [end, error] = std::from_chars(part.data(), part.data() + part.size(), *into);
    if (error != std::errc() || end != part.data() + part.size() || *into == 0) return std::nullopt;
  }
  return out;
}

outcome<machine_network> parse_network(std::string const& text) {
  auto const bad = [&](std::string_view why) {
    return wrong(fmt::format("`--network {}`: {}", text, why),
                 "write --network [NAME=]tap, [NAME=]tap:INTERFACE, [NAME=]user or [NAME=]fd:NUMBER, and after "
                 "commas host=10.0.0.1/24, forward=8080:80, mac=02:00:00:00:00:01, mtu=1500, offloads=no");
  };
  machine_network out;
  auto rest = std::string_view(text);
  auto const first_end = std::min(rest.find(','), rest.size());
  if (auto const equals = rest.substr(0, first_end).find('='); equals != std::string_view::npos) {
    out.name = rest.substr(0, equals);
    if (out.name.empty()) return bad("there is no name before the `=`");
    rest.remove_prefix(equals + 1);
  }
  auto what = rest.substr(0, rest.find(','));
  rest.remove_prefix(std::min(rest.size(), what.size() + 1));
  auto const is_tap = what == "tap" || what.starts_with("tap:");
  if (is_tap) {
    out.vnet_header = true;
    if (what == "tap") {
      out.host_address = "10.0.0.1/24";
    } else if (what.size() > 4) {
      out.tap = what.substr(4);
    } else {
      return bad("there is no interface after `tap:`");
    }
  } else if (what == "user") {
    out.is_user = true;
  } else if (what.starts_with("fd:")) {
    auto const [end, error] = std::from_chars(what.data() + 3, what.data() + what.size(), out.descriptor);
    if (error != std::errc() || end != what.data() + what.size() || out.descriptor <= 2) {
      return bad("there is no descriptor of 3 or more after `fd:`");
    }
    if (::fcntl(out.descriptor, F_GETFD) < 0) {
      return wrong(fmt::format("`--network {}`: descriptor {} is not open", text, out.descriptor),
                   "pass a socket of Ethernet frames to this process under that number");
    }
  } else {
    return bad("it is neither a tap nor a descriptor nor `user`");
  }
  while (!rest.empty()) {
    auto const part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.starts_with("host=") && what == "tap") {
      out.host_address = part.substr(5);
    } else if (part.starts_with("forward=") && out.is_user) {
      auto const ports = parse_forward(part.substr(8));
      if (!ports) return bad("forward= is two ports, the host's and the guest's");
      out.forwards.push_back(*ports);
    } else if (part.starts_with("mac=")) {
      out.mac = part.substr(4);
    } else if (part.starts_with("mtu=")) {
      auto const [end, error] = std::from_chars(part.data() + 4, part.data() + part.size(), out.mtu);
      if (error != std::errc() || end != part.data() + part.size() || out.mtu < 68 || out.mtu > 65535) {
        return bad("mtu is not between 68 and 65535");
      }
    } else if (part == "offloads=yes" || part == "offloads=no") {
      out.vnet_header = part == "offloads=yes";
    } else {
      return bad(fmt::format("`{}` is not known here", part));
    }
  }
  return out;
}

/// A device of the image's manifest that a runner attaches something to.
struct manifest_device {
  std::string name, attached;
};

std::vector<manifest_device> attached_devices(fs::path const& manifest) {
  std::vector<manifest_device> out;
  auto const text = read_file(manifest);
  auto const read = nlohmann::json::parse(text.value_or("{}"), nullptr, false);
  if (!read.is_object()) return out;
  for (auto const& one : read.value("devices", nlohmann::json::array())) {
    if (!one.is_object() || !one.contains("attached")) continue;
    out.push_back({one.value("name", ""), one.value("attached", "")});
  }
  return out;
}

/// Puts them into the manifest's order, which is that of targets whose devices have numbers; those without a
/// name last.
template <class Attached>
outcome<void> arrange(std::vector<Attached>& what, std::string_view kind,
                      std::vector<manifest_device> const& devices) {
  std::vector<std::string> names;
  for (auto const& one : devices) {
    if (one.attached == kind) names.push_back(one.name);
  }
  for (auto const& one : what) {
    if (one.name.empty() || std::ranges::find(names, one.name) != names.end()) continue;
    diagnostic unknown{.code = "unknown-device",
                       .message = fmt::format("the image has no {} `{}`", kind, one.name)};
    if (auto const near = nearest(one.name, names))
      unknown.help.push_back(fmt::format("did you mean `{}`?", *near));
    unknown.notes.push_back({.message = names.empty()
                                            ? fmt::format("it has no {} at all", kind)
                                            : fmt::format("it has `{}`", fmt::join(names, "`, `"))});
    return fail(std::move(unknown));
  }
  names.emplace_back();
  std::vector<Attached> ordered;
  for (auto const& name : names) {
    std::ranges::copy_if(what, std::back_inserter(ordered),
                         [&](Attached const& one) { return one.name == name; });
  }
  what = std::move(ordered);
  return {};
}

}  // namespace

outcome<machine_configuration> machine_for(workspace_state const& state, run_arguments const& with) {
  machine_configuration out;
  out.image = artefact(state, with.place.build_root(), "image");
  out.name = state.name;
  out.arguments = with.arguments;
  auto memory = with.memory;
  if (memory.empty()) {
    auto const found = state.settings.find("memory");
    if (found != state.settings.end()) memory = found->second;
  }
  if (!memory.empty()) {
    auto const bytes = parse_size(memory);
    if (!bytes)
      return wrong(fmt::format("`{}` is no amount of memory", memory), "write for example --memory 64MiB");
    out.memory_bytes = *bytes;
  }
  out.settings = state.settings;
  if (!with.seed.empty()) {
    if (!state.settings.contains("seed")) {
      return wrong(fmt::format("guests of the target `{}` have no seed", state.target),
                   "only a simulated target has one; `morgana plugin list` shows the targets");
    }
    out.settings.insert_or_assign("seed", with.seed);
  }
  if (!with.world.empty()) {
    if (!state.settings.contains("world")) {
      return wrong(fmt::format("guests of the target `{}` have no simulated world", state.target),
                   "only a simulated target has one; `morgana plugin list` shows the targets");
    }
    out.settings.insert_or_assign("world", std::filesystem::absolute(with.world).string());
  }
  for (auto const& text : with.environment) {
    auto const equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return wrong(fmt::format("`--env {}` says no variable", text), "write --env NAME=VALUE");
    }
    out.environment.insert_or_assign(text.substr(0, equals), text.substr(equals + 1));
  }
  for (auto const& text : with.disks) {
    auto disk = parse_disk(text);
    if (!disk) return fail(std::move(disk));
    out.disks.push_back(*std::move(disk));
  }
  for (auto const& text : with.networks) {
    auto network = parse_network(text);
    if (!network) return fail(std::move(network));
    out.networks.push_back(*std::move(network));
  }
  auto const devices = attached_devices(artefact(state, with.place.build_root(), "manifest"));
  if (auto done = arrange(out.networks, "network", devices); !done) return fail(std::move(done));
  if (auto done = arrange(out.disks, "disk", devices); !done) return fail(std::move(done));
  return out;
}

}  // namespace morgana::driver
