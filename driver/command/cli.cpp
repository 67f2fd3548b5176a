#include "command/cli.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>

#include "morgana/driver/command.hpp"

namespace morgana::driver {
namespace {

/// A command whose help ends with what its exit status means.
CLI::App* add(CLI::App& app, command_line& line, std::string const& name, std::string const& help) {
  auto* const sub = app.add_subcommand(name, help);
  sub->add_option("--message-format", line.message_format, "How results and diagnostics are printed")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("text|json");
  sub->add_option("--color", line.color, "Colour on stderr; `auto` heeds NO_COLOR")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("auto|always|never");
  sub->add_flag("-v,--verbose", line.verbose, "Say what is done, step by step");
  return sub;
}

void add_place(CLI::App& sub, place_arguments& place, bool with_target = true) {
  sub.add_option("PATH", place.path, "The application's folder")->type_name("");
  if (with_target) {
    sub.add_option("-t,--target", place.target, "Which target; `morgana targets` lists them")
        ->type_name("NAME");
    sub.add_option("-o,--output", place.output_folder, "Build folder instead of PATH/build")
        ->type_name("DIR");
  }
}

/// What was given in one way for all commands.
template <class Arguments>
void when_parsed(CLI::App& sub, command_line& line, Arguments& with,
                 int (*command)(output&, Arguments const&)) {
  sub.callback(
      [&line, &with, command] { line.run = [&with, command](output& out) { return command(out, with); }; });
}

void define_build_commands(CLI::App& app, command_line& line) {
  auto* sub = add(app, line, "new", "Make a new application that builds at once");
  sub->add_option("NAME", line.make.name, "Its name: a-z, 0-9 and `-`")->required()->type_name("");
  sub->add_option("FOLDER", line.make.folder, "Where; default is NAME")->type_name("");
  when_parsed(*sub, line, line.make, new_command);

  sub = add(app, line, "configure", "Choose devices, fix versions, write the build");
  add_place(*sub, line.configure.place);
  sub->add_flag("--dry-run", line.configure.dry_run, "Show what would be written, write nothing");
  sub->add_flag("--locked", line.configure.locked, "Refuse any change of morgana.lock");
  sub->add_flag("--offline", line.configure.offline, "Fetch nothing");
  sub->allow_extras();
  sub->footer(
      "--OPTION=VALUE fixes an option of start() or of a device, or sets a device's choice:\n"
      "  --port=8080  --network.backlog=64  --htdocs.use=embedded\n"
      "Exit status: 0 done, 1 a diagnostic was printed, 2 wrong usage.");
  sub->callback([&line, sub] {
    auto options = application_options(sub->remaining());
    if (!options) throw CLI::ValidationError(options.error());
    line.configure.options = *std::move(options);
    line.run = [&line](output& out) { return configure_command(out, line.configure); };
  });

  sub = add(app, line, "build", "Build the image; configures first when that is needed");
  add_place(*sub, line.build.place);
  sub->add_option("-j,--jobs", line.build.jobs, "How many compilers at once")->type_name("N");
  when_parsed(*sub, line, line.build, build_command);

  sub = add(app, line, "run", "Run the image; builds first when that is needed");
  add_place(*sub, line.run_guest.place);
  sub->add_option("--memory", line.run_guest.memory, "Memory limit, as 64MiB")->type_name("SIZE");
  sub->add_option("--seed", line.run_guest.seed, "Number that a simulated guest's randomness is made of")
      ->type_name("N");
  sub->add_option("--world", line.run_guest.world, "A description of simulated hosts, run together")
      ->type_name("FILE");
  sub->add_option("--disk", line.run_guest.disks, "A file as a disk: NAME=FILE or NAME=FILE,ro")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  sub->add_option("--network", line.run_guest.networks,
                  "An interface: [NAME=]tap, [NAME=]tap:IF, [NAME=]user or [NAME=]fd:N")
      ->type_name("NAME=...")
      ->allow_extra_args(false);
  sub->add_option("--env", line.run_guest.environment, "A variable of the guest's environment: NAME=VALUE")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  sub->add_option("--timeout", line.run_guest.timeout_s, "Stop the guest after that long, seconds")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber);
  sub->footer(
      "What follows `--` goes to the unikernel: morgana run -- --help\n"
      "Ctrl-C asks it to end, a second one kills it.\n"
      "Exit status: the guest's own (docs/exit-codes.md); 125 when it could not be run.");
  sub->callback([&line] {
    line.run_guest.arguments = line.after_dashes;
    line.run = [&line](output& out) { return run_guest_command(out, line.run_guest); };
  });

