// What a compiler prints, as the user should read it: names relative to where the user stands, and nothing
// of the file that was generated.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace morgana::driver {

class compiler_output {
 public:
  /// `generated` are names of generated files as the compiler says them; `here` is the user's folder.
  compiler_output(std::filesystem::path application, std::filesystem::path build_folder,
                  std::filesystem::path here);

  /// The line to show, without its newline; false when the line is not for the user.
  [[nodiscard]] bool take(std::string_view line, std::string& shown);

 private:
  enum class where { outside, generated_note };
  std::filesystem::path application_, build_folder_, here_;
  std::string shown_application_;
  where state_ = where::outside;
};

/// Without colour and other escape sequences.
[[nodiscard]] std::string without_escapes(std::string_view text);

}  // namespace morgana::driver
