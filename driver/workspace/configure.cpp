// The pipeline: one function per step, in the order of the header.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "morgana/driver/toml.hpp"
#include "morgana/driver/workspace.hpp"
#include "package/sha256.hpp"
#include "workspace/choices.hpp"
#include "workspace/files.hpp"
#include "workspace/guest.hpp"
#include "workspace/state.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// Which target: what was asked for, MORGANA_TARGET, what was configured last, the plugin that says it is the
/// default.
outcome<target> choose_target(configure_request const& request, fs::path const& folder,
                              fs::path const& build_root) {
  if (request.target) return find_target(*request.target, folder);
  if (auto const* name = std::getenv("MORGANA_TARGET"); name != nullptr && name[0] != '\0') {
    return find_target(name, folder);
  }
  if (auto const last = read_state(build_root)) return find_target(last->target, folder);
  diagnostics broken;
  auto const all = all_targets(folder, broken);
  for (auto const& one : all) {
    if (one.is_default) return one;
  }
  diagnostic none{.code = "no-target", .message = "no target was named, and no plugin is the default one"};
  if (all.empty()) {
    none.notes.push_back(
        {.message = "no target plugin was found; `morgana plugin list --why` says where was looked"});
  } else {
    std::vector<std::string> names;
    for (auto const& one : all) names.push_back(one.name);
    none.help.push_back(fmt::format("name one: `morgana configure -t {}`", names.front()));
    none.notes.push_back({.message = fmt::format("targets are `{}`", fmt::join(names, "`, `"))});
  }
  return fail(std::move(none));
}

outcome<std::vector<repository>> read_repositories(description const& app) {
  std::vector<repository> out;
  for (auto const& name : app.repositories) {
    auto const folder = (app.folder / name.value).lexically_normal();
    auto one = read_repository(folder, fs::path(name.value).filename().string());
    if (!one) {
      // The description is where the user must look first.
      for (auto& what : one.error()) {
        if (what.code == "no-repository" && !what.where) what.where = name.where;
      }
      return fail(std::move(one));
    }
    out.push_back(*std::move(one));
  }
  auto own = read_repository(data_folder() / "packages", "morgana");
  if (!own) return fail(std::move(own));
  out.push_back(*std::move(own));
  return out;
}

outcome<lock_file> read_lock(fs::path const& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return lock_file{};
  auto const text = read_file(path);
  if (!text) {
    return fail({.code = "unreadable-file", .message = fmt::format("cannot read {}", path.string())});
  }
  return parse_lock(*text, path);
}

/// The catalogue of everything that may be chosen: what each package of the repositories contributes (those
/// that lie in a folder can be read before they are chosen), the target's, the application's.
outcome<catalogue> gather_catalogue(std::vector<repository> const& repositories,
                                    std::vector<chosen_package> const& chosen, target const& on,
                                    description const& app, std::vector<fs::path>& files) {
  catalogue all;
  std::set<fs::path> read;
  auto add = [&](fs::path const& file, std::string_view owner, std::string const& package) -> outcome<void> {
    if (!read.insert(file).second) return {};
    auto text = read_text_file(file);
    if (!text) return fail(std::move(text));
    auto one = parse_catalogue(*text, file);
    if (!one) return fail(std::move(one));
    files.push_back(file);
    for (auto& entry : one->devices) {
      if (!package.empty() && std::ranges::find(entry.packages, package) == entry.packages.end()) {
        entry.packages.push_back(package);
      }
    }
    merge(all, *std::move(one), owner);
    return {};
  };
  for (auto const& package : chosen) {
    if (!package.what.export_catalogue) continue;
    if (auto done = add((package.source / *package.what.export_catalogue).lexically_normal(), "*",
                        package.what.name.value);
        !done) {
      return fail(std::move(done));
    }
  }
  for (auto const& from : repositories) {
    for (auto const& what : from.recipes) {
      auto const* source = std::get_if<path_source>(&what.source);
      if (source == nullptr || !what.export_catalogue) continue;
      auto const file = (what.file.parent_path() / source->path / *what.export_catalogue).lexically_normal();
      if (auto done = add(file, "*", what.name.value); !done) return fail(std::move(done));
    }
  }
  auto of_target = on.devices;
  merge(all, std::move(of_target), on.name);
  for (auto const& name : app.catalogues) {
    auto const file = (app.folder / name.value).lexically_normal();
    std::error_code error;
    if (!fs::is_regular_file(file, error)) {
      return fail({.code = "missing-file",
                   .message = fmt::format("the catalogue `{}` does not exist", name.value),
                   .where = name.where});
    }
    if (auto done = add(file, "*", ""); !done) return fail(std::move(done));
  }
  return all;
}

