// Questions about C++ source that the AST cannot answer, because the code was wrong, or that need no AST.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace morgana::driver {

/// A name that stands where a concept must stand: `NAME auto` or `template <NAME T>`.
struct constraint_text {
  std::string name;        ///< as written, spaces removed, without template arguments: "net::stak"
  std::size_t offset = 0;  ///< of its first byte
  std::size_t length = 0;  ///< in bytes, as written
};

/// The constraint whose name, or whose `auto`, stands at `offset` of `text`. A template parameter counts
/// only in a template head that belongs to a function called start: elsewhere it may as well be a type.
[[nodiscard]] std::optional<constraint_text> constraint_at(std::string_view text, std::size_t offset);

/// Runs of white space become one space, those at the ends go.
[[nodiscard]] std::string one_line(std::string_view text);

/// A doc comment, already without its comment marks, as one paragraph; a leading \brief goes.
[[nodiscard]] std::string one_paragraph(std::string_view comment);

/// max_age → max-age
[[nodiscard]] std::string flag_of(std::string_view field_name);

/// "::morgana::net::stack" → "net::stack"
[[nodiscard]] std::string_view without_morgana(std::string_view qualified_name);

}  // namespace morgana::driver
