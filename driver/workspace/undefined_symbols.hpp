// The linker's words about symbols that nobody defines, as values.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/target.hpp"

namespace morgana::driver {

/// Reads lld's output line by line:
///   ld.lld: error: undefined symbol: NAME
///   >>> referenced by file.hpp:12 (./file.hpp:12)
///   >>>               image.lto.o:(function)
///   >>> referenced by file.o:(function) in archive PATH
class undefined_symbols {
 public:
  /// True when the line belongs to such an error.
  bool take(std::string_view line);
  [[nodiscard]] bool is_explained() const { return !all_.empty(); }

  /// One diagnostic for all of them: `forbidden-symbol` with the target's own help for what a host would have,
  /// `undefined-symbol` for the rest; nothing when there were none. `application` is the folder that `./` in the
  /// linker's words means.
  [[nodiscard]] std::optional<diagnostic> explain(target const& on,
                                                  std::filesystem::path const& application) const;

 private:
  struct symbol {
    std::string name;
    std::vector<std::string> users;  ///< "unikernel.hpp:12", "file.o:(function) in archive PATH"
    std::optional<source_location> where;
  };
  std::vector<symbol> all_;
  bool inside_ = false;
};

}  // namespace morgana::driver
