// Level entropy: 64 random bytes, once the generator is seeded.
#pragma once

#include "morgana/app.hpp"

using namespace morgana;

inline task<> start(console auto& out, random_generator auto& random) {
  context& here = co_await this_context();
  auto refused = [&](error const& why) {
    fixed_text<256> line;
    line.append("kit:not-seeded {}\n", why);
    out.write(line.view());
  };
  if (auto seeded = co_await random.seeded(after(here.now(), 10s)); !seeded) {
    refused(seeded.error());
    co_return;
  }
  std::byte bytes[64];
  if (auto filled = random.fill(bytes); !filled) {
    refused(filled.error());
    co_return;
  }
  fixed_text<256> line;
  line.put("kit:random ");
  for (auto const byte : bytes) line.put_unsigned(std::to_integer<unsigned>(byte), 16, 2, '0');
  line.put('\n');
  out.write(line.view());
}
