// Requirements: what an application needs, read by libTooling from the signature of its entry point.
//
//   struct options {
//     /// Port to listen on.
//     std::uint16_t port = 8080;
//   };
//   task<> start(net::stack auto& network, key_value_store auto& htdocs, option_set<options> auto const& opt);
//
// gives two device requirements (network: morgana::net::stack, htdocs: morgana::key_value_store) and one
// option, and remembers the place of every name. Only syntax and semantics are analysed; nothing is
// compiled. The compiler must never be the first to notice a mistake in an entry point.
//
// A parameter may be
//   C auto& NAME, C auto const& NAME, C auto&& NAME     a device of concept C (also template <C T> ... T& NAME);
//   option_set<options> auto const& NAME                boot options, some of them fixed at configure time;
//   options const& NAME                                 boot options of which none is fixed; an aggregate.
// `template <class T> requires C<T>` says the same as `template <C T>`.
// start() returns task<>, task<int>, or task<result<void>>; in the global or any named namespace, in the
// entry header or in a header of the application that it includes. A function named start that returns
// something else counts only when there is no better one.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/value.hpp"

namespace morgana::driver {

struct device_requirement {
  located_string name;                      ///< the parameter's name
  located_string concept_name;              ///< fully qualified, without the leading "morgana::"; e.g. "net::stack"
};

/// One field of an option struct.
struct option_field {
  located_string name;                      ///< C++ name, e.g. "max_age"
  std::string flag;                         ///< as typed, e.g. "max-age"
  std::string type;                         ///< as spelled by the compiler, canonical and fully qualified
  std::string declared_type;                ///< as the user wrote it
  std::string documentation;                ///< its doc comment, one paragraph, no comment marks; may be empty
  std::string default_source;               ///< the initialiser's source text; empty when there is none
  std::string default_value;                ///< its evaluated value as text when it is constant, else empty
};

/// An option struct with the fields of its bases first.
struct option_struct {
  located_string type;                      ///< qualified name, e.g. "options"
  std::string parameter;                    ///< the name of the parameter that takes it
  bool generic = false;                     ///< option_set<T>: fields may be fixed at configure time
  std::size_t position = 0;                 ///< index of that parameter in start()
  std::vector<option_field> fields;
};

/// Where each argument of the call of start() comes from, in order.
struct start_parameter {
  enum class kind { device, options } what;
  std::string name;
};

enum class start_result { nothing, exit_code, fallible };

struct requirements {
  source_location start;                    ///< the name of the entry point
  std::string qualified_start;              ///< e.g. "::start" or "::app::start"
  start_result result = start_result::nothing;
  std::vector<start_parameter> parameters;
  std::vector<device_requirement> devices;
  std::optional<option_struct> options;
};

/// What the parser needs to know about the build it stands in for.
struct requirement_input {
  std::filesystem::path entry;              ///< absolute path of the header
  /// Include folders, absolute, in order. Those at or below the entry's own folder, or above it, are the
  /// application's (-I); all others hold the runtime and packages (-isystem), where no start is looked for.
  std::vector<std::filesystem::path> include;
  /// Target flags: --target=, -std=, -D...; relative paths in them count from the entry's folder. In front
  /// of them stand -std=c++23 -stdlib=libc++ and the headers of the clang that Morgana was built with.
  std::vector<std::string> flags;
  std::filesystem::path cache;              ///< folder for cached results; empty: no cache
  /// The reader program; empty: ../libexec/morgana/morgana-requirements beside the running executable's
  /// folder, as in the build tree and in an installation. Bindings, whose executable is Python, say it.
  std::filesystem::path reader = {};
  /// The concepts the catalogue knows ("net::stack"), for the suggestions in messages; empty: every concept
  /// that namespace morgana declares.
  std::vector<std::string> device_concepts = {};
};

/// Reads the requirements. The result is cached under a hash of the entry point, of every file it included
/// and of the flags, so that a warm call does not load clang's front end at all.
///
/// Clang runs in a process of its own (morgana-requirements), so that neither a crash nor an endless
/// template of an application takes the driver with it; it is stopped after 60 s. Function bodies are not
/// analysed: their errors come from the build, in the user's own lines. A header that did not exist and would
/// now be found first does not invalidate the cache (as with every depfile).
///
/// Errors: `missing-file` (the entry), `missing-tool`, `parser-failed` (the reader crashed or hung), `no-start`, `two-starts` (both places), `parameter-without-concept`, `unknown-concept` (a concept
/// that is no device concept is left to the resolver; this is one that the compiler does not know, with the
/// nearest name), `wrong-start-result`, `unsupported-parameter`, `option-type` (a field without
/// option_parser<T>, with the types that have one), `option-clash` (two fields with one flag),
/// `two-option-structs`, `cpp-error` (an error in the application's own code: clang's own message, place, notes
/// and fix-its, first error only plus the count).
[[nodiscard]] outcome<requirements> read_requirements(requirement_input const& input);

/// Option fields of a device's options struct, e.g. "morgana::net::direct_stack_options" declared in
/// "morgana/net/direct_stack.hpp" (the leading "morgana::" may be left out); one struct per query, in order, with
/// empty `parameter`. The same cache; `input.entry` is not read, so applications share the answers.
/// Errors: `unknown-option-struct` (no such header or no such struct in it), `option-type`, `option-clash`,
/// `cpp-error`, `missing-tool`, `parser-failed`.
struct option_struct_query {
  std::string type;                         ///< e.g. "morgana::net::direct_stack_options"
  std::string header;                       ///< as one would #include it
};
[[nodiscard]] outcome<std::vector<option_struct>> read_option_structs(requirement_input const& input,
                                                                      std::vector<option_struct_query> const& queries);

}  // namespace morgana::driver
