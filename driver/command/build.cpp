// configure, build, clean, update; and what the other commands need of them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "command/commands.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// A path as the user would type it.
std::string shown(fs::path const& path) {
  std::error_code ignored;
  auto const relative = path.lexically_relative(fs::current_path(ignored));
  return relative.empty() || *relative.begin() == ".." ? path.string() : relative.string();
}

/// A path as an argument to append to a suggested command; nothing for the current folder.
std::string path_argument(place_arguments const& place) {
  return place.path == "." ? "" : " " + place.path;
}

void report_packages(output& out, configuration const& what) {
  for (auto const& line : lock_changes(what.locked_before, what.lock))
    out.detail(fmt::format("lock: {}", line));
}

outcome<workspace_state> configure_and_commit(output& out, configure_request const& request) {
  auto what = configure(request);
  if (!what) return fail(std::move(what));
  if (auto done = commit(*what); !done) return fail(std::move(done));
  report_packages(out, *what);
  out.clear();
  return std::move(what->state);
}

}  // namespace

fs::path place_arguments::build_root() const {
  if (!output_folder.empty()) {
    auto folder = fs::absolute(output_folder).lexically_normal();
    return folder.has_filename() ? folder : folder.parent_path();
  }
  return application_folder(path) / "build";
}

configure_request place_arguments::request() const {
  configure_request out{.application = path};
  if (!target.empty()) out.target = target;
  if (!output_folder.empty()) out.output = output_folder;
  return out;
}

outcome<workspace_state> ensure_configured(output& out, place_arguments const& with) {
  auto state = read_state(with.build_root());
  auto request = with.request();
  request.report = out.steps();
  if (state) {
    request.options = state->options;
    auto const same = with.target.empty() || with.target == state->target;
    if (same && is_current(*state)) return *std::move(state);
    if (!request.target) request.target = state->target;
    out.detail(same ? "something changed: configuring again"
                    : fmt::format("configuring for {}", with.target));
    return configure_and_commit(out, request);
  }
  auto configured = configure_and_commit(out, request);
  if (configured)
    out.say(
        fmt::format("configured {} for {}, which was not done yet", configured->name, configured->target));
  return configured;
}

outcome<configuration> ensure_values(output& out, place_arguments const& with) {
  auto state = ensure_configured(out, with);
  if (!state) return fail(std::move(state));
  auto request = with.request();
  request.target = state->target;
  request.options = state->options;
  auto what = configure(request);
  out.clear();
  return what;
}

outcome<workspace_state> ensure_built(output& out, place_arguments const& with, unsigned jobs) {
  auto state = ensure_configured(out, with);
  if (!state) return fail(std::move(state));
  if (!has_packages(*state)) {
    // Which packages, and how they are compiled, is asked for again: it takes milliseconds, and a source that
    // was edited meanwhile gives the packages as they are now.
    auto what = ensure_values(out, with);
    if (!what) return fail(std::move(what));
    if (auto done = commit(*what); !done) return fail(std::move(done));
    if (auto done = build_missing_packages(*what, out.steps(), jobs); !done) return fail(std::move(done));
    out.clear();
  }
  build_request request{
      .build_root = with.build_root(), .application = application_folder(with.path), .jobs = jobs};
  request.verbose = out.is_verbose();
  request.events.color = out.color() == color_choice::always;
  request.events.step = [&](std::size_t done, std::size_t total, std::string_view what) {
    out.step(what, done, total);
  };
  bool said_error = false;
  request.events.output = [&](std::string_view text) {
    said_error = said_error || text.find("error: ") != std::string_view::npos;
    out.tool(text);
  };
  auto built = build(*state, request);
  out.clear();
  // The compiler has said what is wrong, in its own words; ours would be a second error for one cause.
  if (!built && said_error && !out.is_json())
    std::erase_if(built.error(), [](auto const& one) { return one.code == "build-failed"; });
  if (!built) return fail(std::move(built));
  return state;
}

