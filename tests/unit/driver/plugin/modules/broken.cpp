// A plugin whose verbs each break the contract in one way.
#include <cstring>
#include <string>

#include "morgana/plugin/plugin.h"

namespace {

int call(void*, char const* verb, char const*, size_t, morgana_plugin_sink sink, void* context) {
  auto const is = [&](char const* name) { return std::strcmp(verb, name) == 0; };
  auto const answer = [&](std::string const& text) { sink(context, text.data(), text.size()); };
  if (is("silent")) return MORGANA_PLUGIN_OK;
  if (is("twice")) {
    answer("{}");
    answer("{}");
    return MORGANA_PLUGIN_OK;
  }
  if (is("garbage")) answer("{\"a\":");
  if (is("list")) answer("[]");
  if (is("huge")) sink(context, "", size_t{1} << 40);
  if (is("null")) sink(context, nullptr, 5);
  if (is("status")) {
    answer("{}");
    return 42;
  }
  if (is("fails-silently")) {
    answer("{\"diagnostics\":[]}");
    return MORGANA_PLUGIN_FAILED;
  }
  if (is("fails-with-a-number")) {
    answer("{\"diagnostics\":[7]}");
    return MORGANA_PLUGIN_FAILED;
  }
  if (is("unknown-but-answers")) {
    answer("{}");
    return MORGANA_PLUGIN_UNKNOWN_VERB;
  }
  if (is("check_host")) answer("{\"problems\":[{}]}");
  if (is("command:x")) answer("{\"exit\":-1}");
  return MORGANA_PLUGIN_OK;
}

constexpr morgana_plugin table{MORGANA_PLUGIN_API_MAJOR, MORGANA_PLUGIN_API_MINOR, nullptr, call, nullptr};

}  // namespace

extern "C" __attribute__((visibility("default"))) morgana_plugin const* morgana_plugin_entry() {
  return &table;
}
