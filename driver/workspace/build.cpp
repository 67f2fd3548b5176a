// Running Ninja.
#include <fmt/format.h>

#include <charconv>
#include <thread>

#include "morgana/driver/workspace.hpp"
#include "package/process.hpp"
#include "workspace/compiler_output.hpp"
#include "workspace/undefined_symbols.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// Marks Ninja's own status lines: no tool prints this.
constexpr std::string_view status_mark = "\x02";

/// Sorts what Ninja prints: steps, tools' words, and its own talk.
class ninja_reader {
 public:
  /// `explains_undefined`: the target has words of its own for undefined symbols.
  ninja_reader(build_request const& request, fs::path const& build_folder)
      : request_(request), filter_(request.application, build_folder, fs::current_path(ignored_)) {}

  void line(std::string_view text) {
    if (text.starts_with(status_mark)) {
      step(text.substr(status_mark.size()));
      return;
    }
    if (text.starts_with("FAILED: ")) {
      skip_command_ = true;
      return;
    }
    if (skip_command_) {
      skip_command_ = false;
      if (!request_.verbose) return;
    }
    if (text.starts_with("ninja: ")) {
      if (text.starts_with("ninja: error: ")) error = text.substr(14);
      return;
    }
    bool const is_undefined = undefined.take(text);
    if (!request_.verbose) {
      if (is_undefined) return;
      if (undefined.is_explained() && text.find("linker command failed") != text.npos) return;
    }
    std::string shown;
    if (filter_.take(text, shown) && request_.events.output) request_.events.output(shown + '\n');
  }

  std::string error;
  undefined_symbols undefined;

 private:
  void step(std::string_view text) {
    // "3/12 compile source_root/src/a.cpp"
    std::size_t done = 0;
    std::size_t total = 0;
    auto const slash = text.find('/');
    auto const space = text.find(' ');
    if (slash == std::string_view::npos || space == std::string_view::npos) return;
    std::from_chars(text.data(), text.data() + slash, done);
    std::from_chars(text.data() + slash + 1, text.data() + space, total);
    if (request_.events.step) request_.events.step(done, total, text.substr(space + 1));
  }

  build_request const& request_;
  std::error_code ignored_;
  compiler_output filter_;
  bool skip_command_ = false;
};

outcome<void> check_budgets(workspace_state const& state, build_request const& request) {
  diagnostics problems;
  for (auto const& [name, text] : state.budgets) {
    std::uint64_t most = 0;
    std::from_chars(text.data(), text.data() + text.size(), most);
    auto const file = artefact(state, request.build_root, name);
    std::error_code error;
    auto const size = fs::file_size(file, error);
    if (error || size <= most) continue;
    problems.push_back({.code = "over-budget",
                        .message = fmt::format("`{}` has {} bytes, {} more than its budget of {}", name, size,
                                               size - most, most),
                        .where = source_location{.file = request.application / "unikernel.toml"},
                        .help = {"`morgana size --by package` says who owns the bytes",
                                 fmt::format("or raise `{}` in [budgets]", name)}});
  }
  if (!problems.empty()) return std::unexpected<diagnostics>(std::move(problems));
  return {};
}

}  // namespace

outcome<void> build(workspace_state const& state, build_request const& request) {
  auto ninja = find_tool("ninja");
  if (!ninja) return fail(std::move(ninja));
  auto const folder = request.build_root / state.target;
  package_detail::process_call call;
  call.arguments = {ninja->string(), "-C", folder.string()};
  if (request.jobs != 0) call.arguments.push_back(fmt::format("-j{}", request.jobs));
  if (request.verbose) call.arguments.emplace_back("-v");
  call.environment = {fmt::format("NINJA_STATUS={}%f/%t ", status_mark)};
  if (request.events.color) call.environment.emplace_back("CLICOLOR_FORCE=1");
  auto const on = find_target(state.target, request.application);
  ninja_reader reader(request, folder);
  call.line = [&](std::string_view text) { reader.line(text); };
  auto const end = package_detail::run_process(call);
  if (!end.started) {
    return fail({.code = "missing-tool", .message = fmt::format("`ninja` does not start: {}", end.error)});
  }
  if (!end.good()) {
    if (auto refused = on ? reader.undefined.explain(*on, request.application) : std::nullopt) {
      return fail(*std::move(refused));
    }
    diagnostic failed{.code = "build-failed", .message = fmt::format("{} was not built", state.name)};
    if (!reader.error.empty()) failed.notes.push_back({.message = reader.error});
    if (end.status >= 128 && end.status < 160) {
      failed.notes.push_back({.message = fmt::format("ninja was ended by signal {}", end.status - 128)});
    }
    return fail(std::move(failed));
  }
  return check_budgets(state, request);
}

}  // namespace morgana::driver