int configure_command(output& out, configure_arguments const& with) {
  auto request = with.place.request();
  request.options = with.options;
  request.locked = with.locked;
  request.offline = with.offline;
  request.report = out.steps();
  auto what = configure(request);
  if (!what) return out.report(what.error());
  out.clear();
  if (with.dry_run) {
    auto lines = actions(what->plan, what->build_folder);
    for (auto const& line : lock_changes(what->locked_before, what->lock)) lines.push_back("lock: " + line);
    out.result(fmt::format("{}\n", fmt::join(lines, "\n")), {{"kind", "actions"}, {"actions", lines}});
    return exit_code::done;
  }
  if (auto done = commit(*what); !done) return out.report(done.error());
  report_packages(out, *what);
  std::vector<std::string> devices;
  for (auto const& node : what->graph.nodes) {
    devices.push_back(fmt::format("{} = {}", node.name, node.implementation.name.value));
  }
  auto text = fmt::format("configured {} for {}", what->app.name.value, what->on.name);
  if (!devices.empty()) text += fmt::format(": {}", fmt::join(devices, ", "));
  text += fmt::format("\nnext: morgana build{}\n", path_argument(with.place));
  out.result(text, {{"kind", "configured"},
                    {"name", what->app.name.value},
                    {"target", what->on.name},
                    {"build_folder", what->build_folder.string()},
                    {"image", (what->build_folder / what->image).string()}});
  return exit_code::done;
}

int build_command(output& out, build_arguments const& with) {
  auto state = ensure_built(out, with.place, with.jobs);
  if (!state) return out.report(state.error());
  auto const image = artefact(*state, with.place.build_root(), "image");
  std::error_code ignored;
  auto const size = fs::file_size(image, ignored);
  out.result(fmt::format("{}, {:.1f} KiB\n", shown(image), static_cast<double>(size) / 1024),
             {{"kind", "built"},
              {"name", state->name},
              {"target", state->target},
              {"image", image.string()},
              {"bytes", size}});
  return exit_code::done;
}

int clean_command(output& out, place_arguments const& with) {
  auto const root = with.build_root();
  std::error_code error;
  if (!fs::exists(root, error)) {
    out.result("nothing to clean\n", {{"kind", "cleaned"}, {"removed", false}});
    return exit_code::done;
  }
  // Only what configure made is removed: `-o /` must not be a disaster.
  if (!fs::exists(root / "morgana.json", error)) {
    return out.report(
        {.code = "not-a-build-folder",
         .message = fmt::format("`{}` was not made by morgana: it holds no morgana.json", shown(root)),
         .help = {"name the build folder with `-o DIR`, or remove it by hand"}});
  }
  auto const text = read_state(root);
  std::vector<fs::path> ours{root / "compile_commands.json"};
  for (auto const& entry : fs::directory_iterator(root, error)) {
    if (fs::exists(entry.path() / "build.ninja", error)) ours.push_back(entry.path());
  }
  ours.push_back(root / "morgana.json");
  for (auto const& path : ours) {
    fs::remove_all(path, error);
    if (error) {
      return out.report({.code = "write-failed",
                         .message = fmt::format("cannot remove `{}`: {}", shown(path), error.message())});
    }
  }
  if (fs::is_empty(root, error)) fs::remove(root, error);
  out.result(fmt::format("removed {}\n", shown(root)), {{"kind", "cleaned"}, {"removed", true}});
  return exit_code::done;
}

int update_command(output& out, update_arguments const& with) {
  auto const state = read_state(with.place.build_root());
  auto request = with.place.request();
  if (state) {
    request.options = state->options;
    if (!request.target) request.target = state->target;
  }
  request.report = out.steps();
  if (with.package.empty()) {
    request.update_all = true;
  } else {
    request.update = {with.package};
  }
  auto what = configure(request);
  if (!what) return out.report(what.error());
  auto const changes = lock_changes(what->locked_before, what->lock);
  if (!with.dry_run) {
    if (auto done = commit(*what); !done) return out.report(done.error());
  }
  auto text = changes.empty() ? std::string("everything is up to date\n")
                              : fmt::format("{}\n", fmt::join(changes, "\n"));
  out.result(text, {{"kind", "updated"}, {"changes", changes}});
  return exit_code::done;
}

}  // namespace morgana::driver
