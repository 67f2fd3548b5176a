#include "application.hpp"

#include <pybind11/functional.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <exception>
#include <mutex>

#include "configuration.hpp"
#include "failure.hpp"
#include "morgana/driver/answers.hpp"
#include "workspace/image_map.hpp"
#include "workspace/symbolize.hpp"

namespace py = pybind11;
namespace fs = std::filesystem;

namespace morgana::python {
namespace {

using options_map = std::map<std::string, std::string>;

/// One call of the driver at a time in a process: two would meet in build folders and in Ninja's locks.
std::mutex& driver_lock() {
  static std::mutex lock;
  return lock;
}

/// Calls `what` without Python's lock.
template <class Call>
auto unlocked(Call const& what) {
  py::gil_scoped_release release;
  std::scoped_lock const alone(driver_lock());
  return what();
}

/// A callable of the caller's that is told of steps. It is called with Python's lock; what it raises is
/// raised again at the end of the driver's call, which is not broken off by it.
class reporter {
 public:
  explicit reporter(py::object call) : call_(std::move(call)) {}

  [[nodiscard]] driver::progress steps() {
    return [this](std::string_view what, std::size_t done, std::size_t total) { tell(what, done, total); };
  }
  void tell(std::string_view what, std::size_t done, std::size_t total) {
    if (raised_) return;
    py::gil_scoped_acquire const locked;
    try {
      if (!call_.is_none()) call_(py::str(what.data(), what.size()), done, total);
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    } catch (py::error_already_set&) {
      raised_ = std::current_exception();
    }
  }
  void raise_again() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  py::object call_;
  std::exception_ptr raised_;
};

configuration_handle configure(fs::path path, std::optional<std::string> target, options_map options,
                               std::optional<fs::path> output, bool locked, bool offline, py::object report) {
  reporter told(std::move(report));
  driver::configure_request request{.application = std::move(path),
                                    .target = std::move(target),
                                    .options = std::move(options),
                                    .output = std::move(output),
                                    .locked = locked,
                                    .offline = offline,
                                    .report = told.steps()};
  auto what = unlocked([&] { return driver::configure(request); });
  told.raise_again();
  return configuration_handle(std::make_shared<driver::configuration>(value_of(std::move(what))));
}

std::vector<std::string> actions(configuration_handle const& self) {
  return unlocked([&] {
    auto lines = driver::actions(self->plan, self->build_folder);
    for (auto const& line : driver::lock_changes(self->locked_before, self->lock))
      lines.push_back("lock: " + line);
    return lines;
  });
}

/// Writes what configure() found, compiles packages that the store lacks, and the image; the tools' own words
/// stand in the failure as its last diagnostic's note.
void build(configuration_handle const& self, unsigned jobs, py::object report) {
  reporter told(std::move(report));
  std::string said;
  auto done = unlocked([&]() -> driver::outcome<void> {
    if (auto written = driver::commit(*self); !written) return written;
    if (auto made = driver::build_missing_packages(*self, told.steps(), jobs); !made) return made;
    driver::build_request request{
        .build_root = self->build_root, .application = self->app.folder, .jobs = jobs};
    request.events.step = [&](std::size_t now, std::size_t total, std::string_view what) {
      told.tell(what, now, total);
    };
    request.events.output = [&](std::string_view text) { said += text; };
    return driver::build(self->state, request);
  });
  told.raise_again();
  if (!done && !done.error().empty() && !said.empty()) done.error().back().notes.push_back({.message = said});
  value_of(std::move(done));
}

py::list pieces(configuration_handle const& self) {
  auto const all = unlocked([&] {
    return driver::read_image(driver::artefact(self->state, self->build_root, "image"),
                              driver::artefact(self->state, self->build_root, "map"));
  });
  py::list out;
  for (auto const& one : value_of(driver::outcome<std::vector<driver::image_piece>>(all))) {
    out.append(py::make_tuple(one.package, one.file, driver::demangled(one.symbol), one.section, one.bytes));
  }
  return out;
}

py::list sections(configuration_handle const& self) {
  auto all = unlocked(
      [&] { return driver::read_elf_sections(driver::artefact(self->state, self->build_root, "image")); });
  py::list out;
  for (auto const& one : value_of(std::move(all))) out.append(py::make_tuple(one.name, one.bytes));
  return out;
}

py::tuple why(configuration_handle const& self, std::string const& thing) {
  auto said = unlocked([&]() -> driver::outcome<driver::answer> {
    if (auto chosen = driver::why_chosen(*self, thing)) return *std::move(chosen);
    return driver::why_linked(*self, thing);
  });
  auto const answer = value_of(std::move(said));
  return py::make_tuple(answer.text, parse_json(answer.json.dump(
                                         -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
}

std::string symbolize(configuration_handle const& self, std::string const& report) {
  return unlocked([&] {
    return driver::symbolize_report(report, driver::artefact(self->state, self->build_root, "debug"));
  });
}

py::list targets(fs::path const& application) {
  driver::diagnostics broken;
  auto const all = unlocked([&] { return driver::all_targets(application, broken); });
  py::list out;
  for (auto const& one : all) {
    py::list tools;
    for (auto const& tool : one.tools) tools.append(py::make_tuple(tool.command, tool.package, tool.why));
    py::dict entry;
    entry["name"] = one.name;
    entry["summary"] = one.summary;
    entry["is_default"] = one.is_default;
    entry["capabilities"] = one.capabilities;
    entry["tools"] = tools;
    out.append(entry);
  }
  return out;
}

}  // namespace

void define_application(py::module_& in) {
  using namespace py::literals;
  py::class_<configuration_handle>(in, "Configuration")
      .def_property_readonly("target", [](configuration_handle const& self) { return self->on.name; })
      .def_property_readonly("capabilities",
                             [](configuration_handle const& self) { return self->on.capabilities; })
      .def_property_readonly("build_root",
                             [](configuration_handle const& self) { return self->build_root.string(); })
      .def_property_readonly("build_folder",
                             [](configuration_handle const& self) { return self->build_folder.string(); })
      .def_property_readonly("artefacts",
                             [](configuration_handle const& self) {
                               options_map out;
                               for (auto const& [name, file] : self->state.artefacts) {
                                 out.emplace(name, (self->build_folder / file).string());
                               }
                               return out;
                             })
      .def_property_readonly("settings",
                             [](configuration_handle const& self) { return self->settings.values; })
      .def_property_readonly("lock",
                             [](configuration_handle const& self) { return driver::format_lock(self->lock); })
      .def_property_readonly("lock_path",
                             [](configuration_handle const& self) { return self->lock_path.string(); })
      .def("describe",
           [](configuration_handle const& self) {
             return parse_json(driver::describe_json(*self).dump(
                 -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
           })
      .def("dot", [](configuration_handle const& self) { return driver::to_dot(self->graph, self->needs); })
      .def("actions", actions)
      .def("build", build, "jobs"_a, "report"_a)
      .def("pieces", pieces)
      .def("sections", sections)
      .def("why", why, "thing"_a)
      .def("symbolize", symbolize, "report"_a);
  in.def("configure", configure, "path"_a, "target"_a, "options"_a, "output"_a, "locked"_a, "offline"_a,
         "report"_a);
  in.def("targets", targets, "application"_a);
}

}  // namespace morgana::python
