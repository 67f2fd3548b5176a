#include "world_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include <toml++/toml.h>
#pragma clang diagnostic pop

namespace morgana::sim {
namespace {

/// Collects what is wrong: the first mistake is the one that is told.
class reader {
 public:
  explicit reader(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] std::string const& wrong() const { return wrong_; }

  void fail(toml::node const& at, std::string const& what) {
    if (!wrong_.empty()) return;
    auto const& begin = at.source().begin;
    wrong_ = path_ + ":" + std::to_string(begin.line) + ":" + std::to_string(begin.column) + ": " + what;
  }
  /// What is wrong with a value, or with the table for not having it.
  void fail(toml::table const& in, std::string_view key, std::string const& what) {
    auto const* const found = in.get(key);
    fail(found == nullptr ? in : *found, what);
  }
  void only(toml::table const& in, std::initializer_list<std::string_view> keys) {
    for (auto const& [key, value] : in) {
      if (std::ranges::find(keys, key.str()) == keys.end()) {
        fail(value, "`" + std::string(key.str()) + "` is not known here");
      }
    }
  }
  void text(toml::table const& in, std::string_view key, std::string& into) {
    auto const* const found = in.get(key);
    if (found == nullptr) return;
    if (auto const value = found->value_exact<std::string>()) {
      into = *value;
    } else {
      fail(*found, "`" + std::string(key) + "` is text");
    }
  }
  template <class N>
  void number(toml::table const& in, std::string_view key, N& into, std::uint64_t most) {
    auto const* const found = in.get(key);
    if (found == nullptr) return;
    auto const value = found->value_exact<std::int64_t>();
    if (value && *value >= 0 && static_cast<std::uint64_t>(*value) <= most) {
      into = static_cast<N>(*value);
    } else {
      fail(*found, "`" + std::string(key) + "` is a number from 0 to " + std::to_string(most));
    }
  }
  /// "250ms"
  void time(toml::table const& in, std::string_view key, duration& into) {
    auto const* const found = in.get(key);
    if (found == nullptr) return;
    auto const value = found->value_exact<std::string>();
    if (value) {
      std::uint64_t count = 0;
      auto const [end, error] = std::from_chars(value->data(), value->data() + value->size(), count);
      std::string_view const unit(end, static_cast<std::size_t>(value->data() + value->size() - end));
      for (auto const& [name, one] : {std::pair<std::string_view, duration>{"us", 1us},
                                      {"ms", 1ms},
                                      {"s", 1s},
                                      {"min", 60s},
                                      {"h", 3600s}}) {
        if (error == std::errc() && unit == name && count <= 1'000'000) {
          into = static_cast<std::int64_t>(count) * one;
          return;
        }
      }
    }
    fail(*found, "`" + std::string(key) + "` is a time such as \"250ms\" or \"10s\"");
  }