  sub = add(app, line, "debug", "Run the image under a debugger, which stops it at its start");
  add_place(*sub, line.debug.run.place);
  sub->add_option("--memory", line.debug.run.memory, "Memory limit, as 64MiB")->type_name("SIZE");
  sub->add_option("--execute", line.debug.commands, "A command of the debugger's, to begin with; may be repeated")
      ->type_name("COMMAND")
      ->allow_extra_args(false);
  sub->add_flag("--batch", line.debug.batch, "End after those commands");
  sub->add_flag("--print", line.debug.print, "Only print the commands that do it by hand");
  sub->footer("What follows `--` goes to the unikernel. Exit status: the debugger's; 125 when it could not be run.");
  sub->callback([&line] {
    line.debug.run.arguments = line.after_dashes;
    line.run = [&line](output& out) { return debug_command(out, line.debug); };
  });

  sub = add(app, line, "test", "Run the application's tests/ with pytest");
  add_place(*sub, line.place, false);
  sub->add_option("-t,--target", line.test.targets, "On which target; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  sub->footer(
      "What follows `--` goes to pytest: morgana test -- -k greets -n 2\n"
      "Exit status: pytest's: 0 all passed, 1 some failed, 2 interrupted, 3 and 4 pytest itself failed, 5 no test;\n"
      "1 also when a diagnostic was printed.");
  sub->callback([&line] {
    line.test.path = line.place.path;
    line.test.arguments = line.after_dashes;
    line.run = [&line](output& out) { return test_command(out, line.test); };
  });

  sub = add(app, line, "clean", "Remove the build folder");
  add_place(*sub, line.place);
  when_parsed(*sub, line, line.place, clean_command);

