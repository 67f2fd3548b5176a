#include "machine.hpp"

#include <poll.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "configuration.hpp"
#include "failure.hpp"
#include "morgana/driver/machine.hpp"

namespace py = pybind11;
namespace fs = std::filesystem;

namespace morgana::python {
namespace {

using clock = driver::machine::clock;
using namespace std::chrono_literals;

/// A call that makes no sense: of a closed machine, or in a forked process. A RuntimeError in Python.
struct misuse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// How often a wait looks whether a signal (Ctrl-C) arrived.
constexpr auto signal_slice = 100ms;

/// The guest, and what it said so far. `pump()` is the thread; all else is done under the lock.
class session {
 public:
  explicit session(std::unique_ptr<driver::machine> machine)
      : machine_(std::move(machine)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::thread([this] { pump(); });
  }
  session(session const&) = delete;
  session& operator=(session const&) = delete;
  ~session() {
    close();
    ::close(wake_);
  }

  /// Ends the guest, whatever it does, and the thread.
  void close() {
    {
      std::scoped_lock const held(lock_);
      closing_ = true;
      changed();
    }
    std::uint64_t const one = 1;
    [[maybe_unused]] auto const woken = ::write(wake_, &one, sizeof one);
    std::scoped_lock const alone(close_lock_);
    if (thread_.joinable()) thread_.join();
    machine_.reset();
  }

  /// Waits until something happened after `seen`, which is the number of the last that the caller knows of.
  std::uint64_t wait(std::uint64_t seen, clock::time_point deadline) {
    std::unique_lock held(lock_);
    changed_.wait_until(held, deadline, [&] { return revision_ != seen; });
    return revision_;
  }

  template <class Call>
  auto with(Call const& call) {
    std::scoped_lock const held(lock_);
    if (closing_) throw misuse("this machine is closed: its `with` block or close() has ended it");
    return call(*this);
  }

  /// Commands: nothing to do once the guest has ended.
  template <class Call>
  void command(Call const& call) {
    auto done = with([&](session&) -> driver::outcome<void> {
      if (ended_) return {};
      return call(*machine_);
    });
    value_of(std::move(done));
  }

  driver::machine& machine() { return *machine_; }
  std::string console_;
  std::uint64_t console_begin_ = 0;  ///< offset of its first byte that is kept
  std::uint64_t revision_ = 1;
  bool ended_ = false;
  std::optional<driver::exit_event> exit_;
  std::vector<driver::error_event> errors_;
  std::vector<std::string> states_;
  driver::diagnostics failure_;

 private:
  void changed() {
    ++revision_;
    changed_.notify_all();
  }

  void pump() {
    while (true) {
      {
        std::scoped_lock const held(lock_);
        if (closing_ || !drain()) return;
      }
      pollfd watched[2] = {{machine_->descriptor(), POLLIN, 0}, {wake_, POLLIN, 0}};
      ::poll(watched, 2, -1);
    }
  }

  /// False when nothing more will come.
  bool drain() {
    while (true) {
      auto event = machine_->next(clock::now());
      if (!event) {
        failure_ = event.error();
        ended_ = true;
        changed();
        return false;
      }
      if (!*event) return true;
      take(**event);
      changed();
      if (ended_) return false;
    }
  }

  void take(driver::machine_event const& event) {
    if (auto const* said = std::get_if<driver::console_event>(&event)) {
      console_ += said->data;
      if (console_.size() > console_bytes_max) {
        auto const gone = console_.size() - console_bytes_max / 2;
        console_.erase(0, gone);
        console_begin_ += gone;
      }
    } else if (auto const* error = std::get_if<driver::error_event>(&event)) {
      errors_.push_back(*error);
    } else if (auto const* state = std::get_if<driver::state_event>(&event)) {
      states_.push_back(state->type);
    } else if (auto const* end = std::get_if<driver::exit_event>(&event)) {
      exit_ = *end;
      ended_ = true;
    }
  }

