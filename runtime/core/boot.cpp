#include "morgana/core/boot.hpp"

#include <algorithm>

#include "morgana/core/console_log.hpp"
#include "morgana/core/platform.hpp"

namespace morgana {

// ---- manifest ----------------------------------------------------------------------------------------

std::optional<std::size_t> slot_of(std::span<manifest_entry const> manifest, attachment kind,
                                   std::string_view name) {
  std::size_t slot = 0;
  for (auto const& entry : manifest) {
    if (entry.attached != kind) continue;
    if (entry.name == name) return slot;
    ++slot;
  }
  return std::nullopt;
}

std::string_view name_of_slot(std::span<manifest_entry const> manifest, attachment kind, std::size_t slot) {
  for (auto const& entry : manifest) {
    if (entry.attached == kind && slot-- == 0) return entry.name;
  }
  return {};
}

// ---- devices -----------------------------------------------------------------------------------------

device_stack::~device_stack() {
  while (top_ != nullptr) pop();
}

void device_stack::push(held* device) {
  device->below = std::exchange(top_, device);
  ++connected_;
}

void device_stack::pop() {
  delete std::exchange(top_, top_->below);
  --connected_;
}

error device_stack::connect_failed(std::string_view path, error why) {
  failed_path_ = path;
  return std::move(why).during("connect").during(path);
}

task<void> device_stack::report(task<result<void>> disconnect, std::string_view path, morgana::context& in) {
  if (auto ended = co_await disconnect; !ended)
    log_source(in.log(), "boot").warning("{}: {}", path, ended.error());
}

task<void> device_stack::take_down() {
  while (top_ != nullptr) {
    if (auto disconnect = top_->disconnect(*context_)) {
      auto ended = co_await with_deadline(after(context_->now(), disconnect_timeout), std::move(disconnect));
      if (!ended && overdue_path_.empty()) overdue_path_ = top_->path;
    }
    pop();
  }
}

task<result<int>> device_stack::status_of(task<void> start) {
  co_await start;
  co_return exit_status::done;
}

task<result<int>> device_stack::status_of(task<int> start) {
  int const status = co_await start;
  if (status < 0 || status > 255) co_return failure(core_error::invalid_argument, status);
  co_return status;
}

task<result<int>> device_stack::status_of(task<result<void>> start) {
  if (auto ended = co_await start; !ended) co_return failure(std::move(ended.error()));
  co_return exit_status::done;
}

// ---- options -----------------------------------------------------------------------------------------

namespace {

struct session_options {
  bool help = false;
  log_levels log;
  duration shutdown_grace = 0s;
};

constexpr boot_option session_table[] = {
    option<&session_options::help>(built_in_options[0], "Show this and end."),
    option<&session_options::log>(
        built_in_options[1],
        "What is logged: error, warning, info or debug, for all sources or for some "
        "(http:debug,info)."),
    option<&session_options::shutdown_grace>(
        built_in_options[2], "How long the application may go on after a stop was asked for."),
};

void say(std::string_view text) {
  platform::console_write(std::as_bytes(std::span(text)));
}

void say_line(void* /*to*/, std::string_view text) {
  say(text);
  say("\n");
}

/// The options of one device stand together in the table, with its name and a dot in front.
std::string_view prefix_of(boot_option const& option) {
  return option.name.substr(0, option.name.find('.') == option.name.npos ? 0 : option.name.find('.'));
}

void show_help(application const& app, option_group const& own, option_group const& built_in) {
  if (!features::help) return say_line(nullptr, "this image was configured without its help: morgana describe has it");
  fixed_text<256> line;
  line.append("usage: {} [--NAME=VALUE ...]", app.name);
  say_line(nullptr, line.view());
  for (std::size_t begin = 0; begin < own.options.size();) {
    auto const prefix = prefix_of(own.options[begin]);
    auto end = begin + 1;
    while (end < own.options.size() && prefix_of(own.options[end]) == prefix) ++end;
    line.clear();
    if (prefix.empty()) {
      line.append("\nOptions of {}:", app.name);
    } else {
      line.append("\nOptions of the device {}", prefix);
      auto const at = std::ranges::find(app.manifest, prefix, &manifest_entry::name);
      if (at != app.manifest.end()) line.append(" ({}, {})", at->concept_name, at->implementation);
      line.put(':');
    }
    say_line(nullptr, line.view());
    write_option_help({own.options.subspan(begin, end - begin), own.object}, say_line, nullptr);
    begin = end;
  }
  say_line(nullptr, "\nOptions of every unikernel:");
  write_option_help(built_in, say_line, nullptr);
}

}  // namespace

// ---- the session -------------------------------------------------------------------------------------

struct boot_session::state final : ready_node, completion {
  enum class phase : std::uint8_t { idle, running, taking_down, finished };