  sub = add(app, line, "update", "Move locked packages to their newest versions");
  sub->add_option("PACKAGE", line.update.package, "Which; default is all")->type_name("");
  sub->add_option("PATH", line.update.place.path, "The application's folder")->type_name("");
  sub->add_option("-o,--output", line.update.place.output_folder, "Build folder instead of PATH/build")
      ->type_name("DIR");
  sub->add_flag("--dry-run", line.update.dry_run, "Only say what would change");
  when_parsed(*sub, line, line.update, update_command);
}

void define_question_commands(CLI::App& app, command_line& line) {
  auto* sub = add(app, line, "describe", "Show name, target, devices, options and packages");
  add_place(*sub, line.describe.place);
  auto* const json = sub->add_flag("--json", line.describe.json, "As JSON");
  sub->add_flag("--dot", line.describe.dot, "The device graph for Graphviz")->excludes(json);
  when_parsed(*sub, line, line.describe, describe_command);

  sub = add(app, line, "why", "Say why a device, package or symbol is in the image");
  sub->add_option("THING", line.why.thing, "A device, package or symbol")->required()->type_name("");
  add_place(*sub, line.why.place);
  when_parsed(*sub, line, line.why, why_command);

  sub = add(app, line, "size", "Say who owns the image's bytes");
  add_place(*sub, line.size.place);
  sub->add_option("--by", line.size.by, "What to sum up")
      ->check(CLI::IsMember({"package", "file", "symbol"}))
      ->type_name("package|file|symbol");
  sub->add_option("--top", line.size.most, "How many lines; 0 is all")->type_name("N");
  when_parsed(*sub, line, line.size, size_command);

  sub = add(app, line, "query", "Print one thing, for scripts");
  sub->add_option("WHAT", line.query.what, "name, files, targets, devices, options or lock")
      ->required()
      ->check(CLI::IsMember({"name", "files", "targets", "devices", "options", "lock"}))
      ->type_name("");
  add_place(*sub, line.query.place);
  when_parsed(*sub, line, line.query, query_command);

  sub = add(app, line, "targets", "List the targets");
  add_place(*sub, line.place, false);
  when_parsed(*sub, line, line.place, targets_command);

  sub = add(app, line, "devices", "List the implementations of every concept");
  add_place(*sub, line.place, false);
  sub->add_option("-t,--target", line.place.target, "Only those of one target")->type_name("NAME");
  when_parsed(*sub, line, line.place, devices_command);

  sub = add(app, line, "doctor", "Check that every tool is there, and say how to install what is not");
  add_place(*sub, line.place, false);
  when_parsed(*sub, line, line.place, doctor_command);
}

void define_plugin_commands(CLI::App& app, command_line& line) {
  auto* const plugin = app.add_subcommand("plugin", "List, make and check target plugins");
  plugin->require_subcommand(1);
  auto* sub = add(*plugin, line, "list", "List the plugins");
  sub->add_flag("--why", line.plugin_why, "Say where was looked");
  add_place(*sub, line.place, false);
  sub->callback([&line] {
    line.run = [&line](output& out) { return plugin_list_command(out, line.place, line.plugin_why); };
  });

  sub = add(*plugin, line, "new", "Make a plugin, guest code included, that builds at once");
  sub->add_option("NAME", line.plugin_name, "Its name")->required()->type_name("");
  sub->add_option("FOLDER", line.plugin_folder, "Where; default is NAME")->type_name("");
  sub->callback([&line] {
    line.run = [&line](output& out) { return plugin_new_command(out, line.plugin_name, line.plugin_folder); };
  });

  sub = add(*plugin, line, "check", "Run the conformance kit on a plugin");
  sub->add_option("NAME", line.check.name, "Its name")->required()->type_name("");
  sub->add_option("--level", line.check.levels, "Only this level; may be repeated")
      ->type_name("LEVEL")
      ->allow_extra_args(false);
  when_parsed(*sub, line, line.check, plugin_check_command);

  sub = add(*plugin, line, "call", "Run a command that a plugin adds");
  sub->add_option("NAME", line.plugin_name, "The plugin")->required()->type_name("");
  sub->add_option("COMMAND", line.plugin_verb, "Its command; arguments follow `--`")
      ->required()
      ->type_name("");
  sub->callback([&line] {
    line.run = [&line](output& out) {
      return plugin_verb_command(out, line.plugin_name, line.plugin_verb, line.after_dashes);
    };
  });
}

void define_other_commands(CLI::App& app, command_line& line) {
  auto* sub = add(app, line, "completion", "Print a completion script");
  sub->add_option("SHELL", line.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("");
  sub->callback([&line] {
    line.run = [&line](output& out) {
      auto const text = completion_script(*line.app, line.shell);
      out.result(text, {{"kind", "completion"}, {"text", text}});
      return exit_code::done;
    };
  });

  auto* const internal = app.add_subcommand("internal", "What Ninja calls");
  internal->group("");
  internal->require_subcommand(1);
  sub = add(*internal, line, "embed", "Write a folder's files as a source");
  sub->add_option("--table", line.embed.table)->required();
  sub->add_option("--depfile", line.embed.depfile)->required();
  sub->add_option("FOLDER", line.embed.folder)->required();
  sub->add_option("SOURCE", line.embed.source)->required();
  when_parsed(*sub, line, line.embed, embed_command);
}

int usage_error(CLI::App const& app, std::string const& message) {
  std::string name = "morgana";
  for (auto const* at = &app; true;) {
    auto const subs = at->get_subcommands();
    if (subs.empty()) break;
    at = subs.front();
    name += ' ' + at->get_name();
  }
  std::cerr << fmt::format("morgana: {}\nhelp: `{} --help` shows how it is used\n", message, name);
  return exit_code::usage;
}

}  // namespace

std::expected<std::map<std::string, std::string>, std::string> application_options(
    std::vector<std::string> const& rest) {
  std::map<std::string, std::string> out;
  for (auto const& word : rest) {
    if (!word.starts_with("--") || word.size() == 2) {
      return std::unexpected(fmt::format("`{}` was not expected", word));
    }
    auto const equals = word.find('=');
    if (equals == std::string::npos) {
      // A flag: a bool that is true. A value apart from its name could as well be the PATH.
      out.insert_or_assign(word.substr(2), "true");
    } else {
      out.insert_or_assign(word.substr(2, equals - 2), word.substr(equals + 1));
    }
  }
  return out;
}

void define_commands(command_line& line) {
  line.app = std::make_unique<CLI::App>("Builds specialised unikernels from C++", "morgana");
  auto& app = *line.app;
  app.set_version_flag("--version", fmt::format("morgana {}", morgana_version), "Print the version");
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 a diagnostic was printed, 2 wrong usage; `run` gives the guest's own, or 125.\n"
      "Start with: morgana new hello && morgana run hello");
  define_build_commands(app, line);
  define_question_commands(app, line);
  define_plugin_commands(app, line);
  define_other_commands(app, line);
}

int run_command(int argument_count, char const* const* arguments) {
  command_line line;
  define_commands(line);
  std::vector<std::string> words;
  for (int i = 1; i < argument_count; ++i) {
    if (std::string_view(arguments[i]) == "--") {
      line.after_dashes.assign(arguments + i + 1, arguments + argument_count);
      break;
    }
    words.emplace_back(arguments[i]);
  }
  std::ranges::reverse(words);  // as CLI11 wants them
  try {
    line.app->parse(words);
  } catch (CLI::Success const& asked) {
    return line.app->exit(asked);
  } catch (CLI::ParseError const& error) {
    return usage_error(*line.app, error.what());
  }
  output out;
  out.set(line.message_format == "json" ? output::format::json : output::format::text, line.color,
          line.verbose);
  try {
    return line.run(out);
  } catch (std::exception const& error) {
    // Nothing of ours throws; the standard library may, for lack of memory above all.
    return out.report(
        {.code = "internal-error",
         .message = fmt::format("morgana failed: {}", error.what()),
         .help = {"this is a defect of morgana: please report it, with the command you typed"}});
  }
}

}  // namespace morgana::driver
