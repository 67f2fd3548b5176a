#include "package/sha256.hpp"

#include <array>
#include <cstdlib>
#include <fstream>
#include <vector>

#include <fmt/format.h>

#include "package/libsolv.hpp"

namespace morgana::driver::package_detail {

// libsolv gives null only for a type it does not know.
sha256::sha256() : state_(solv_chksum_create(REPOKEY_TYPE_SHA256)) {
  if (!state_) std::abort();
}

sha256::~sha256() {
  solv_chksum_free(static_cast<Chksum*>(state_), nullptr);
}

void sha256::add(std::string_view bytes) {
  constexpr std::size_t piece = 1U << 30;  // the length is an int there
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    auto const part = bytes.substr(at, piece);
    solv_chksum_add(static_cast<Chksum*>(state_), part.data(), static_cast<int>(part.size()));
  }
}

void sha256::add_field(std::string_view bytes) {
  add(fmt::format("{}:", bytes.size()));
  add(bytes);
  add("\n");
}

std::string sha256::finish() {
  int length = 0;
  auto const* digest = solv_chksum_get(static_cast<Chksum*>(state_), &length);
  std::string text;
  for (int at = 0; at < length; ++at) text += fmt::format("{:02x}", digest[at]);
  return text;
}

std::string sha256_of(std::string_view bytes) {
  sha256 sum;
  sum.add(bytes);
  return sum.finish();
}

std::optional<std::string> sha256_of_file(std::filesystem::path const& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::nullopt;
  sha256 sum;
  std::vector<char> buffer(1U << 16);
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    sum.add({buffer.data(), static_cast<std::size_t>(in.gcount())});
  }
  if (in.bad()) return std::nullopt;
  return sum.finish();
}

}  // namespace morgana::driver::package_detail
