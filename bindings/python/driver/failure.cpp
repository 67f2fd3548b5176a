#include "failure.hpp"

#include <pybind11/stl.h>

#include <string_view>

namespace py = pybind11;

namespace morgana::python {
namespace {

std::string_view to_string(driver::severity level) {
  switch (level) {
    case driver::severity::error:
      return "error";
    case driver::severity::warning:
      return "warning";
    case driver::severity::note:
      return "note";
  }
  return "error";
}

/// Names of files and words of tools need not be UTF-8; a message must not fail for that.
py::str text(std::string_view bytes) {
  auto* const decoded =
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "backslashreplace");
  if (decoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

void put_place(py::dict into, std::optional<driver::source_location> const& where) {
  into["file"] = where ? py::object(text(where->file.string())) : py::none();
  into["line"] = where ? where->line : 0;
  into["column"] = where ? where->column : 0;
}

py::dict to_dict(driver::diagnostic const& one) {
  py::dict out;
  out["level"] = text(to_string(one.level));
  out["code"] = text(one.code);
  out["message"] = text(one.message);
  put_place(out, one.where);
  py::list notes, help;
  for (auto const& note : one.notes) {
    py::dict said;
    said["message"] = text(note.message);
    put_place(said, note.where);
    notes.append(said);
  }
  for (auto const& sentence : one.help) help.append(text(sentence));
  out["notes"] = notes;
  out["help"] = help;
  return out;
}

}  // namespace

py::object parse_json(std::string const& text) {
  return py::module_::import("json").attr("loads")(py::bytes(text));
}

void define_failure(py::module_& in) {
  // Never destroyed, like the module that has it.
  static auto* const type = new py::exception<failure>(in, "Failure");
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (failure const& why) {
      py::list all;
      for (auto const& one : why.all) all.append(to_dict(one));
      PyErr_SetObject(type->ptr(), all.ptr());
    }
  });
}

}  // namespace morgana::python