 private:
  std::string path_, wrong_;
};

void read_link(reader& in, toml::table const& from, link_settings& into) {
  in.only(from, {"delay", "jitter", "loss_ppm", "duplicate_ppm", "corrupt_ppm", "reorder_ppm", "kbit_per_s",
                 "queue_bytes"});
  in.time(from, "delay", into.delay);
  in.time(from, "jitter", into.delay_extra);
  in.number(from, "loss_ppm", into.loss_millionths, 1'000'000);
  in.number(from, "duplicate_ppm", into.duplicate_millionths, 1'000'000);
  in.number(from, "corrupt_ppm", into.corrupt_millionths, 1'000'000);
  in.number(from, "reorder_ppm", into.reorder_millionths, 1'000'000);
  in.number(from, "kbit_per_s", into.bits_per_s, 1'000'000'000);
  in.number(from, "queue_bytes", into.queue_bytes, 1u << 30);
  into.bits_per_s *= 1'000;
}

world_host read_host(reader& in, toml::table const& from, std::string const& folder) {
  in.only(from, {"name", "image", "arguments", "memory_mib", "networks", "link", "starts"});
  world_host made;
  in.text(from, "name", made.name);
  if (made.name.empty()) in.fail(from, "name", "a host has a `name`");
  in.text(from, "image", made.image);
  if (!made.image.empty()) {
    if (made.image.front() != '/') made.image = folder + made.image;
    if (::access(made.image.c_str(), R_OK) != 0) {
      in.fail(from, "image", "there is no image `" + made.image + "`: `morgana build -t sim` makes NAME.sim.so");
    }
  }
  if (auto const* const all = from.get("arguments")) {
    auto const* const list = all->as_array();
    if (list == nullptr) in.fail(*all, "`arguments` is a list of boot options");
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
      auto const text = list->get(i)->value_exact<std::string>();
      if (text) {
        made.arguments.push_back(*text);
      } else {
        in.fail(*all, "`arguments` is a list of boot options");
      }
    }
  }
  std::uint64_t mib = 64;
  in.number(from, "memory_mib", mib, 3'072);
  made.memory_bytes = mib << 20;
  if (auto const* const all = from.get("networks")) {
    auto const* const table = all->as_table();
    if (table == nullptr) in.fail(*all, "`networks` is a table: device = \"segment\"");
    if (table != nullptr) {
      for (auto const& [device, segment] : *table) {
        auto const name = segment.value_exact<std::string>();
        if (!name) in.fail(segment, "a segment is named by text");
        made.networks.push_back({std::string(device.str()), name.value_or("")});
      }
    }
  } else {
    made.networks.push_back({"network_device", "lan"});
  }
  if (auto const* const link = from.get("link")) {
    if (link->is_table()) {
      read_link(in, *link->as_table(), made.link);
    } else {
      in.fail(*link, "`link` is a table");
    }
  }
  if (auto const* const starts = from.get("starts")) {
    if (auto const value = starts->value_exact<bool>()) {
      made.starts = *value;
    } else {
      in.fail(*starts, "`starts` is true or false");
    }
  }
  return made;
}

world_event read_event(reader& in, toml::table const& from, std::vector<world_host> const& hosts) {
  in.only(from, {"at", "do", "host"});
  world_event made;
  in.time(from, "at", made.at);
  in.text(from, "host", made.host);
  if (std::ranges::find(hosts, made.host, &world_host::name) == hosts.end()) {
    in.fail(from, "host", "`" + made.host + "` is the name of no host");
  }
  std::string what;
  in.text(from, "do", what);
  constexpr std::pair<std::string_view, world_action> actions[] = {{"cut", world_action::cut},
                                                                   {"heal", world_action::heal},
                                                                   {"crash", world_action::crash},
                                                                   {"boot", world_action::boot},
                                                                   {"stop", world_action::stop}};
  auto const* const found =
      std::ranges::find(actions, std::string_view(what), &std::pair<std::string_view, world_action>::first);
  if (found == std::end(actions)) {
    in.fail(from, "do", "`do` is cut, heal, crash, boot or stop");
  } else {
    made.what = found->second;
  }
  return made;
}

/// The tables of `[[key]]`.
template <class Each>
void for_each_table(reader& in, toml::table const& from, std::string_view key, std::size_t most,
                    Each const& each) {
  auto const* const found = from.get(key);
  if (found == nullptr) return;
  auto const* const list = found->as_array();
  if (list == nullptr || !list->is_array_of_tables()) {
    return in.fail(*found, "`" + std::string(key) + "` is written as [[" + std::string(key) + "]]");
  }
  if (list->size() > most) return in.fail(*found, "there are more than " + std::to_string(most));
  for (std::size_t i = 0; i < list->size(); ++i) each(*list->get(i)->as_table());
}

}  // namespace

std::expected<world_description, std::string> read_world(std::string const& path) {
  auto const parsed = toml::parse_file(path);
  if (!parsed) {
    auto const& error = parsed.error();
    auto const& begin = error.source().begin;
    auto const place =
        begin.line == 0 ? std::string() : ":" + std::to_string(begin.line) + ":" + std::to_string(begin.column);
    return std::unexpected(path + place + ": " + std::string(error.description()));
  }
  auto const slash = path.rfind('/');
  auto const folder = slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
  auto const& root = parsed.table();
  reader in(path);
  in.only(root, {"lasts", "pcap", "host", "event"});
  world_description made;
  made.path = path;
  in.time(root, "lasts", made.lasts);
  in.text(root, "pcap", made.pcap);
  if (!made.pcap.empty() && made.pcap.front() != '/') made.pcap = folder + made.pcap;
  for_each_table(in, root, "host", world_hosts_max, [&](toml::table const& one) {
    made.hosts.push_back(read_host(in, one, folder));
    auto const& name = made.hosts.back().name;
    if (std::ranges::count(made.hosts, name, &world_host::name) > 1) {
      in.fail(one, "name", "two hosts are named `" + name + "`");
    }
  });
  if (made.hosts.empty()) in.fail(root, "there is no [[host]]");
  for_each_table(in, root, "event", world_events_max,
                 [&](toml::table const& one) { made.events.push_back(read_event(in, one, made.hosts)); });
  if (!in.wrong().empty()) return std::unexpected(in.wrong());
  return made;
}

}  // namespace morgana::sim