/// Packages of the chosen nodes, beside those that were asked for.
std::vector<located_string> with_node_packages(std::vector<located_string> wanted,
                                               device_graph const& graph) {
  for (auto const& node : graph.nodes) {
    for (auto const& name : node.implementation.packages) {
      auto const known = std::ranges::any_of(wanted, [&](auto const& one) { return one.value == name; });
      if (!known) wanted.push_back({.value = name, .where = node.implementation.where});
    }
  }
  return wanted;
}

/// Who provides what, on any target: for errors about what this one lacks.
std::vector<known_provider> known_providers(catalogue const& general, fs::path const& folder) {
  std::vector<known_provider> out;
  diagnostics broken;
  for (auto const& one : all_targets(folder, broken)) {
    add_providers(out, general, one.name);
    add_providers(out, one.devices, one.name);
  }
  return out;
}

/// Option structs of the nodes that have one.
outcome<std::vector<std::optional<option_struct>>> device_options(device_graph const& graph,
                                                                  requirement_input const& input) {
  std::vector<option_struct_query> queries;
  for (auto const& node : graph.nodes) {
    if (node.implementation.options) {
      queries.push_back({.type = *node.implementation.options, .header = node.implementation.header});
    }
  }
  std::vector<std::optional<option_struct>> out(graph.nodes.size());
  if (queries.empty()) return out;
  auto found = read_option_structs(input, queries);
  if (!found) return fail(std::move(found));
  std::size_t at = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].implementation.options) out[i] = std::move((*found)[at++]);
  }
  return out;
}

/// Names of the settings of chosen nodes, to suggest for a wrong option.
std::vector<std::string> setting_names(device_graph const& graph, target const& on) {
  std::vector<std::string> out;
  for (auto const& node : graph.nodes) {
    for (auto const& parameter : node.parameters) out.push_back(parameter + ".use");
    for (auto const& [name, value] : node.config) out.push_back(fmt::format("{}.{}", node.name, name));
  }
  for (auto const& [name, declared] : on.settings) out.push_back(name);
  return out;
}

outcome<void> check_lock(configuration const& what, bool locked) {
  if (!locked) return {};
  auto const changes = lock_changes(what.locked_before, what.lock);
  if (changes.empty()) return {};
  diagnostic changed{.code = "lock-changed",
                     .message = "the lock does not say what this configuration needs",
                     .where = source_location{.file = what.lock_path},
                     .help = {"configure without `--locked`, and commit morgana.lock"}};
  for (auto const& line : changes) changed.notes.push_back({.message = line});
  return fail(std::move(changed));
}