  explicit state(application const& what)
      : app(&what), log(runs), context(runs, log, {.stop = &stop, .input = &input}), devices(context) {}

  /// Begins the phase's task, from within the executor so that its clock is right.
  void run() override {
    if (at == phase::running) {
      main = app->run(devices);
      main.start(context, *this);
    } else {
      down = devices.take_down();
      down.start(context, *this);
    }
  }
  std::coroutine_handle<> ended() noexcept override {
    task_ended = true;
    return std::noop_coroutine();
  }

  void enter(phase next) {
    at = next;
    task_ended = false;
    if (next != phase::finished) runs.make_ready(*this);
  }

  void finish(int with) {
    status = with;
    at = phase::finished;
  }

  bool read_options(std::span<std::string_view const> arguments) {
    session_options options;
    option_group const groups[] = {
        {app->options, app->boot_options == nullptr ? nullptr : app->boot_options(), app->left_out},
        {session_table, &options}};
    if (std::ranges::find(arguments, "--help") != arguments.end()) {
      show_help(*app, groups[0], groups[1]);
      finish(exit_status::help_shown);
      return false;
    }
    if (auto assigned = assign_options(groups, arguments); !assigned) {
      complain(assigned.error(), "; --help lists all options");
      finish(exit_status::wrong_argument);
      return false;
    }
    if (options.help) {
      show_help(*app, groups[0], groups[1]);
      finish(exit_status::help_shown);
      return false;
    }
    log.set_levels(options.log);
    grace = options.shutdown_grace;
    return true;
  }

  /// One line that begins with the unikernel's name.
  template <class What>
  void complain(What const& what, std::string_view more = {}) const {
    [[clang::uninitialized]] fixed_text<1024> line;
    line.append("{}: {}{}\n", app->name, what, more);
    say(line.view());
  }

  void conclude(result<int> outcome) {
    if (outcome) {
      status = *outcome;
      return;
    }
    auto const path = devices.failed_path();
    if (path.empty()) {
      status = exit_status::start_failed;
      complain(std::move(outcome.error()).during("start"));
      return;
    }
    status = exit_status::device_failed;
    fixed_text<256> kind;
    auto const entry = std::ranges::find(app->manifest, path, &manifest_entry::path);
    if (entry != app->manifest.end()) {
      kind.append(" [{}: {}, {}]", entry->name, entry->concept_name, entry->implementation);
    }
    complain(outcome.error(), kind.view());
  }

  application const* app;
  executor runs;
  console_log log;
  event stop;
  event input;
  morgana::context context;
  duration grace{};
  instant drop_at = never;
  phase at = phase::idle;
  bool task_ended = false;
  int status = exit_status::done;
  device_stack devices;
  task<result<int>> main;  // uses the devices: destroyed before them
  task<void> down;
};

boot_session::boot_session(application const& what, std::span<std::string_view const> arguments)
    : state_(std::make_unique<state>(what)) {
  if (state_->read_options(arguments)) state_->enter(state::phase::running);
}

boot_session::~boot_session() = default;

bool boot_session::is_finished() const {
  return state_->at == state::phase::finished;
}
int boot_session::status() const {
  return state_->status;
}

instant boot_session::run_ready(instant now) {
  state& self = *state_;
  if (is_finished()) return now;
  if (!self.stop.is_set() && platform::stop_requested()) {
    self.stop.set();
    self.drop_at = after(now, self.grace);
  }
  self.input.pulse();
  auto const next = self.runs.run_ready(now);

  if (self.at == state::phase::running) {
    if (self.task_ended) {
      self.conclude(self.main.take());
    } else if (now < self.drop_at) {
      return std::min(next, self.drop_at);
    } else {
      self.status = exit_status::done;
    }
    self.main = {};
    self.enter(state::phase::taking_down);
    return now;
  }
  if (!self.task_ended) return next;
  if (auto const path = self.devices.overdue_path(); !path.empty()) {
    fixed_text<256> line;
    line.append("{}: did not disconnect within ", path);
    write_text(line, device_stack::disconnect_timeout);
    self.complain(line.view());
    self.status = exit_status::shutdown_deadline;
  }
  self.finish(self.status);
  return now;
}

}  // namespace morgana
