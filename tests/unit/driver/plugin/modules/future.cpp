// A plugin of another version: all but its numbers may mean something else.
#include "morgana/plugin/plugin.h"

namespace {
constexpr morgana_plugin table{9, 4, nullptr, nullptr, nullptr};
}

extern "C" __attribute__((visibility("default"))) morgana_plugin const* morgana_plugin_entry() {
  return &table;
}
