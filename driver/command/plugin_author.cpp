// plugin new, plugin check, and verbs that a plugin adds.
#include <fmt/format.h>
#include <stdlib.h>

#include <iostream>

#include "command/commands.hpp"
#include "morgana/driver/conformance.hpp"
#include "morgana/driver/plugin_library.hpp"
#include "morgana/driver/scaffold_plugin.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// Builds a guest of the kit outside its own folder, which may be read-only.
outcome<fs::path> build_guest(output& out, fs::path const& folder, target const& on,
                              fs::path const& scratch) {
  place_arguments place{.path = folder.string(), .target = on.name};
  auto const build_root = scratch / folder.filename();
  auto request = place.request();
  request.output = build_root;
  request.report = out.steps();
  auto what = configure(request);
  if (!what) return fail(std::move(what));
  // The lock of a guest is nobody's: only the plan and the state are written.
  if (auto done = apply(what->plan, what->build_folder); !done) return fail(std::move(done));
  if (auto done = build_missing_packages(*what, out.steps()); !done) return fail(std::move(done));
  build_request build_it{.build_root = build_root, .application = folder};
  std::string said;
  build_it.events.output = [&](std::string_view text) { said += text; };
  build_it.events.step = [&](std::size_t done, std::size_t total, std::string_view step) {
    out.step(fmt::format("{}: {}", folder.filename().string(), step), done, total);
  };
  auto built = build(what->state, build_it);
  if (!built) {
    auto why = std::move(built).error();
    if (!why.empty() && !said.empty()) why.front().notes.push_back({.message = said});
    return std::unexpected<diagnostics>(std::move(why));
  }
  return artefact(what->state, build_root, "image");
}

}  // namespace

int plugin_new_command(output& out, std::string const& name, std::string const& folder) {
  auto const where = fs::path(folder.empty() ? name : folder);
  auto made = scaffold_plugin(name, where);
  if (!made) return out.report(made.error());
  auto text = fmt::format("made {}\n", where.string());
  auto json = nlohmann::ordered_json::array();
  for (auto const& file : *made) {
    text += fmt::format("  {}\n", file.string());
    json.push_back(file.string());
  }
  text += fmt::format("next: read {}\n", (where / "README.md").string());
  out.result(text, {{"kind", "created"}, {"name", name}, {"files", json}});
  return exit_code::done;
}

int plugin_check_command(output& out, plugin_check_arguments const& with) {
  auto on = find_target(with.name, fs::current_path());
  if (!on) return out.report(on.error());
  auto const scratch = cache_folder() / "check" / on->name;
  conformance_input input{.on = &*on, .guests = data_folder() / "conformance" / "guests"};
  input.levels = with.levels;
  input.build = [&](fs::path const& folder, target const& for_target) {
    return build_guest(out, folder, for_target, scratch);
  };
  input.progress = [&](level_result const& level) {
    if (out.is_json()) return;
    out.clear();
    std::cout << to_text(level) << std::flush;
  };
  auto report = check_conformance(input);
  out.clear();
  if (!report) return out.report(report.error());
  if (out.is_json()) {
    std::cout << to_json(*report) << '\n' << std::flush;
  } else {
    std::size_t failed = 0;
    std::size_t passed = 0;
    for (auto const& level : report->levels) {
      failed += level.verdict == level_verdict::failed ? 1u : 0u;
      passed += level.verdict == level_verdict::passed ? 1u : 0u;
    }
    std::cout << fmt::format("{}: {} passed, {} failed\n", on->name, passed, failed);
  }
  return report->passed() ? exit_code::done : exit_code::diagnosed;
}

int plugin_verb_command(output& out, std::string const& name, std::string const& verb,
                        std::vector<std::string> const& arguments) {
  auto on = find_target(name, fs::current_path());
  if (!on) return out.report(on.error());
  auto library = plugin_library::load(*on);
  if (!library) return out.report(library.error());
  outcome<std::optional<plugin_command_result>> answer = std::nullopt;
  if (*library) answer = run_command(**library, verb, arguments);
  if (!answer) return out.report(answer.error());
  if (!*answer) {
    diagnostic none{.code = "unknown-name",
                    .message = fmt::format("the plugin `{}` has no command `{}`", name, verb),
                    .where = source_location{.file = on->file}};
    return out.report(none);
  }
  out.result((*answer)->output,
             {{"kind", "plugin"}, {"output", (*answer)->output}, {"exit", (*answer)->exit}});
  return (*answer)->exit;
}

}  // namespace morgana::driver
