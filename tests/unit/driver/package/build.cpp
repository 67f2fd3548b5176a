#include <sys/wait.h>

#include <map>

#include "support.hpp"

using namespace package_test;

namespace {

fs::path tool(std::string const& name) {
  for (auto const* folder : {"/usr/bin", "/usr/local/bin"}) {
    if (fs::exists(fs::path(folder) / name)) return fs::path(folder) / name;
  }
  FAIL(name << " is not installed");
  return {};
}

guest_toolchain hosted() {
  guest_toolchain chain;
  chain.clang = tool("clang-22");
  chain.clangxx = tool("clang++-22");
  chain.linker = tool("ld.lld-22");
  chain.archiver = tool("llvm-ar-22");
  chain.identity = "clang 22";
  chain.flags = {"-g", "-O1"};
  chain.cxx_flags = {"-std=c++23"};
  return chain;
}

std::string output_of(std::string const& command) {
  auto* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe);
  std::string text;
  char buffer[4096];
  for (std::size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    text.append(buffer, size);
  CHECK(::pclose(pipe) == 0);
  return text;
}

// Two packages in place: `base`, and `user`, which includes base's header.
struct workshop {
  explicit workshop(fs::path const& root) : source(root / "source"), cache{root / "cache", false} {
    write(source / "include/base.hpp", "#pragma once\nint base();\n#define BASE 1\n");
    write(source / "base/base.cpp", "#include \"base.hpp\"\nint base() { return 1; }\n");
    write(source / "base/file.c", "char const* name(void) { return __FILE__; }\n");
    write(source / "user/user.cpp", "#include <base.hpp>\nint user() { return base() + BASE; }\n");
    write(source / "user/part.cpp", "int part() { return 2; }\n");
    write(source / "user/start.S", "  .globl start_here\nstart_here:\n  nop\n");
    base = package("base", "1:1.0");
    base.source = path_source{source};
    base.sources = {"base/*.cpp", "base/*.c"};
    base.export_include = {"include"};
    user = package("user", "2", {"base"});
    user.source = path_source{source};
    user.sources = {"user/*.cpp", "user/*.S"};
    user.flags = {"-DTEXT=\"a $b 'c'\""};
  }

  std::vector<chosen_package> packages() {
    std::vector<chosen_package> all = {{base, "morgana", {}, {}}, {user, "morgana", {}, {}}};
    good(fetch(all, {}, cache, quiet()));
    return all;
  }
  outcome<std::vector<built_package>> try_build() {
    told.clear();
    auto const report = [this](std::string_view what, std::size_t done, std::size_t total) {
      told.push_back(std::string(what) + " " + std::to_string(done) + "/" + std::to_string(total));
    };
    return build_packages(packages(), chain, cache, report);
  }
  std::vector<built_package> build() { return value_of(try_build()); }
  [[nodiscard]] bool said(std::string_view what) const {
    return std::ranges::any_of(told, [&](auto const& one) { return one.starts_with(what); });
  }

  fs::path source;
  package_cache cache;
  recipe base, user;
  guest_toolchain chain = hosted();
  std::vector<std::string> told;
};

}  // namespace

TEST_CASE("packages are built into the store and found there afterwards") {
  scratch_folder folder;
  workshop work(folder.path());
  auto const built = work.build();
  REQUIRE(built.size() == 2);
  CHECK(built[0].archives.at(0) == built[0].root / "libbase.a");
  CHECK(built[0].include == std::vector<fs::path>{work.source / "include"});
  CHECK(built[0].prefix == "base-1_1.0");
  CHECK(built[0].root.filename() == "base-1_1.0-" + built[0].key);
  CHECK(work.said("compile base base/base.cpp"));
  CHECK(work.said("archive user"));
  CHECK(work.told.back().ends_with("7/7"));
  auto const symbols = output_of("llvm-nm-22 --defined-only " + built[1].archives.at(0).string());
  CHECK(symbols.find("_Z4userv") != std::string::npos);
  CHECK(symbols.find("start_here") != std::string::npos);

  auto const again = work.build();
  CHECK(again[1].root == built[1].root);
  CHECK(work.told.empty());
}

TEST_CASE("packages have their places before anything is compiled") {
  scratch_folder folder;
  workshop work(folder.path());
  auto const placed = value_of(place_packages(work.packages(), work.chain, work.cache));
  CHECK_FALSE(fs::exists(folder / "cache/store"));
  auto const built = work.build();
  REQUIRE(placed.size() == built.size());
  for (std::size_t at = 0; at < placed.size(); ++at) {
    CHECK(placed[at].root == built[at].root);
    CHECK(placed[at].archives.at(0) == built[at].archives.at(0));
  }
}

