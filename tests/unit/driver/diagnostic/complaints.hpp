// Diagnostics as short lines for tests: LINE:COLUMN+LENGTH code: message / note (LINE:COLUMN): ... / help:
// ...
#pragma once

#include <string>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver::test {

inline std::string place(source_location const& at) {
  if (at.file.empty()) return "nowhere";
  return std::to_string(at.line) + ":" + std::to_string(at.column);
}

/// Everything but the file's name; one block of lines per diagnostic.
inline std::string complaints(diagnostics const& all) {
  std::string result;
  for (auto const& one : all) {
    result += one.where ? place(*one.where) + "+" + std::to_string(one.where->length) : "-";
    result += " " + one.code + ": " + one.message + "\n";
    for (auto const& note : one.notes) {
      result += "  note" + (note.where ? " (" + place(*note.where) + ")" : std::string{}) + ": " +
                note.message + "\n";
    }
    for (auto const& help : one.help) result += "  help: " + help + "\n";
  }
  return result;
}

template <class T>
std::string complaints(outcome<T> const& failed) {
  return failed ? "it succeeded\n" : complaints(failed.error());
}

}  // namespace morgana::driver::test
