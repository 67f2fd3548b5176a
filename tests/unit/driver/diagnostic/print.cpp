#include <catch2/catch.hpp>
#include <sstream>

#include "morgana/driver/diagnostic.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using morgana::test::scratch_folder;

namespace {

std::string text(diagnostic const& one, std::filesystem::path const& base,
                 color_choice color = color_choice::never) {
  std::ostringstream out;
  print_text(out, one, base, color);
  return out.str();
}

std::string json(diagnostic const& one) {
  std::ostringstream out;
  print_json(out, one);
  return out.str();
}

/// The source line and its marks only.
std::string snippet(scratch_folder const& folder, std::string_view line, std::uint32_t column,
                    std::uint32_t length) {
  auto const file = folder.write("f", std::string(line) + "\n");
  auto const all =
      text({.code = "c", .message = "m", .where = source_location{file, 1, column, length}}, folder.path());
  return all.substr(all.find('\n') + 1);
}

}  // namespace

TEST_CASE("a diagnostic is printed as clang does, with notes at their own places and help below") {
  scratch_folder const folder;
  auto const toml =
      folder.write("app/unikernel.toml", "name = \"website\"\n\n[devices.htdocs]\nfoldr = \"htdocs\"\n");
  auto const hpp = folder.write("app/unikernel.hpp", "task<> start(key_value_store auto& htdocs);\n");
  diagnostic const one{
      .code = "unknown-name",
      .message = "`embedded` has no setting `foldr`",
      .where = source_location{toml, 4, 1, 5},
      .notes = {{"start() is here", source_location{hpp, 1, 8, 5}}, {"a note without a place"}},
      .help = {"did you mean `folder`?", "`morgana devices embedded` lists its settings"}};
  CHECK(text(one, folder.path()) ==
        R"(app/unikernel.toml:4:1: error: `embedded` has no setting `foldr` [unknown-name]
    4 | foldr = "htdocs"
      | ^~~~~
app/unikernel.hpp:1:8: note: start() is here
    1 | task<> start(key_value_store auto& htdocs);
      |        ^~~~~
note: a note without a place
help: did you mean `folder`?
help: `morgana devices embedded` lists its settings
)");
}

TEST_CASE("a diagnostic without a place names the tool") {
  CHECK(text({.code = "unknown-target", .message = "there is no target `unx`"}, "/app") ==
        "morgana: error: there is no target `unx` [unknown-target]\n");
  CHECK(text({.code = "c", .message = "m", .where = source_location{}}, "/app") == "morgana: error: m [c]\n");
}

TEST_CASE("a place may be a whole file or a whole line") {
  scratch_folder const folder;
  auto const file = folder.write("a.toml", "x = 1\n");
  CHECK(text({.code = "c", .message = "m", .where = source_location{file}}, folder.path()) ==
        "a.toml: error: m [c]\n");
  CHECK(text({.code = "c", .message = "m", .where = source_location{file, 1, 0}}, folder.path()) ==
        "a.toml:1: error: m [c]\n    1 | x = 1\n");
}

TEST_CASE("warnings and notes say what they are") {
  CHECK(text({.code = "c", .message = "m", .level = severity::warning}, "") == "morgana: warning: m [c]\n");
  CHECK(text({.code = "c", .message = "m", .level = severity::note}, "") == "morgana: note: m [c]\n");
}

TEST_CASE("only paths below the base are shown relative to it") {
  auto const where = [](char const* file) {
    return diagnostic{.code = "c", .message = "m", .where = source_location{file}};
  };
  CHECK(text(where("/app/x/a.toml"), "/app") == "x/a.toml: error: m [c]\n");
  CHECK(text(where("/app/x/a.toml"), "/app/") == "x/a.toml: error: m [c]\n");
  CHECK(text(where("/application/a.toml"), "/app") == "/application/a.toml: error: m [c]\n");
  CHECK(text(where("/app/y/../x/a.toml"), "/app") == "x/a.toml: error: m [c]\n");
  CHECK(text(where("a.toml"), "/app") == "a.toml: error: m [c]\n");
}

TEST_CASE("a file that is gone, shorter now, or no file prints no source line") {
  scratch_folder const folder;
  auto const file = folder.write("a.toml", "x = 1\n");
  CHECK(text({.code = "c", .message = "m", .where = source_location{file, 9, 1}}, folder.path()) ==
        "a.toml:9:1: error: m [c]\n");
  CHECK(text({.code = "c", .message = "m", .where = source_location{folder.path() / "b", 1, 1}},
             folder.path()) == "b:1:1: error: m [c]\n");
  CHECK(text({.code = "c", .message = "m", .where = source_location{"/dev/zero", 1, 1}}, "/") ==
        "dev/zero:1:1: error: m [c]\n");
}

