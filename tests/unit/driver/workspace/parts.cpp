#include <catch2/catch.hpp>
#include <fstream>

#include "morgana/driver/workspace.hpp"
#include "workspace/compiler_output.hpp"
#include "workspace/image_map.hpp"
#include "workspace/state.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using morgana::test::scratch_folder;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> filtered(std::vector<std::string> const& lines) {
  compiler_output filter("/home/me/app", "/home/me/app/build/unix", "/home/me/app");
  std::vector<std::string> out;
  for (auto const& line : lines) {
    std::string shown;
    if (filter.take(line, shown)) out.push_back(shown);
  }
  return out;
}

}  // namespace

TEST_CASE("a flag's choice follows the setting, and an empty flag is dropped") {
  target_settings const on{.values = {{"static", "true"}}};
  target_settings const off{.values = {{"static", "false"}}};
  CHECK(evaluate_flags({"{static?-static-pie:-pie}", "-O2", "{static?-x:}"}, on) ==
        std::vector<std::string>{"-static-pie", "-O2", "-x"});
  CHECK(evaluate_flags({"{static?-static-pie:-pie}", "-O2", "{static?-x:}"}, off) ==
        std::vector<std::string>{"-pie", "-O2"});
  CHECK(evaluate_flags({"-Wl,{plain}"}, off) == std::vector<std::string>{"-Wl,{plain}"});
}

TEST_CASE("what a compiler says of the generated main is left out, its own words stay") {
  CHECK(filtered({"In file included from /home/me/app/build/unix/main.gen.cpp:2:",
                  "/home/me/app/unikernel.hpp:4:3: error: no", "    4 |   no", "      |   ^",
                  "/home/me/app/build/unix/main.gen.cpp:40:5: note: in instantiation of function template",
                  "   40 |   start(**console)", "      |   ^", "/usr/include/x.h:1:1: note: declared here",
                  "1 error generated."}) ==
        std::vector<std::string>{"unikernel.hpp:4:3: error: no", "    4 |   no", "      |   ^",
                                 "/usr/include/x.h:1:1: note: declared here", "1 error generated."});
}

TEST_CASE("colour does not hide what a line is") {
  CHECK(filtered({"\x1b[1m/home/me/app/build/unix/main.gen.cpp:40:5: \x1b[0m\x1b[0;1;30mnote: \x1b[0mhere",
                  "   40 | x"})
            .empty());
}

TEST_CASE("an application elsewhere keeps its full name") {
  compiler_output filter("/home/me/app", "/home/me/app/build/unix", "/home/you");
  std::string shown;
  REQUIRE(filter.take("/home/me/app/unikernel.hpp:4:3: error: no", shown));
  CHECK(shown == "/home/me/app/unikernel.hpp:4:3: error: no");
}

TEST_CASE("a stamp changes with a file's content, and with which files there are") {
  scratch_folder const here;
  here.write("a.hpp", "1");
  here.write("b.txt", "1");
  watched_tree tree{.root = here.path(), .extensions = {".hpp"}};
  auto const first = stamp_of(tree);
  here.write("b.txt", "22");
  CHECK(stamp_of(tree) == first);
  here.write("a.hpp", "22");
  auto const second = stamp_of(tree);
  CHECK(second != first);
  here.write("sub/c.hpp", "1");
  CHECK(stamp_of(tree) != second);
  fs::remove_all(here.path() / "sub");
  CHECK(stamp_of(tree) == second);
}

TEST_CASE("where only names count, content does not") {
  scratch_folder const here;
  here.write("a.cpp", "1");
  watched_tree const tree{
      .root = here.path(), .extensions = {".cpp"}, .skip = {here.path() / "build"}, .names_only = true};
  auto const first = stamp_of(tree);
  here.write("a.cpp", "22");
  here.write("build/x.cpp", "");
  CHECK(stamp_of(tree) == first);
  here.write("b.cpp", "");
  CHECK(stamp_of(tree) != first);
}

