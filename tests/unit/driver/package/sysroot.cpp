// The recipes of the C and C++ libraries, as they lie in packages/. What they build is tested end to end.
#include "driver/package/fetch.hpp"
#include "support.hpp"

using namespace package_test;
namespace package_detail = morgana::driver::package_detail;

namespace {

recipe read_own(std::string const& name) {
  return value_of(read_recipe(fs::path(MORGANA_SOURCE) / "packages" / (name + ".toml")));
}

}  // namespace

TEST_CASE("the recipes of the sysroot fit x86-64 and ARMv7, which differ in values only") {
  for (auto const* name : {"musl", "llvm-runtimes"}) {
    auto const both = read_own(name);
    CHECK(both.sha256 == read_own(name).sha256);
    CHECK(both.toolchain == recipe::flags_of::own);
    auto const pc = value_of(for_architecture(both, "x86_64"));
    auto const board = value_of(for_architecture(both, "armv7"));
    CHECK(pc.flags.front() == "--target=x86_64-linux-musl");
    CHECK(board.flags.front() == "--target=armv7a-linux-musleabihf");
    CHECK(pc.archives.size() == board.archives.size());
    CHECK(pc.sha256 == board.sha256);
  }
  auto const musl = read_own("musl");
  using package_detail::tree_content;
  CHECK(tree_content(value_of(for_architecture(musl, "x86_64"))) !=
        tree_content(value_of(for_architecture(musl, "armv7"))));
  CHECK(error_of(for_architecture(musl, "aarch64")).code == "package-architecture");
}

TEST_CASE("of two gigabytes of LLVM only what the runtimes need is unpacked") {
  auto const members = package_detail::needed_members(read_own("llvm-runtimes"));
  REQUIRE_FALSE(members.empty());
  for (auto const& one : members) CHECK_FALSE(one.starts_with("clang"));
}
