// Keys of key-value stores: one check for every store, so that no key means something to one of them only.
#pragma once

#include <string_view>

namespace morgana::storage {

/// True for a relative path of one or more components separated by '/', at most key_bytes_max bytes of UTF-8
/// (RFC 3629: no overlong forms, no surrogates), with no empty component, no "." and no "..", and no control
/// character (U+0000 to U+001F, U+007F).
[[nodiscard]] bool is_valid_key(std::string_view key);

}  // namespace morgana::storage
