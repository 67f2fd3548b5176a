// What an image has of its packages.
#include "workspace/choices.hpp"

#include <catch2/catch.hpp>

using namespace morgana::driver;

namespace {

setting_declaration choice(std::string const& constant) {
  return {.name = {}, .type = setting_type::boolean, .default_value = "true", .help = {}, .values = {}, .constant = constant};
}

/// An image with the package `web`, which has two choices, and `core`, which has none; `tls` is not in it.
struct image {
  image() {
    recipe web, core, tls;
    web.name.value = "web";
    web.choices = {{"parser", choice("web::parser")}, {"gzip", choice("web::gzip")}};
    core.name.value = "core";
    tls.name.value = "tls";
    tls.choices = {{"old", choice("tls::old")}};
    for (auto const& one : {core, web}) packages.push_back({.what = one, .origin = "own", .source = {}, .source_sha256 = {}});
    repositories.push_back({.name = "own", .folder = {}, .revision = {}, .recipes = {web, core, tls}});
  }

  void write(std::string const& package, std::string const& name, std::string const& value) {
    source_location const where{.file = "/app/unikernel.toml", .line = 3, .column = 1};
    auto& one = app.package_choices[package];
    one.package = {package, where};
    one.settings[name] = {value, where, where};
  }

  [[nodiscard]] outcome<package_choices> chosen() const {
    return choose_in_packages(repositories, packages, app, command_line);
  }

  std::vector<repository> repositories;
  std::vector<chosen_package> packages;
  description app;
  std::map<std::string, std::string> command_line;
};

}  // namespace

TEST_CASE("an image has all of its packages, and nothing is written of it") {
  image const plain;
  auto const values = plain.chosen();
  REQUIRE(values);
  CHECK(*values == package_choices{{"web", {{"gzip", "true"}, {"parser", "true"}}}});
  CHECK(constants_of(plain.packages, *values).empty());
}

TEST_CASE("what is chosen of a package is written with all its choices; the command line wins") {
  image one;
  one.write("web", "parser", "true");
  one.write("web", "gzip", "false");
  one.command_line = {{"web.parser", "false"}, {"port", "80"}};
  auto const values = one.chosen();
  REQUIRE(values);
  auto const constants = constants_of(one.packages, *values);
  REQUIRE(constants.size() == 2);
  CHECK(constants[0].name == "web::gzip");
  CHECK(constants[0].value == "false");
  CHECK(constants[1].name == "web::parser");
  CHECK(constants[1].value == "false");
  CHECK(constants[1].owner == "web");
  CHECK(names_package_choice(one.repositories, "web.parser"));
  CHECK(names_package_choice(one.repositories, "tls.any"));
  CHECK_FALSE(names_package_choice(one.repositories, "webs.parser"));
  CHECK_FALSE(names_package_choice(one.repositories, "core.parser"));
}

TEST_CASE("a choice of a package that the image has not, or that there is not, is one diagnostic at its place") {
  image absent;
  absent.write("wbe", "parser", "false");
  auto const unknown = absent.chosen();
  REQUIRE(!unknown);
  REQUIRE(unknown.error().size() == 1);
  CHECK(unknown.error()[0].code == "unknown-package");
  CHECK(unknown.error()[0].message == "the image has no package `wbe`");
  CHECK(unknown.error()[0].where->line == 3);
  CHECK(unknown.error()[0].help[0] == "did you mean `web`?");

  image given;
  given.command_line = {{"tls.old", "false"}};
  auto const elsewhere = given.chosen();
  REQUIRE(!elsewhere);
  CHECK(elsewhere.error()[0].message == "the image has no package `tls`");
  CHECK(elsewhere.error()[0].notes[0].message == "given on the command line: --tls.old=false");
  CHECK(elsewhere.error()[0].help == std::vector<std::string>{"name it in `packages`, or remove this"});

  image wrong;
  wrong.write("web", "parsr", "false");
  wrong.write("core", "parser", "false");
  auto const settings = wrong.chosen();
  REQUIRE(!settings);
  REQUIRE(settings.error().size() == 2);
  CHECK(settings.error()[0].message == "package `core` has no setting `parser`");
  CHECK(settings.error()[1].message == "package `web` has no setting `parsr`");
  CHECK(settings.error()[1].help[0] == "did you mean `parser`?");
}
