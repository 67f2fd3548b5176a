// Writing morgana.lock: sorted, one fact a line, so that two branches merge.
#include <algorithm>

#include <fmt/format.h>

#include "morgana/driver/lock.hpp"

namespace morgana::driver {

namespace {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (char const one : text) {
    auto const byte = static_cast<unsigned char>(one);
    if (one == '"' || one == '\\') {
      out += '\\';
      out += one;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += one;
    }
  }
  return out + '"';
}

std::string key(std::string_view text) {
  auto const plain = [](char one) {
    return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9') ||
           one == '_' || one == '-';
  };
  if (!text.empty() && std::ranges::all_of(text, plain)) return std::string(text);
  return in_quotes(text);
}

void put(std::string& out, std::string_view name, std::string_view value) {
  if (!value.empty()) out += fmt::format("{} = {}\n", name, in_quotes(value));
}

void put(std::string& out, std::string_view name, std::vector<std::string> values) {
  if (values.empty()) return;
  std::ranges::sort(values);
  out += fmt::format("{} = [\n", name);
  for (auto const& one : values) out += fmt::format("  {},\n", in_quotes(one));
  out += "]\n";
}

}  // namespace

std::string format_lock(lock_file const& lock) {
  std::string out = "# Written by morgana; commit it. `morgana update [PACKAGE]` moves versions.\n";
  out += fmt::format("schema = {}\n", lock_schema);
  if (!lock.toolchain.empty()) {
    out += "\n[toolchain]\n";
    for (auto const& [name, version] : lock.toolchain)
      out += fmt::format("{} = {}\n", key(name), in_quotes(version));
  }
  for (auto const& [name, one] : lock.packages) {
    out += "\n[[package]]\n";
    out += fmt::format("name = {}\n", in_quotes(name));
    put(out, "version", one.version);
    put(out, "origin", one.origin);
    put(out, "sha256", one.sha256);
    put(out, "recipe_sha256", one.recipe_sha256);
    put(out, "requires", one.requires_);
  }
  for (auto const& [name, one] : lock.targets) {
    out += fmt::format("\n[target.{}]\n", key(name));
    std::vector<std::string> nodes;
    for (auto const& [node, implementation] : one.nodes) nodes.push_back(node + " = " + implementation);
    put(out, "nodes", std::move(nodes));
    put(out, "packages", one.packages);
  }
  return out;
}

}  // namespace morgana::driver