/// What decides about the outcome, and must be looked at before the next build.
std::vector<watched_tree> watch(configuration const& what, std::vector<repository> const& repositories,
                                std::vector<fs::path> const& catalogues) {
  std::vector<watched_tree> out;
  // Only headers decide about the plan; which sources there are decides too, their content does not.
  std::vector<fs::path> skip{what.build_root};
  for (auto const& node : what.graph.nodes) {
    if (node.implementation.generate != generator_kind::embed_folder) continue;
    auto const from = node.config.find(node.implementation.generate_from);
    if (from != node.config.end()) skip.push_back((what.app.folder / from->second).lexically_normal());
  }
  out.push_back({.root = what.app.folder,
                 .extensions = {".hpp", ".h", ".hh", ".hxx", ".ipp", ".inc", ".toml"},
                 .skip = skip});
  out.push_back({.root = what.app.folder,
                 .extensions = {".cpp", ".c", ".cc", ".cxx", ".S"},
                 .skip = skip,
                 .names_only = true});
  out.push_back({.root = what.lock_path});
  out.push_back({.root = what.on.folder});
  for (auto const& from : repositories) out.push_back({.root = from.folder});
  for (auto const& file : catalogues) out.push_back({.root = file});
  for (auto const& package : what.packages) {
    if (std::holds_alternative<path_source>(package.what.source)) {
      out.push_back(
          {.root = package.source, .extensions = {".hpp", ".h", ".cpp", ".c", ".S", ".inc", ".toml"}});
    }
  }
  out.push_back({.root = what.toolchain.clangxx});
  out.push_back({.root = what.toolchain.linker});
  std::ranges::sort(out, {}, [](auto const& tree) { return std::pair(tree.root, tree.names_only); });
  auto const same =
      std::ranges::unique(out, {}, [](auto const& tree) { return std::pair(tree.root, tree.names_only); });
  out.erase(same.begin(), same.end());
  return out;
}

outcome<void> read_budgets(configuration& what) {
  for (auto const& [name, value] : what.app.budgets) {
    auto const bytes = parse_size(value.value);
    if (!bytes || !what.state.artefacts.contains(name)) {
      std::vector<std::string> names;
      for (auto const& [known, file] : what.state.artefacts) names.push_back(known);
      diagnostic wrong{.code = bytes ? "unknown-name" : "wrong-value",
                       .message = bytes ? fmt::format("there is no artefact `{}` to have a budget", name)
                                        : fmt::format("`{}` is no size", value.value),
                       .where = bytes ? value.where_name : value.where};
      if (!bytes) wrong.help.push_back("write a number of bytes, or one with KiB, MiB or GiB");
      if (auto const near = nearest(name, names); bytes && near) {
        wrong.help.push_back(fmt::format("did you mean `{}`?", *near));
      }
      return fail(std::move(wrong));
    }
    what.state.budgets.emplace(name, std::to_string(*bytes));
  }
  return {};
}

void say(progress const& report, std::string_view what) {
  if (report) report(what, 0, 0);
}

}  // namespace

