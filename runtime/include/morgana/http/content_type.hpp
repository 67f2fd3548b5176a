// Media types by file name.
#pragma once

#include <string_view>

namespace morgana::http {

/// The Content-Type of a file by its extension, in any case; "application/octet-stream" when it is not
/// known. Text types say UTF-8.
[[nodiscard]] std::string_view content_type_of(std::string_view name);

}  // namespace morgana::http
