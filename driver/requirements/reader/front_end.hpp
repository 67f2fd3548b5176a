// Clang's side of the reader, behind plain values. Including clang's headers costs some thirteen seconds of
// compile time per file, so three files do and everything else sees only this.
#pragma once

#include <string>
#include <vector>

#include "requirements/reader/answer.hpp"

namespace clang {
class ASTContext;
class CXXRecordDecl;
class Sema;
class SourceLocation;
class SourceManager;
class SourceRange;
}  // namespace clang

namespace morgana::driver {

/// Parses the entry point, or the headers of the queries, and says what it found. `clang` is the path of the
/// compiler whose resource folder and libc++ are used.
[[nodiscard]] reader_answer run_front_end(reader_request const& request, std::string const& clang);

/// The place of a token, seen from the file the user can open: a place in a macro is where it is used.
[[nodiscard]] source_location place_of(clang::SourceManager const& sources, clang::SourceLocation where);
/// The place of a range, which ends at the end of its first line at the latest.
[[nodiscard]] source_location place_of(clang::SourceManager const& sources, clang::SourceRange range);
/// The text of a range as the user wrote it, on one line.
[[nodiscard]] std::string text_of(clang::SourceManager const& sources, clang::SourceRange range);

/// Every concept in namespace morgana that a parameter may name, without "morgana::", sorted; of the devices'
/// only those in `devices`, if there are any.
[[nodiscard]] std::vector<std::string> known_concepts(clang::ASTContext& context,
                                                      std::vector<std::string> const& devices);
/// "`net::stack`, `console`, ...": for a message; at most a dozen.
[[nodiscard]] std::string listed(std::vector<std::string> names);

/// Finds start() and fills `answer.needs` or `answer.errors`.
void read_signature(clang::Sema& sema, reader_request const& request, reader_answer& answer);

/// Fills in the fields of `into`, those of bases first; appends to `errors`.
void read_fields(clang::Sema& sema, clang::CXXRecordDecl const& record, option_struct& into,
                 diagnostics& errors);

}  // namespace morgana::driver