outcome<configuration> configure(configure_request const& request) {
  configuration out;
  auto app = read_description(request.application);
  if (!app) return fail(std::move(app));
  out.app = *std::move(app);
  out.build_root =
      request.output ? fs::absolute(*request.output).lexically_normal() : out.app.folder / "build";
  if (!out.build_root.has_filename()) out.build_root = out.build_root.parent_path();
  out.lock_path = out.app.folder / "morgana.lock";

  // What is cheap to check comes before what takes time.
  if (auto const sources = application_sources(out.app); !sources) return std::unexpected(sources.error());
  auto on = choose_target(request, out.app.folder, out.build_root);
  if (!on) return fail(std::move(on));
  out.on = *std::move(on);
  out.build_folder = out.build_root / out.on.name;
  out.image = image_name(out);
  out.state.artefacts = artefact_names(out);
  if (auto done = read_budgets(out); !done) return fail(std::move(done));

  auto lock = read_lock(out.lock_path);
  if (!lock) return fail(std::move(lock));
  out.locked_before = *std::move(lock);
  auto locked = out.locked_before;
  if (request.update_all) locked.packages.clear();
  for (auto const& name : request.update) {
    if (!locked.packages.contains(name)) {
      diagnostic none{.code = "unknown-package",
                      .message = fmt::format("the lock has no package `{}`", name),
                      .where = source_location{.file = out.lock_path}};
      std::vector<std::string> names;
      for (auto const& [known, package] : locked.packages) names.push_back(known);
      if (auto const near = nearest(name, names))
        none.help.push_back(fmt::format("did you mean `{}`?", *near));
      return fail(std::move(none));
    }
    locked.packages.erase(name);
  }

  auto tools = find_toolchain();
  if (!tools) return fail(std::move(tools));
  out.toolchain = *std::move(tools);
  auto repositories = read_repositories(out.app);
  if (!repositories) return fail(std::move(repositories));

  // Settings of the target decide about flags, flags about what the compiler sees
  // and which packages there are.
  {
    setting_map of_target;
    for (auto const& [name, value] : request.options) {
      if (out.on.settings.contains(name)) of_target.emplace(name, setting{.value = value});
    }
    auto const section = out.app.targets.find(out.on.name);
    static setting_map const none;
    auto const* written = section != out.app.targets.end() ? &section->second.settings : &none;
    auto values = evaluate_settings(
        out.on.settings, {{.settings = &of_target}, {.settings = written}},
        fmt::format("target `{}`", out.on.name), fmt::format("[target.{}]", out.on.name),
        section != out.app.targets.end() ? std::optional(section->second.target.where) : std::nullopt);
    if (!values) return fail(std::move(values));
    out.settings.values = *std::move(values);
  }
  set_guest_flags(out);

  // What the application itself and the target need: their headers are all the entry point may include.
  std::vector<located_string> wanted;
  for (auto const& name : out.on.guest_packages) {
    wanted.push_back({.value = name, .where = source_location{.file = out.on.file}});
  }
  for (auto const& name : out.toolchain.sysroot) {
    wanted.push_back({.value = name, .where = source_location{.file = out.on.file}});
  }
  wanted.insert(wanted.end(), out.app.packages.begin(), out.app.packages.end());
  package_cache const cache{.root = cache_folder(), .offline = request.offline};
  auto first = solve(*repositories, wanted, locked, out.on.name);
  if (!first) return fail(std::move(first));
  if (auto done = fit(*first, out.toolchain); !done) return fail(std::move(done));
  auto const own_flags = sysroot_flags(*first, out.toolchain);
  out.toolchain.flags.insert(out.toolchain.flags.begin(), own_flags.begin(), own_flags.end());
  if (auto done = fetch(*first, locked, cache, request.report); !done) return fail(std::move(done));

  std::vector<fs::path> catalogues;
  auto available = gather_catalogue(*repositories, *first, out.on, out.app, catalogues);
  if (!available) return fail(std::move(available));

  say(request.report, "reading the entry point");
  requirement_input input{.entry = out.app.folder / out.app.entry.value,
                          .include = {},
                          .flags = parse_flags(out),
                          .cache = cache.root / "requirements"};
  std::error_code error;
  // Inside another program (Python) the reader is found by our data, as runners are.
  auto reader = (data_folder() / "../../libexec/morgana/morgana-requirements").lexically_normal();
  if (fs::exists(reader, error)) input.reader = std::move(reader);
  if (!fs::is_regular_file(input.entry, error)) {
    return fail(
        {.code = "missing-file",
         .message = fmt::format("the entry header `{}` does not exist", out.app.entry.value),
         .where =
             out.app.entry.where.file.empty() ? source_location{.file = out.app.file} : out.app.entry.where,
         .help = {"write it, or name another with `entry = \"...\"`; `morgana new` shows an example"}});
  }
  input.include = application_includes(out.app);
  for (auto const& folder : source_includes(*first)) input.include.push_back(folder);
  for (auto const& folder : guest_includes(out.on)) input.include.push_back(folder);
  auto needs = read_requirements(input);
  if (!needs) return fail(std::move(needs));
  out.needs = *std::move(needs);

  resolve_input question{.app = &out.app,
                         .needs = &out.needs,
                         .available = &*available,
                         .target = out.on.name,
                         .known = known_providers(*available, out.app.folder),
                         .command_line = {}};
  for (auto const& [name, value] : request.options) {
    auto const is_own =
        out.needs.options &&
        std::ranges::any_of(out.needs.options->fields, [&](auto const& field) { return field.flag == name; });
    if (!is_own && names_package_choice(*repositories, name)) continue;
    if (is_own || !out.on.settings.contains(name))
      question.command_line.emplace(name, setting{.value = value});
  }
  auto graph = resolve(question);
  if (!graph) return fail(std::move(graph));
  out.graph = *std::move(graph);

  // Again, with the packages of what was chosen.
  auto packages = solve(*repositories, with_node_packages(wanted, out.graph), locked, out.on.name);
  if (!packages) return fail(std::move(packages));
  out.packages = *std::move(packages);
  if (auto done = fit(out.packages, out.toolchain); !done) return fail(std::move(done));
  auto choices = choose_in_packages(*repositories, out.packages, out.app, request.options);
  if (!choices) return fail(std::move(choices));
  out.choices = *std::move(choices);
  out.packages.push_back(guest_package(out.on));
  if (auto done = fetch(out.packages, locked, cache, request.report); !done) return fail(std::move(done));

  input.include = application_includes(out.app);
  for (auto const& folder : source_includes(out.packages)) input.include.push_back(folder);
  auto structs = device_options(out.graph, input);
  if (!structs) return fail(std::move(structs));
  options_input options{.needs = &out.needs, .graph = &out.graph, .devices = *std::move(structs)};
  options.fixed = out.app.options;
  if (auto const section = out.app.targets.find(out.on.name); section != out.app.targets.end()) {
    for (auto const& [name, value] : section->second.options) options.fixed.insert_or_assign(name, value);
  }
  for (auto const& [name, value] : out.graph.unused) options.fixed.insert_or_assign(name, value);
  options.other_names = setting_names(out.graph, out.on);
  auto table = arrange_options(options);
  if (!table) return fail(std::move(table));
  out.options = *std::move(table);

  out.lock = locked;
  record(out.lock, out.on.name, out.packages);
  out.lock.toolchain = toolchain_versions(out.toolchain);
  auto& nodes = out.lock.targets[out.on.name].nodes;
  nodes.clear();
  for (auto const& node : out.graph.nodes) nodes.emplace(node.name, node.implementation.name.value);
  if (auto done = check_lock(out, request.locked); !done) return fail(std::move(done));

  auto built = place_packages(out.packages, out.toolchain, cache);
  if (!built) return fail(std::move(built));
  out.built = *std::move(built);
  for (auto const& one : out.built) out.state.packages.push_back(one.root);

  main_input const main{.name = out.app.name.value,
                        .target = out.on.name,
                        .entry = out.app.entry.value,
                        .needs = &out.needs,
                        .graph = &out.graph,
                        .options = &out.options,
                        .help = out.app.help,
                        .constants = constants_of(out.packages, out.choices),
                        .base = out.app.folder,
                        .bases = {data_folder(), data_folder() / "plugins", out.on.folder.parent_path()}};
  out.state.target = out.on.name;
  out.state.options = request.options;
  out.state.name = out.app.name.value;
  out.state.environment = deciding_environment();
  out.state.settings = out.settings.values;
  auto plan = make_plan(out, main_source(main));
  if (!plan) return fail(std::move(plan));
  out.plan = *std::move(plan);
  out.state.watched = watch(out, *repositories, catalogues);
  return out;
}

outcome<void> build_missing_packages(configuration const& what, progress const& report, unsigned jobs) {
  if (has_packages(what.state)) return {};
  auto built = build_packages(what.packages, what.toolchain, {.root = cache_folder()}, report, jobs);
  if (!built) return fail(std::move(built));
  return {};
}

outcome<void> commit(configuration const& what) {
  if (auto done = apply(what.plan, what.build_folder); !done) return done;
  auto write = [](fs::path const& file, std::string const& text) -> outcome<void> {
    if (read_file(file) == text || write_file(file, text)) return {};
    return fail({.code = "write-failed",
                 .message = fmt::format("cannot write `{}`", file.string()),
                 .help = {"make its folder writable"}});
  };
  if (!(what.lock == what.locked_before)) {
    if (auto done = write(what.lock_path, format_lock(what.lock)); !done) return done;
  }
  // Stamps are taken last: the lock is among what they watch.
  auto state = what.state;
  for (auto& tree : state.watched) tree.stamp = stamp_of(tree);
  return write(what.build_root / "morgana.json", to_text(state));
}

}  // namespace morgana::driver
