// Every kind of entry point, good and wrong, compared with a file. UPDATE_GOLDEN=1 rewrites the files.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/driver/requirements/support.hpp"

using namespace morgana::driver;
using namespace requirements_test;

namespace {

void compare(std::string const& name, std::string const& text) {
  auto const path = data / "golden" / (name + ".txt");
  if (std::getenv("UPDATE_GOLDEN")) {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  std::stringstream expected;
  expected << file.rdbuf();
  INFO("golden file " << path);
  CHECK(text == expected.str());
}

void check(std::string const& app) {
  compare(app, shown(read_requirements(input_of(app))));
}

}  // namespace

TEST_CASE("every device of a signature is named with its concept and place") {
  check("simple");
}
TEST_CASE("options come with bases first, comments, and defaults evaluated") {
  check("full");
}
TEST_CASE("a plain struct of options and an exit code are understood") {
  check("concrete_options");
}
TEST_CASE("a template head says the same, redeclared, beside another function called start") {
  check("template_head");
}

TEST_CASE("macros, lambdas and concepts of others are read through") {
  check("macros");
}

TEST_CASE("no entry point: what looks like one is pointed at") {
  check("no_start");
}
TEST_CASE("an entry point in an unnamed namespace is not taken") {
  check("unnamed_namespace");
}
TEST_CASE("two entry points are both shown") {
  check("two_starts");
}
TEST_CASE("a parameter of any type has no device") {
  check("without_concept");
}
TEST_CASE("a template parameter of any type has no device") {
  check("without_concept_in_head");
}
TEST_CASE("a mistyped concept gets the nearest one") {
  check("unknown_concept");
}
TEST_CASE("a mistyped concept of a namespace gets the nearest one") {
  check("unknown_nested_concept");
}
TEST_CASE("a mistyped namespace of a concept gets the nearest concept") {
  check("unknown_namespace");
}
TEST_CASE("a mistyped concept in a template head gets the nearest one") {
  check("unknown_concept_in_head");
}
TEST_CASE("a concept without its morgana:: is completed") {
  check("unqualified_concept");
}
TEST_CASE("a concept without its inner namespace is completed") {
  check("missing_namespace");
}
TEST_CASE("a concept like no other gets the list") {
  check("strange_concept");
}
TEST_CASE("without any header the one to include is named") {
  check("no_include");
}
TEST_CASE("a type before auto is explained") {
  check("type_with_auto");
}
TEST_CASE("a concept without auto keeps clang's words") {
  check("concept_without_auto");
}
TEST_CASE("an entry point that returns nothing is told what to return") {
  check("wrong_result");
}
TEST_CASE("an entry point whose task gives a value nobody takes is told so") {
  check("wrong_task");
}
TEST_CASE("classes, copies and nameless devices are refused") {
  check("concrete_device");
}
TEST_CASE("packs, concepts with arguments and unused template parameters are refused") {
  check("more_unsupported");
}
TEST_CASE("copied options and pointers to devices are refused") {
  check("options_by_value");
}
TEST_CASE("two option structs are refused") {
  check("two_option_structs");
}
TEST_CASE("an option whose type cannot be read lists those that can") {
  check("option_type");
}
TEST_CASE("two options of one name are refused") {
  check("option_clash");
}
TEST_CASE("an error of C++ is clang's, with its fix, and the others are counted") {
  check("cpp_error");
}
TEST_CASE("a missing header is clang's error") {
  check("missing_header");
}
TEST_CASE("an error inside a template shows who asked for it") {
  check("static_assertion");
}

TEST_CASE("option structs of devices are read by name") {
  compare("option_structs",
          shown(read_option_structs(input_of("simple"),
                                    {{"morgana::net::direct_stack_options", "morgana/net/direct_stack.hpp"},
                                     {"net::direct_stack<int>::options", "morgana/net/direct_stack.hpp"}})));
}
TEST_CASE("a mistyped option struct of a device is named") {
  compare("option_struct_name",
          shown(read_option_structs(input_of("simple"),
                                    {{"net::direct_stack_options", "morgana/net/direct_stack.hpp"},
                                     {"net::direct_stack_option", "morgana/net/direct_stack.hpp"}})));
}
TEST_CASE("a missing header of a device's options is named") {
  compare("option_struct_header",
          shown(read_option_structs(input_of("simple"), {{"net::x", "morgana/net/stak.hpp"}})));
}
TEST_CASE("an option struct that is only declared is refused") {
  compare("option_struct_incomplete",
          shown(read_option_structs(input_of("simple"),
                                    {{"net::only_declared", "morgana/net/direct_stack.hpp"}})));
}
