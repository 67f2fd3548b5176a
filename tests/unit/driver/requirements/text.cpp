#include "driver/requirements/reader/text.hpp"

#include <catch2/catch.hpp>

using namespace morgana::driver;

namespace {

/// What stands where `marked` is first found in `text`.
std::string found(std::string_view text, std::string_view marked) {
  auto const constraint = constraint_at(text, text.find(marked));
  if (!constraint) return "nothing";
  return constraint->name + " at " + std::string(text.substr(constraint->offset, constraint->length));
}

}  // namespace

TEST_CASE("a name before auto is a constraint, from any of its parts") {
  constexpr std::string_view text = "task<> start(net:: stak auto& n);";
  CHECK(found(text, "net") == "net::stak at net:: stak");
  CHECK(found(text, "stak") == "net::stak at net:: stak");
  CHECK(found(text, "auto") == "net::stak at net:: stak");
  CHECK(found(text, "task") == "nothing");
  CHECK(found(text, "& n") == "nothing");
}

TEST_CASE("arguments of a constraint do not hide it") {
  CHECK(found("start(option_sett<a<b>> auto const& o)", "option") == "option_sett at option_sett");
  CHECK(found("start(option_set<optins> auto const& o)", "optins") == "nothing");
}

TEST_CASE("a leading :: belongs to the name, the type before it does not") {
  CHECK(found("int f(::net::stak auto& n)", "stak") == "::net::stak at ::net::stak");
}

TEST_CASE("a template head counts only before start") {
  CHECK(found("template <stak N, consle C = int>\ntask<> start(N& n, C& c);", "stak") == "stak at stak");
  CHECK(found("template <stak N, consle C = int>\ntask<> start(N& n, C& c);", "consle") ==
        "consle at consle");
  CHECK(found("template <size_tt N>\nstruct start_up {};\nvoid start();", "size_tt") == "nothing");
  CHECK(found("template <size_tt N>\nvoid restart();", "size_tt") == "nothing");
}

TEST_CASE("text that ends early holds no constraint") {
  CHECK(!constraint_at("", 0));
  CHECK(!constraint_at("stak", 0));
  CHECK(!constraint_at("auto", 0));
  CHECK(!constraint_at("stak", 99));
  CHECK(!constraint_at("a<<<<", 0));
  CHECK(!constraint_at("::auto", 2));
}

TEST_CASE("white space and comment marks leave one paragraph") {
  CHECK(one_line("  a \n\t b  ") == "a b");
  CHECK(one_paragraph(" \\brief Port.\n\n  More. ") == "Port. More.");
  CHECK(flag_of("max_age") == "max-age");
  CHECK(without_morgana("::morgana::net::stack") == "net::stack");
  CHECK(without_morgana("acme::sensor") == "acme::sensor");
}