TEST_CASE("nothing in an archive depends on where source and cache lie") {
  scratch_folder folder;
  workshop first(folder / "a");
  workshop second(folder / "much/deeper/down/and with a space");
  for (auto* work : {&first, &second}) {
    work->chain.flags.push_back("-I" + (work->source / "extra").string());
    work->chain.roots = {{"extra", work->source / "extra"}};
    write(work->source / "extra/extra.h", "static inline char const* extra(void) { return __FILE__; }\n");
    write(work->source / "base/file.c",
          "#include <extra.h>\nchar const* name(void) { return __FILE__; }\nchar const* more(void) { return "
          "extra(); }\n");
  }
  auto const one = first.build();
  auto const two = second.build();
  for (std::size_t at = 0; at < 2; ++at) {
    CHECK(one[at].key == two[at].key);
    CHECK(read(one[at].archives.at(0)) == read(two[at].archives.at(0)));
  }
  auto const text = read(one[0].archives.at(0));
  CHECK(text.find("base-1_1.0/base/file.c") != std::string::npos);
  CHECK(text.find(folder.path().string()) == std::string::npos);
  SECTION("nor does bitcode for the link-time optimiser") {
    for (auto* work : {&first, &second}) work->chain.flags.push_back("-flto=thin");
    auto const lto_one = first.build();
    auto const lto_two = second.build();
    CHECK(read(lto_one[1].archives.at(0)) == read(lto_two[1].archives.at(0)));
    CHECK(read(lto_one[1].archives.at(0)) != read(one[1].archives.at(0)));
    CHECK(read(lto_one[0].archives.at(0)).find(folder.path().string()) == std::string::npos);
  }
}

TEST_CASE("the key follows flags, compiler, recipe and content") {
  scratch_folder folder;
  workshop work(folder.path());
  auto const before = work.build();
  SECTION("a flag") {
    work.chain.flags.push_back("-DX");
  }
  SECTION("a C++ flag") {
    work.chain.cxx_flags.push_back("-DX");
  }
  SECTION("the compiler") {
    work.chain.identity = "clang 23";
  }
  SECTION("the recipe") {
    work.base.sha256 += "x", work.user.sha256 += "x";
  }
  SECTION("a header that both see") {
    write(work.source / "include/base.hpp", "#pragma once\nint base();\n#define BASE 2\n");
  }
  auto const after = work.build();
  CHECK(after[0].key != before[0].key);
  CHECK(after[1].key != before[1].key);
}

TEST_CASE("a change of one source compiles that source only") {
  scratch_folder folder;
  workshop work(folder.path());
  auto const before = work.build();
  write(work.source / "base/base.cpp", "#include \"base.hpp\"\nint base() { return 7; }\n");
  auto const after = work.build();
  CHECK(after[0].key != before[0].key);
  CHECK(after[1].key == before[1].key);
  CHECK(work.said("compile base base/base.cpp"));
  CHECK_FALSE(work.said("compile base base/file.c"));
  CHECK_FALSE(work.said("compile user"));

  SECTION("and the result is what a build from nothing gives") {
    auto const quick = read(after[0].archives.at(0));
    fs::remove_all(folder / "cache");
    CHECK(read(work.build()[0].archives.at(0)) == quick);
  }
}

TEST_CASE("a source that includes another source is compiled again when that one changes") {
  scratch_folder folder;
  workshop work(folder.path());
  write(work.source / "user/user.cpp", "#include \"part.cpp\"\nint user() { return part(); }\n");
  write(work.source / "user/part.cpp", "static int part() { return 2; }\n");
  auto const before = read(work.build()[1].archives.at(0));
  write(work.source / "user/part.cpp", "static int part() { return 3; }\n");
  auto const quick = read(work.build()[1].archives.at(0));
  CHECK(quick != before);
  fs::remove_all(folder / "cache");
  CHECK(read(work.build()[1].archives.at(0)) == quick);
}

