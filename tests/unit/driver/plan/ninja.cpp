#include <catch2/catch.hpp>

#include "morgana/driver/plan.hpp"

using namespace morgana::driver;

TEST_CASE("a plan is printed as Ninja text in its own order") {
  build_plan plan;
  plan.variables = {{"cxx", "clang++-22"}, {"flags", "-O2"}};
  plan.rules = {{.name = "compile",
                 .command = "$cxx -c $in -o $out",
                 .description = "compile $in",
                 .depfile = "$out.d"},
                {.name = "link", .command = "$cxx $in -o $out"}};
  plan.edges = {{.rule = "compile", .outputs = {"a.o"}, .inputs = {"a.cpp"}, .order_only = {"gen.hpp"}},
                {.rule = "link",
                 .outputs = {"app"},
                 .inputs = {"a.o"},
                 .implicit_inputs = {"script.ld"},
                 .variables = {{"map", "app.map"}}}};
  plan.defaults = {"app"};
  CHECK(to_ninja(plan) ==
        "# Written by `morgana configure`, which writes it again when unikernel.toml changes.\n"
        "ninja_required_version = 1.10\n"
        "builddir = .\n"
        "\n"
        "cxx = clang++-22\n"
        "flags = -O2\n"
        "\n"
        "rule compile\n"
        "  command = $cxx -c $in -o $out\n"
        "  description = compile $in\n"
        "  depfile = $out.d\n"
        "  deps = gcc\n"
        "\n"
        "rule link\n"
        "  command = $cxx $in -o $out\n"
        "\n"
        "build a.o: compile a.cpp || gen.hpp\n"
        "\n"
        "build app: link a.o | script.ld\n"
        "  map = app.map\n"
        "\n"
        "default app\n");
}

TEST_CASE("paths with spaces, colons and dollars are escaped for Ninja") {
  build_plan plan;
  plan.edges = {{.rule = "phony", .outputs = {"a b"}, .inputs = {"c:d", "e$f"}}};
  CHECK(to_ninja(plan).find("build a$ b: phony c$:d e$$f\n") != std::string::npos);
}

TEST_CASE("a word of a command is quoted only when a shell would read it") {
  CHECK(ninja_word("-O2") == "-O2");
  CHECK(ninja_word("-DNAME=\"x\"") == "'-DNAME=\"x\"'");
  CHECK(ninja_word("it's") == "'it'\\''s'");
  CHECK(ninja_word("$HOME") == "'$$HOME'");
  CHECK(ninja_word("") == "''");
  CHECK(ninja_words({"a", "b c"}) == "a 'b c'");
}

TEST_CASE("compile commands are JSON with one object a command") {
  build_plan plan;
  plan.compile_commands = {{.directory = "/d", .file = "/d/a.cpp", .arguments = {"clang++", "a.cpp"}}};
  auto const text = to_compile_commands(plan);
  CHECK(text.find("\"directory\": \"/d\"") != std::string::npos);
  CHECK(text.find("\"a.cpp\"") != std::string::npos);
}
