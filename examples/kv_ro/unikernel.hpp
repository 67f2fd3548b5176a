// Reads a key of a store and compares it with what it should be.
#pragma once

#include <array>
#include <string_view>

#include "morgana/app.hpp"

inline constexpr std::string_view expected_secret = "foo\n";

morgana::task<int> start(morgana::key_value_store auto& t) {
  morgana::log_source const log((co_await morgana::this_context()).log(), "kv_ro");
  std::array<std::byte, 64> buffer;
  auto const got = co_await t.read("secret", 0, buffer);
  if (!got) {
    log.error("Could not read the key secret: {}", got.error().message());
    co_return 1;
  }
  std::string_view const secret(reinterpret_cast<char const*>(buffer.data()), *got);
  if (secret != expected_secret) {
    log.error("The secret of the store does not match that of the source");
    co_return 2;
  }
  log.info("The secret of the store matches that of the source");
  co_return 0;
}