  std::mutex lock_, close_lock_;
  std::condition_variable changed_;
  std::unique_ptr<driver::machine> machine_;
  int wake_;
  bool closing_ = false;
  std::thread thread_;
};

/// What Python holds. In a forked process the guest is its parent's: there it is let go, not ended.
class machine_object {
 public:
  explicit machine_object(std::unique_ptr<driver::machine> machine)
      : session_(std::make_shared<session>(std::move(machine))) {}
  machine_object(machine_object&&) = default;
  ~machine_object() {
    if (!session_) return;
    if (::getpid() != owner_) {
      // There is no thread here to join, and a mutex may be held for ever.
      [[maybe_unused]] auto* const leaked = new std::shared_ptr<session>(std::move(session_));
      return;
    }
    py::gil_scoped_release const release;
    session_.reset();
  }

  /// A copy, so that close() in another thread leaves a wait its ground.
  [[nodiscard]] std::shared_ptr<session> get() const {
    if (::getpid() != owner_) {
      throw misuse("this machine belongs to the process that started it, of which this one is a fork");
    }
    return session_;
  }

 private:
  std::shared_ptr<session> session_;
  pid_t owner_ = ::getpid();
};

clock::time_point deadline_of(double seconds) {
  return clock::now() + std::chrono::duration_cast<clock::duration>(
                            std::chrono::duration<double>(std::clamp(seconds, 0.0, 1e6)));
}

using network_map = py::dict;

template <class T>
void put(T& into, py::dict const& from, char const* key) {
  if (from.contains(key)) into = from[key].cast<T>();
}

machine_object start(configuration_handle const& what, std::string name, std::vector<std::string> arguments,
                     std::map<std::string, std::string> environment,
                     std::map<std::string, std::string> settings, std::uint64_t memory_bytes,
                     py::list const& networks, py::list const& disks, std::string crash_core,
                     std::string snapshot, double timeout_s) {
  driver::machine_configuration asked;
  asked.image = driver::artefact(what->state, what->build_root, "image");
  asked.name = std::move(name);
  asked.arguments = std::move(arguments);
  asked.environment = std::move(environment);
  asked.settings = what->settings.values;
  for (auto& [key, value] : settings) asked.settings.insert_or_assign(key, std::move(value));
  asked.memory_bytes = memory_bytes != 0 ? memory_bytes : what->settings.memory_bytes();
  for (auto const& one : networks) {
    auto const given = one.cast<py::dict>();
    driver::machine_network network;
    put(network.name, given, "name");
    put(network.descriptor, given, "descriptor");
    put(network.tap, given, "tap");
    put(network.host_address, given, "host_address");
    put(network.mac, given, "mac");
    put(network.mtu, given, "mtu");
    put(network.vnet_header, given, "vnet_header");
    asked.networks.push_back(std::move(network));
  }
  for (auto const& one : disks) {
    auto const given = one.cast<py::dict>();
    driver::machine_disk disk;
    put(disk.name, given, "name");
    put(disk.path, given, "path");
    put(disk.read_only, given, "read_only");
    put(disk.sector_bytes, given, "sector_bytes");
    asked.disks.push_back(std::move(disk));
  }
  asked.crash_core = std::move(crash_core);
  asked.snapshot = std::move(snapshot);
  auto machine = [&] {
    py::gil_scoped_release const release;
    return driver::machine::start(what->on, asked, deadline_of(timeout_s));
  }();
  return machine_object(value_of(std::move(machine)));
}

std::uint64_t wait(machine_object const& self, std::uint64_t seen, double timeout_s) {
  auto const deadline = deadline_of(timeout_s);
  auto const here = self.get();
  while (true) {
    auto const now = clock::now();
    auto const revision = [&] {
      py::gil_scoped_release const release;
      return here->wait(seen, std::min(deadline, now + signal_slice));
    }();
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (revision != seen || now >= deadline) return revision;
  }
}

/// Under the session's lock, without Python's; never the other way round.
template <class Call>
auto looked(machine_object const& self, Call const& call) {
  auto const here = self.get();
  py::gil_scoped_release const release;
  return here->with(call);
}

template <class Call>
void commanded(machine_object const& self, Call const& call) {
  auto const here = self.get();
  py::gil_scoped_release const release;
  here->command(call);
}

py::tuple console(machine_object const& self, std::uint64_t offset) {
  auto const [begin, text] = looked(self, [&](session& in) {
    auto const from = std::min(std::max(offset, in.console_begin_), in.console_begin_ + in.console_.size());
    return std::pair(from, in.console_.substr(from - in.console_begin_));
  });
  return py::make_tuple(begin, py::bytes(text));
}

py::dict state(machine_object const& self) {
  struct seen {
    std::uint64_t revision;
    bool ended;
    std::optional<driver::exit_event> exit;
    std::vector<driver::error_event> errors;
    std::vector<std::string> states;
    driver::diagnostics failure;
  };
  auto const now = looked(self, [](session& in) {
    return seen{in.revision_, in.ended_, in.exit_, in.errors_, in.states_, in.failure_};
  });
  if (!now.failure.empty()) throw failure{now.failure};
  py::dict out;
  out["revision"] = now.revision;
  out["ended"] = now.ended;
  out["exit"] = py::none();
  if (now.exit) {
    py::dict end;
    end["status"] = now.exit->status;
    end["reason"] = std::string(machine_protocol::to_string(now.exit->reason));
    end["signal"] = now.exit->signal;
    end["report"] = py::bytes(now.exit->report);
    out["exit"] = end;
  }
  py::list errors;
  for (auto const& one : now.errors) errors.append(py::make_tuple(one.message, one.help));
  out["errors"] = errors;
  out["states"] = now.states;
  return out;
}

void close(machine_object const& self) {
  auto const here = self.get();
  py::gil_scoped_release const release;
  here->close();
}

}  // namespace

void define_machine(py::module_& in) {
  using namespace py::literals;
  using machine = driver::machine;
  py::register_exception<misuse>(in, "Misuse", PyExc_RuntimeError);
  py::class_<machine_object>(in, "Machine")
      .def(py::init(&start), "what"_a, "name"_a, "arguments"_a, "environment"_a, "settings"_a,
           "memory_bytes"_a, "networks"_a, "disks"_a, "crash_core"_a, "snapshot"_a, "timeout_s"_a)
      .def_property_readonly("capabilities",
                             [](machine_object const& self) {
                               return looked(self, [](session& in) { return in.machine().capabilities(); });
                             })
      .def_property_readonly("runner",
                             [](machine_object const& self) {
                               return looked(self, [](session& in) { return in.machine().runner(); });
                             })
      .def("wait", wait, "seen"_a, "timeout_s"_a)
      .def("console", console, "offset"_a)
      .def("state", state)
      .def(
          "input",
          [](machine_object const& self, py::bytes const& data) {
            auto const bytes = std::string(data);
            commanded(self, [&](machine& on) { return on.input(bytes); });
          },
          "data"_a)
      .def("end_input",
           [](machine_object const& self) { commanded(self, [](machine& on) { return on.end_input(); }); })
      .def("stop", [](machine_object const& self) { commanded(self, [](machine& on) { return on.stop(); }); })
      .def("kill", [](machine_object const& self) { commanded(self, [](machine& on) { return on.kill(); }); })
      .def("pause",
           [](machine_object const& self) { commanded(self, [](machine& on) { return on.pause(); }); })
      .def("resume",
           [](machine_object const& self) { commanded(self, [](machine& on) { return on.resume(); }); })
      .def(
          "snapshot",
          [](machine_object const& self, fs::path const& to) {
            commanded(self, [&](machine& on) { return on.snapshot(to); });
          },
          "path"_a)
      .def(
          "core",
          [](machine_object const& self, fs::path const& to) {
            commanded(self, [&](machine& on) { return on.core(to); });
          },
          "path"_a)
      .def("close", close);
}

}  // namespace morgana::python