TEST_CASE("a package that does not compile gives its first error, its place and the log") {
  scratch_folder folder;
  workshop work(folder.path());
  write(work.source / "user/user.cpp", "int user() {\n  return unknown_name;\n}\nint x = also_unknown;\n");
  auto const error = error_of(work.try_build());
  CHECK(error.code == "package-build");
  CHECK(error.message == "package `user` 2 does not build: use of undeclared identifier 'unknown_name'");
  REQUIRE(error.where);
  CHECK(error.where->file == work.source / "user/user.cpp");
  CHECK(error.where->line == 2);
  CHECK(error.where->column == 10);
  auto const& note = error.notes.at(0).message;
  auto const log = read(note.substr(note.find('/')));
  CHECK(log.find("also_unknown") != std::string::npos);

  SECTION("leaves no half entry, and what compiled is not compiled again") {
    for (auto const& entry : fs::directory_iterator(folder / "cache/store")) {
      // Of what does compile there may be a whole one.
      INFO(entry.path());
      CHECK(entry.path().filename().string().starts_with("base-"));
      CHECK(fs::exists(entry.path() / "libbase.a"));
    }
    write(work.source / "user/user.cpp", "int user() { return 1; }\n");
    std::ignore = work.build();
    CHECK(work.said("compile user user/user.cpp"));
    CHECK_FALSE(work.said("compile user user/part.cpp"));
  }
}

TEST_CASE("a header from outside a package's content is an error, because its change would not be seen") {
  scratch_folder folder;
  workshop work(folder.path());
  write(work.source / "private/secret.hpp", "#define SECRET 1\n");
  write(work.source / "user/user.cpp", "#include \"../private/secret.hpp\"\nint user() { return SECRET; }\n");
  auto const error = error_of(work.try_build());
  CHECK(error.code == "package-build");
  CHECK(error.message == "package `user` includes `private/secret.hpp`, which is not part of its content");
  SECTION("until the recipe names its folder") {
    work.user.include = {"private"};
    std::ignore = work.build();
  }
}

TEST_CASE("a package without sources has no archive, one in place may not have any yet") {
  scratch_folder folder;
  workshop work(folder.path());
  work.base.sources.clear();
  work.user.sources = {"later/*.cpp"};
  auto const built = work.build();
  CHECK(built[0].archives.empty());
  CHECK(built[1].archives.empty());
  CHECK(fs::is_directory(built[0].root));
  write(work.source / "later/a.cpp", "int a;\n");
  CHECK_FALSE(work.build()[1].archives.empty());
}

TEST_CASE("a compiler that is not there is a missing tool") {
  scratch_folder folder;
  workshop work(folder.path());
  work.chain.clang = folder / "no-clang";
  CHECK(error_of(work.try_build()).code == "missing-tool");
}

TEST_CASE("processes that build the same package at once all get the same entry") {
  scratch_folder folder;
  workshop work(folder.path());
  std::vector<pid_t> children;
  for (int count = 0; count < 4; ++count) {
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::vector<chosen_package> all = {{work.base, "morgana", {}, {}}, {work.user, "morgana", {}, {}}};
      bool const fine =
          fetch(all, {}, work.cache, quiet()) && build_packages(all, work.chain, work.cache, quiet());
      ::_exit(fine ? 0 : 1);
    }
    children.push_back(child);
  }
  for (auto const child : children) {
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  std::ignore = work.build();
  CHECK(work.told.empty());
  std::size_t entries = 0;
  for (auto const& entry : fs::directory_iterator(folder / "cache/store")) {
    ++entries;
    CHECK_FALSE(entry.path().filename().string().starts_with('.'));
  }
  CHECK(entries == 2);
}

TEST_CASE("what a process that died left behind is cleared away") {
  scratch_folder folder;
  workshop work(folder.path());
  write(folder / "cache/store/.staging-1-0/.lock", "");
  write(folder / "cache/store/.staging-1-0/half", "");
  std::ignore = work.build();
  CHECK_FALSE(fs::exists(folder / "cache/store/.staging-1-0"));
}

TEST_CASE("a package may give several archives, with overrides, exceptions and flags of single files") {
  scratch_folder folder;
  workshop work(folder.path());
  write(work.source / "lib/string/copy.c", "int copy_in_c(void) { return 1; }\n");
  write(work.source / "lib/string/arm/copy.s", "  .globl copy_in_arm\ncopy_in_arm:\n");
  write(work.source / "lib/string/x86/copy.s", "  .globl copy_in_assembler\ncopy_in_assembler:\n  ret\n");
  write(work.source / "lib/string/x86/find.s", "  .globl find_in_assembler\nfind_in_assembler:\n  ret\n");
  write(work.source / "lib/string/find.c", "int find_in_c(void) { return FOUND; }\n");
  write(work.source / "lib/more/more.cpp", "int more() { return 3; }\n");
  recipe_archive c;
  c.name = "c";
  c.sources = {"lib/string/*.c"};
  c.overrides = {"lib/string/x86/*.s"};
  c.exclude = {"lib/string/x86/find.s"};
  c.more = {{{"lib/string/f*.c"}, {"-DFOUND=1"}}};
  recipe_archive cxx;
  cxx.name = "c++";
  cxx.sources = {"lib/more/*.cpp"};
  work.base.sources.clear();
  work.base.archives = {c, cxx};
  auto const built = work.build();
  REQUIRE(built[0].archives == std::vector<fs::path>{built[0].root / "libc.a", built[0].root / "libc++.a"});
  auto const symbols = output_of("llvm-nm-22 --defined-only " + built[0].archives[0].string());
  CHECK(symbols.find("copy_in_assembler") != std::string::npos);
  CHECK(symbols.find("copy_in_c") == std::string::npos);
  CHECK(symbols.find("copy_in_arm") == std::string::npos);
  CHECK(symbols.find("find_in_c") != std::string::npos);
  CHECK(symbols.find("find_in_assembler") == std::string::npos);
}