TEST_CASE("a state that was written is read again; a broken one is as if there were none") {
  scratch_folder const here;
  workspace_state state{.target = "unix",
                        .options = {{"port", "80"}},
                        .name = "app",
                        .environment = deciding_environment(),
                        .artefacts = {{"image", "app"}},
                        .budgets = {{"image", "1024"}},
                        .settings = {{"memory", "64 MiB"}},
                        .packages = {here.path() / "store/part-1-key"},
                        .watched = {{.root = here.path() / "file", .extensions = {}, .skip = {}}}};
  state.watched[0].stamp = stamp_of(state.watched[0]);
  here.write("morgana.json", to_text(state));
  auto const read = read_state(here.path());
  REQUIRE(read);
  CHECK(read->options == state.options);
  CHECK(read->budgets == state.budgets);
  CHECK(artefact(*read, "/build", "image") == "/build/unix/app");
  CHECK_FALSE(has_packages(*read));
  here.write("store/part-1-key/libpart.a", "");
  CHECK(has_packages(*read));
  CHECK(is_current(*read));
  here.write("file", "now there");
  CHECK(!is_current(*read));
  here.write("morgana.json", "{\"schema\": 1}");
  CHECK(!read_state(here.path()));
  here.write("morgana.json", "{");
  CHECK(!read_state(here.path()));
}

TEST_CASE("pieces of the map sum up to the sections, and know their owners") {
  constexpr std::string_view map =
      "             VMA              LMA     Size Align Out     In      Symbol\n"
      "             100              100       60    16 .text\n"
      "             100              100       20    16         "
      "object_files/app.debug.lto.main.gen.cpp.o:(.text._Z3runv)\n"
      "             100              100       18     1                 run()\n"
      "             120              120       30    16         "
      "package_store/core/app.debug.lto.libcore.a(core_boot.cpp.o "
      "at 77).o:(.text.x)\n"
      "             120              120       30     1                 x\n"
      "             120              120       30     1                 alias_of_x\n"
      "             150              150       10     1         <internal>:(.text)\n"
      "             200              200      100     1 .bss\n"
      "             200              200      100     1         "
      "object_files/source_root/src/a.cpp.o:(.bss)\n";
  auto const pieces = parse_link_map(map, {{".text", 0x60}, {".shstrtab", 5}});
  std::uint64_t total = 0;
  for (auto const& piece : pieces) total += piece.bytes;
  CHECK(total == 0x65);
  REQUIRE(pieces.size() == 5);
  CHECK(pieces[0].package == "(application)");
  CHECK(pieces[0].file == "main.gen.cpp");
  CHECK(pieces[0].symbol == "run()");
  CHECK(pieces[0].linked == "_Z3runv");
  CHECK(pieces[0].bytes == 0x18);
  CHECK(pieces[1].bytes == 8);
  CHECK(pieces[2].package == "core");
  CHECK(pieces[2].file == "core_boot.cpp");
  CHECK(pieces[2].symbol == "x");
  CHECK(pieces[3].package == "(linker)");
  CHECK(pieces[4].symbol == ".shstrtab");
}

TEST_CASE("names of symbols are read as people write them") {
  CHECK(demangled("_ZN1a1bEv") == "a::b()");
  CHECK(demangled("_ZN1a1bEv.llvm.123") == "a::b()");
  CHECK(demangled("main") == "main");
}

TEST_CASE("a tool that is not there is one diagnostic that says how to install it") {
  auto const before = std::string(std::getenv("PATH"));
  ::setenv("PATH", "/nonexistent", 1);
  auto const found = find_toolchain();
  ::setenv("PATH", before.c_str(), 1);
  REQUIRE(!found);
  REQUIRE(found.error().size() == 1);
  CHECK(found.error()[0].code == "missing-tool");
  CHECK(found.error()[0].help[0] == "install it: sudo apt-get install clang-22");
}
