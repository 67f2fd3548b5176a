/* The interface between the driver and a target plugin's shared library. Plain C: no C++ type crosses it,
 * nothing registers itself. A target that is all data (NAME.toml) has no library at all.
 *
 * The library exports one function, morgana_plugin_entry. The driver refuses a library whose `major` is not
 * its own and names both numbers; a smaller `minor` is served as it is; a verb the plugin does not have
 * means the driver's default. morgana/plugin/plugin.hpp wraps this for C++ authors.
 *
 * Requests and responses are JSON objects in UTF-8. Unknown members are ignored by both sides.
 *
 *   verb         request                                   response
 *   describe     {}                                        { "capabilities": [...], "verbs": [...] }
 *   check_host   { "target" }                              { "problems": [ { "message", "help" } ] }
 *   lower        { "target", "application", "build_folder", { "rules": [...], "edges": [...], "files": [...] }
 *                  "settings", "graph", "options",          as in morgana/driver/plan.hpp; the driver
 *                  "objects", "archives", "image" }         validates and prints them
 *   package      { "target", "image", "build_folder" }     { "artefacts": { NAME: PATH } }
 *   command:NAME { "arguments": [...] }                    { "exit": 0, "output": "..." }
 */
#ifndef MORGANA_PLUGIN_PLUGIN_H
#define MORGANA_PLUGIN_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MORGANA_PLUGIN_API_MAJOR 1u
#define MORGANA_PLUGIN_API_MINOR 0u

/* Receives a response, once per call, before call() returns. The bytes belong to the plugin. */
typedef void (*morgana_plugin_sink)(void* context, const char* json, size_t size);

typedef enum morgana_plugin_status {
  MORGANA_PLUGIN_OK = 0,
  MORGANA_PLUGIN_UNKNOWN_VERB = 1, /* the driver does its default; the sink is not called */
  MORGANA_PLUGIN_FAILED = 2,       /* the sink got { "diagnostics": [ ... ] } as in diagnostic.hpp's JSON */
} morgana_plugin_status;

typedef struct morgana_plugin {
  uint32_t major;
  uint32_t minor;
  void* self;
  /* Never throws, never exits, never prints; returns a morgana_plugin_status. */
  int (*call)(void* self, const char* verb, const char* request_json, size_t size, morgana_plugin_sink sink,
              void* sink_context);
  void (*destroy)(void* self);
} morgana_plugin;

/* One object per call; the driver calls destroy(self) when it is done with it. Null when out of memory. */
const morgana_plugin* morgana_plugin_entry(void);

#ifdef __cplusplus
}
#endif

#endif
