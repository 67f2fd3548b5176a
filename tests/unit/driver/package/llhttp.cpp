// The HTTP parser, as every user of the package engine gets it: from the Debian mirror that this machine's
// apt is configured for. This is the one test of the engine that needs a network (or a warm cache of its
// own).
#include <cstdlib>

#include "support.hpp"

using namespace package_test;

namespace {

// One request in, the name of the parser's verdict out.
constexpr std::string_view probe = R"(
#include <cstdio>
#include <string_view>
#include "llhttp.h"
int main() {
  using namespace std::string_view_literals;
  constexpr std::string_view good[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.0\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"sv,
  };
  constexpr std::string_view bad[] = {
    "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\rX"sv,
    "GET / HTTP/1.1\nHost: a\n\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"sv,
    "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n"sv,
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n"sv,
    "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"sv,
    "GET / HTTP/1.1\r\nA\0: b\r\n\r\n"sv,
    "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"sv,
    "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n"sv,
    "GET / HTTP/9.9\r\nA: b\r\n\r\n"sv,
  };
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  auto const verdict = [&](std::string_view text) {
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    return llhttp_execute(&parser, text.data(), text.size());
  };
  int wrong = 0;
  for (auto const& text : good) if (verdict(text) != HPE_OK) { ++wrong; std::printf("refused: %.*s\n", int(text.size()), text.data()); }
  for (auto const& text : bad) if (verdict(text) == HPE_OK) { ++wrong; std::printf("taken: %.*s\n", int(text.size()), text.data()); }
  return wrong;
}
)";

}  // namespace

TEST_CASE("network: llhttp comes from the configured Debian mirror, builds, and refuses smuggled requests") {
  scratch_folder folder;
  package_cache const cache{folder / "cache", false};
  auto const built_in = value_of(read_repository(fs::path(MORGANA_SOURCE) / "packages", "morgana"));
  auto packages = value_of(solve({built_in}, {text("llhttp")}, {}, "unix"));
  good(fetch(packages, {}, cache, quiet()));
  CHECK_FALSE(fs::exists(packages[0].source / "deps/v8"));

  guest_toolchain chain;
  chain.clang = "/usr/bin/clang-22";
  chain.clangxx = "/usr/bin/clang++-22";
  chain.archiver = "/usr/bin/llvm-ar-22";
  chain.identity = "clang 22";
  auto const built = value_of(build_packages(packages, chain, cache, quiet()));
  REQUIRE(built.size() == 1);

  write(folder / "probe.cpp", probe);
  auto const command = "clang++-22 -std=c++23 -w -I" + built[0].include.at(0).string() + " " +
                       (folder / "probe.cpp").string() + " " + built[0].archives.at(0).string() + " -o " +
                       (folder / "probe").string() + " && " + (folder / "probe").string();
  CHECK(std::system(command.c_str()) == 0);
}