TEST_CASE("what a recipe calls hot has the target's flags for it, and only that") {
  scratch_folder folder;
  workshop work(folder.path());
  write(work.source / "lib/hot.c", "#ifndef FAST\n#error slow\n#endif\nint hot(void) { return 1; }\n");
  write(work.source / "lib/cold.c", "#ifdef FAST\n#error fast\n#endif\nint cold(void) { return 1; }\n");
  work.base.sources = {"lib/*.c"};
  work.base.hot = {"lib/h*.c"};
  work.chain.hot_flags = {"-DFAST"};
  auto const built = work.build();
  auto const symbols = output_of("llvm-nm-22 --defined-only " + built[0].archives[0].string());
  CHECK(symbols.find("hot") != std::string::npos);
  CHECK(symbols.find("cold") != std::string::npos);
  work.chain.hot_flags.push_back("-DFASTER");
  CHECK(work.build()[0].key != built[0].key);
}

TEST_CASE("a package with its own toolchain is compiled in one way for every target") {
  scratch_folder folder;
  workshop work(folder.path());
  work.base.toolchain = recipe::flags_of::own;
  work.base.flags = {"-O1"};
  work.base.cxx_flags = {"-std=c++20"};
  auto const before = work.build();
  work.chain.flags = {"-O2"};
  auto const after = work.build();
  CHECK(after[0].key == before[0].key);
  CHECK(after[1].key != before[1].key);
  work.base.flags = {"-O2"};
  work.base.sha256 += "x";
  CHECK(work.build()[0].key != before[0].key);
}

TEST_CASE("the packages of a sysroot come first, and all others see their headers and flags") {
  scratch_folder folder;
  workshop work(folder.path());
  write(work.source / "libc/value.h", "#define VALUE 1\n");
  write(work.source / "libcxx/value.h", "#include_next <value.h>\n#define CXX_VALUE 1\n");
  write(work.source / "user/part.cpp",
        "#include <value.h>\nint part() { return VALUE + CXX_VALUE + FLAG; }\n");
  write(work.source / "user/plain.c",
        "#include <value.h>\n#ifdef CXX_VALUE\n#error not for C\n#endif\nint x = VALUE;\n");
  work.user.sources.push_back("user/*.c");
  auto libc = package("libc", "1");
  libc.source = path_source{work.source};
  libc.export_include = {"libc"};
  libc.export_flags = {"-DFLAG=1"};
  auto libcxx = package("libcxx", "1", {"libc"});
  libcxx.source = path_source{work.source};
  libcxx.export_cxx_include = {"libcxx"};
  std::vector<chosen_package> all;
  for (auto const& one : {work.base, work.user, libc, libcxx}) all.push_back({one, "morgana", {}, {}});
  work.chain.sysroot = {"libcxx"};
  good(fit(all, work.chain));
  CHECK(all[0].what.name.value == "libc");
  CHECK(all[1].what.name.value == "libcxx");
  CHECK(sysroot_flags(all, work.chain) == std::vector<std::string>{"-DFLAG=1"});
  work.chain.flags.push_back("-DFLAG=1");
  good(fetch(all, {}, work.cache, quiet()));
  auto const built = value_of(build_packages(all, work.chain, work.cache, quiet()));
  CHECK(built[1].cxx_include == std::vector<fs::path>{work.source / "libcxx"});
  auto const includes = source_includes(all);
  CHECK(includes.at(includes.size() - 2) == work.source / "libcxx");
  CHECK(includes.back() == work.source / "libc");
  // A change of the C library's headers compiles everything that sees them.
  write(work.source / "libc/value.h", "#define VALUE 2\n");
  good(fetch(all, {}, work.cache, quiet()));
  auto const after = value_of(place_packages(all, work.chain, work.cache));
  for (std::size_t at = 0; at < all.size(); ++at) CHECK(after[at].key != built[at].key);
}
