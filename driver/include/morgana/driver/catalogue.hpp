// The catalogue: which implementations of which concepts exist, as data.
//
//   [[device]]
//   name = "direct"                                   # what [devices.X] use = "..." says
//   provides = "net::stack"                           # concept, without "morgana::"
//   type = "morgana::net::direct_stack<{device}>"     # C++ type; {NEED} is the type bound to that need
//   header = "morgana/net/direct_stack.hpp"
//   needs = [ { name = "device", concept = "net::device" } ]    # named, in the order connect() takes them
//   config = { mtu = { type = "uint", default = "1500", help = "Largest packet, bytes" } }
//                                                     # also: values = [...], unique = true (names one thing),
//                                                     # constant and options, see below
//   options = "morgana::net::direct_stack_options"    # boot options, prefixed with the node's name
//   exclusive = false                                 # one node per parameter even when equal
//   takes_name = false                                # connect() gets a device_name after the context; the
//                                                     # keeps something under it: also exclusive
//   attached = "network"                              # "network" or "disk": what the runner attaches under that
//                                                     # name, so that the image's manifest tells
//   default = true                                    # taken when several fit and nothing was chosen
//   targets = ["unix", "xen-*"]                       # globs; left out in a target's own catalogue
//   packages = ["morgana-net"]                        # packages that hold it
//   wraps = "net::device"                             # a decorator: provides what it needs (pcap, faults)
//   connect_timeout_ms = 10000
//   help = "..."                                      # one sentence for `morgana devices`
//   generate = { kind = "embed_folder", from = "folder" }            # see below
//
// A configure setting reaches the C++ type as a template argument or constructor value by {config.NAME} in
// `type`: a number (sizes in bytes), true, false, one of `values` as it stands, or else a C++ string literal.
// {{ and }} stand for braces. A setting's `type` is text, boolean, uint, size or path (relative to the
// application's folder, and kept so); `use` and `wrap` are no setting's name. `generate` asks the planner for
// a generated source: `embed_folder` makes the type `morgana::app::embedded_<parameter>` from the files of
// the folder that `config.<from>` names; {generated} in `type` is its name.
//
// A choice of what the image has at all is a boolean with a `constant`: the generated main defines that variable, which the
// device's header declares (`extern bool const`), with the choice's value, and link-time optimisation drops what only a
// false one would have run. It is one for the whole image. `options` of it are boot options that there are only while it is
// true, `NAME=VALUE` one value of an option:
//   config.dhcp = { type = "boolean", default = "true", constant = "net::features::dhcp", options = ["ipv4=dhcp"] }
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/value.hpp"

namespace morgana::driver {

struct device_need {
  located_string name;
  located_string concept_name;
};

enum class setting_type { text, boolean, unsigned_integer, size, path };

/// A configure-time choice of a device, or a setting of a target.
struct setting_declaration {
  located_string name;
  setting_type type = setting_type::text;
  std::optional<std::string> default_value;  ///< in its normal form; none: it must be given
  std::string help;
  std::vector<std::string> values;  ///< when not empty, the only ones
  bool unique = false;              ///< names one exclusive thing: no two nodes may have the same value
  std::string constant = {};        ///< C++ variable of the whole image that has the value, without "morgana::"
  std::vector<std::string> options = {};  ///< boot options, or `NAME=VALUE`, that need it to be true
};

enum class generator_kind { none, embed_folder };

/// What the runner attaches under a device's name. The machine protocol has no others.
enum class attachment { none, network, disk };
[[nodiscard]] std::string_view to_string(attachment what);  ///< empty for none

struct device {
  located_string name;
  located_string provides;
  std::string type;
  std::string header;
  std::vector<device_need> needs;
  std::map<std::string, setting_declaration> config;
  std::optional<std::string> options;
  bool exclusive = false;            ///< also when it takes its name
  bool takes_name = false;
  attachment attached = attachment::none;
  bool is_default = false;
  std::vector<std::string> targets;  ///< globs; empty: every target of this catalogue's owner
  std::vector<std::string> packages;
  std::optional<std::string> wraps;
  std::chrono::milliseconds connect_timeout{10'000};
  generator_kind generate = generator_kind::none;
  std::string generate_from;
  std::string help;
  source_location where;  ///< its [[device]] line
};

/// Entries in the order they were contributed: runtime, plugin, application. For one target, a later entry of
/// the same `provides` and `name` replaces an earlier one (see candidates()).
struct catalogue {
  std::vector<device> devices;
};

/// Reads the [[device]] entries of one file. Errors: `wrong-toml`, `unknown-name`, `wrong-value`,
/// `missing-name`, `placeholder` (a {NAME} in `type` that is neither a need, nor a config, nor `generated`).
[[nodiscard]] outcome<catalogue> parse_catalogue(std::string_view text, std::filesystem::path const& file);

/// Appends `more`, which belongs to `owner` (entries without `targets` then hold for `owner` only; pass
/// "*" for the runtime and the application). An entry that has the targets, too, of an earlier one takes its
/// place.
void merge(catalogue& into, catalogue more, std::string_view owner);

/// True when `pattern` ("unix", "xen-*", "*") matches the target's name. `*` is the only wildcard.
[[nodiscard]] bool matches_target(std::string_view pattern, std::string_view target);

/// The devices that hold for a target, replaced ones left out, in the catalogue's order.
[[nodiscard]] std::vector<device const*> devices_for(catalogue const& available, std::string_view target);

/// Those of them that provide a concept.
[[nodiscard]] std::vector<device const*> candidates(catalogue const& available, std::string_view concept_name,
                                                    std::string_view target);

/// A setting's text in its normal form: digits, bytes, true or false, a lexically normal path; or why it is
/// none, as the middle of a sentence ("is not one of `a`, `b`").
[[nodiscard]] std::expected<std::string, std::string> normalize_setting(setting_declaration const& declared,
                                                                        std::string_view value);

/// Settings that were given in one place; see evaluate_settings().
struct setting_layer {
  setting_map const* settings = nullptr;
  /// Written before the name on the command line ("--htdocs."); said of settings without a place.
  std::string flag_prefix = "--";
  /// Names that are not declared are passed over.
  bool lenient = false;
};

/// The value of every declared setting: from the first layer that has it, else its default. `owner` is what
/// declares them ("`embedded`", "target `unix`"), `table` where a missing one belongs ("[devices.htdocs]"),
/// `whole` the place of that table, or of what asks for it.
/// Errors: `unknown-name`, `wrong-value`, `missing-setting`; all of them at once.
[[nodiscard]] outcome<std::map<std::string, std::string>> evaluate_settings(
    std::map<std::string, setting_declaration> const& declared, std::vector<setting_layer> const& layers,
    std::string_view owner, std::string_view table, std::optional<source_location> const& whole);

}  // namespace morgana::driver