TEST_CASE("the marks stand below what they mean") {
  scratch_folder const folder;
  CHECK(snippet(folder, "name = \"x\"", 8, 3) == "    1 | name = \"x\"\n      |        ^~~\n");
  SECTION("after characters of several bytes") {
    CHECK(snippet(folder, "\"äöü\" = 5", 12, 1) == "    1 | \"äöü\" = 5\n      |         ^\n");
  }
  SECTION("on a character of several bytes, one mark") {
    CHECK(snippet(folder, "äb", 1, 2) == "    1 | äb\n      | ^\n");
  }
  SECTION("below wide characters, two marks each") {
    CHECK(snippet(folder, "漢字 x", 1, 6) == "    1 | 漢字 x\n      | ^~~~\n");
    CHECK(snippet(folder, "漢字 x", 8, 1) == "    1 | 漢字 x\n      |      ^\n");
  }
  SECTION("after tabs, which become spaces") {
    CHECK(snippet(folder, "\tx\ty", 4, 1) == "    1 |         x       y\n      |                 ^\n");
  }
  SECTION("at the end of the line") {
    CHECK(snippet(folder, "x =", 4, 1) == "    1 | x =\n      |    ^\n");
    CHECK(snippet(folder, "x =", 99, 7) == "    1 | x =\n      |    ^\n");
  }
  SECTION("not beyond the end of the line") {
    CHECK(snippet(folder, "x = 1", 5, 4'000'000'000u) == "    1 | x = 1\n      |     ^\n");
  }
  SECTION("with Windows' line ends") {
    CHECK(snippet(folder, "x = 1\r", 1, 1) == "    1 | x = 1\n      | ^\n");
  }
}

TEST_CASE("a long line is cut around the marks") {
  scratch_folder const folder;
  auto const shown = snippet(folder, std::string(500, 'a') + "ERROR" + std::string(500, 'b'), 501, 5);
  CHECK(shown == "    1 | ..." + std::string(40, 'a') + "ERROR" + std::string(75, 'b') + "...\n      |    " +
                     std::string(40, ' ') + "^~~~~\n");
}

TEST_CASE("nothing from a file or a message reaches the terminal as a command") {
  scratch_folder const folder;
  CHECK(snippet(folder, "a\x1b[2Jb\x7f\x80z", 9, 1) ==
        "    1 | a\\x1b[2Jb\\x7f\\x80z\n      |                  ^\n");
  auto const printed = text({.code = "c\n",
                             .message = "\x1b]0;title\x07 and \xe2\x80\xae reversed \xff\n",
                             .where = source_location{"/app/\x1b[31m.toml"},
                             .notes = {{"\r\t"}},
                             .help = {"\xc2\x9b 1m"}},
                            "/app");
  CHECK(printed ==
        "\\x1b[31m.toml: error: \\x1b]0;title\\x07 and \\u202e reversed \\xff\\n [c\\n]\n"
        "note: \\r\\t\nhelp: \\x9b 1m\n");
}

TEST_CASE("colour comes only when it is asked for") {
  diagnostic const one{.code = "c", .message = "m", .notes = {{"n"}}, .help = {"h"}};
  CHECK(text(one, "").find('\x1b') == std::string::npos);
  CHECK(text(one, "", color_choice::always) ==
        "\x1b[1mmorgana: \x1b[0m\x1b[1;31merror: \x1b[0m\x1b[1mm\x1b[0m [c]\n"
        "\x1b[1m\x1b[0m\x1b[1;36mnote: \x1b[0mn\n\x1b[1mhelp: \x1b[0mh\n");
}

TEST_CASE("JSON is one line with the places that exist") {
  CHECK(
      json({.code = "unknown-name",
            .message = "m",
            .where = source_location{"/app/a.toml", 4, 1, 5},
            .notes = {{"n", source_location{"/app/b.hpp", 2, 3}}, {"nowhere"}},
            .help = {"h1", "h2"}}) ==
      R"({"kind":"diagnostic","level":"error","code":"unknown-name","message":"m","file":"/app/a.toml","line":4,)"
      R"("column":1,"length":5,"notes":[{"message":"n","file":"/app/b.hpp","line":2,"column":3},{"message":"nowhere"}],)"
      R"("help":["h1","h2"]})"
      "\n");
  CHECK(json({.code = "c", .message = "m", .where = source_location{"/a"}, .level = severity::warning}) ==
        R"({"kind":"diagnostic","level":"warning","code":"c","message":"m","file":"/a","notes":[],"help":[]})"
        "\n");
}

TEST_CASE("JSON is ASCII whatever the input is") {
  CHECK(
      json({.code = "c", .message = "ä\x1b\n\xff"}) ==
      "{\"kind\":\"diagnostic\",\"level\":\"error\",\"code\":\"c\",\"message\":\"\\u00e4\\u001b\\n\\ufffd\","
      "\"notes\":[],\"help\":[]}\n");
}

TEST_CASE("the nearest name is a likely typing mistake or none") {
  CHECK(nearest("prot", {"port", "host"}) == "port");
  CHECK(nearest("foldr", {"file", "folder"}) == "folder");
  CHECK_FALSE(nearest("colour", {"name", "entry"}));
  CHECK_FALSE(nearest("port", {"port"}));
  CHECK_FALSE(nearest("x", {}));
  CHECK_FALSE(nearest("x", {"y"}));
  CHECK_FALSE(nearest("ab", {"ba", "abcd"}) == "abcd");
  CHECK(nearest("htdcos", {"htdocs"}) == "htdocs");
  CHECK_FALSE(nearest(std::string(1u << 20, 'a'), {std::string(1u << 20, 'b')}));
}
