// The strict reader by itself, as the lock and recipes use it.
#include <catch2/catch.hpp>

#include "morgana/driver/toml.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"

using namespace morgana::driver;
using morgana::driver::test::complaints;

namespace {

toml_document parsed(std::string_view text) {
  auto result = toml_document::parse(text, "f.toml");
  INFO(complaints(result));
  REQUIRE(result);
  return std::move(*result);
}

}  // namespace

TEST_CASE("what was asked for is known, and only that") {
  auto document = parsed("port = 1\nprot = 2\n[tables]\nd = 3\n[[e]]\nf = 4\n");
  auto root = document.root();
  CHECK(root.integer("port") == 1);
  CHECK_FALSE(root.table("table"));
  CHECK(complaints(document.take_diagnostics()) ==
        "2:1+4 unknown-name: unknown key `prot`\n  help: did you mean `port`?\n"
        "3:2+6 unknown-name: unknown key `tables`\n  help: did you mean `table`?\n"
        "5:3+1 unknown-name: unknown key `e`\n  help: remove it; the keys here are `port`, `table`\n");
}

TEST_CASE("a table that is opened is strict, too, unless everything is allowed") {
  auto document = parsed("[c]\nd = 3\n[e]\nf = 4\n");
  auto root = document.root();
  REQUIRE(root.table("c"));
  root.table("e")->allow_all();
  CHECK(complaints(document.take_diagnostics()) ==
        "2:1+1 unknown-name: unknown key `d` in [c]\n  help: remove it\n");
}

TEST_CASE("reading goes on after a mistake and finish gives all of them in the order of the file") {
  auto document = parsed("c = 1\nb = \"x\"\na = true\n");
  auto root = document.root();
  CHECK(root.boolean("a") == true);
  CHECK_FALSE(root.integer("b"));
  CHECK(root.require_text("c").value.empty());
  auto const result = document.finish(5);
  REQUIRE_FALSE(result);
  REQUIRE(result.error().size() == 2);
  CHECK(result.error()[0].where->line == 1);
  CHECK(result.error()[1].where->line == 2);
}

TEST_CASE("finish gives the value when nothing is wrong") {
  auto document = parsed("a = 1\n");
  CHECK(document.root().integer("a") == 1);
  CHECK(document.finish(std::string("value")) == std::string("value"));
}

TEST_CASE("scalars come as they would be typed") {
  auto document = parsed("a = 0x10\nb = true\nc = 1.50\nd = \"x\"\ne = -inf\nf = 1_000\n");
  auto root = document.root();
  CHECK(root.scalar("a")->value == "16");
  CHECK(root.scalar("b")->value == "true");
  CHECK(root.scalar("c")->value == "1.5");
  CHECK(root.scalar("d")->value == "x");
  CHECK(root.scalar("e")->value == "-inf");
  CHECK(root.scalar("f")->value == "1000");
}

TEST_CASE("keys come in the order of the file") {
  auto document = parsed("z = 1\na = 2\nm.x = 3\n[b]\n");
  std::string all;
  for (auto const& key : document.root().keys()) all += key.value;
  CHECK(all == "zamb");
}

TEST_CASE("paths and places name the table") {
  auto document = parsed("[a.b]\nx = 1\n[[c]]\n[[c]]\n");
  auto root = document.root();
  auto const inner = root.table("a")->table("b");
  CHECK(inner->path() == "a.b");
  CHECK(inner->where() == source_location{"f.toml", 1, 1, 5});
  auto const entries = root.tables("c");
  REQUIRE(entries.size() == 2);
  CHECK(entries[1].path() == "c[2]");
  CHECK(entries[1].where().line == 4);
  CHECK(inner->where("x") == source_location{"f.toml", 2, 5, 1});
  CHECK(inner->where_key("x") == source_location{"f.toml", 2, 1, 1});
  CHECK(inner->where("nothing") == inner->where());
}

TEST_CASE("a schema that is not supported ends the reading without further complaints") {
  auto document = parsed("schema = 3\nnew = 1\n");
  CHECK_FALSE(document.root().require_schema(1, "lock-schema"));
  CHECK(complaints(document.finish(0)) ==
        "1:10+1 lock-schema: the file has schema 3, this morgana reads schema 1\n  help: upgrade morgana\n");
}

TEST_CASE("an older schema asks for a new file, a missing one for the key") {
  auto old = parsed("schema = 1\n");
  CHECK_FALSE(old.root().require_schema(2, "lock-schema"));
  CHECK(complaints(old.finish(0)) ==
        "1:10+1 lock-schema: the file has schema 1, this morgana reads schema 2\n  help: rewrite the file "
        "for schema 2\n");
  auto none = parsed("");
  CHECK(none.root().require_schema(2, "lock-schema"));
  CHECK(complaints(none.finish(0)) == "0:0+1 missing-name: `schema` is missing\n  help: add `schema = 2`\n");
}

TEST_CASE("dots and brackets in strings and comments nest nothing") {
  std::string const many(200, '.');
  std::string const open(200, '[');
  auto const text = "a = \"" + many + open + "\\\"" + open + "\"\nb = '" + many + open + "\\'\nc = \"\"\"\n" +
                    open + "\n" + many + "\"\"\"\nd = '''" + open + "\n'''\n# " + many + open + "\n";
  CHECK(toml_document::parse(text, "f"));
}

TEST_CASE("hostile nesting is refused whatever it is made of") {
  auto const refused = [](std::string const& text) {
    auto const result = toml_document::parse(text, "f");
    return !result && result.error().size() == 1 && result.error()[0].code == "wrong-toml";
  };
  std::string dotted = "a";
  for (int i = 0; i < 100'000; ++i) dotted += ".a";
  CHECK(refused(dotted + " = 1\n"));
  CHECK(refused("[" + dotted + "]\n"));
  CHECK(refused("x = { " + dotted + " = 1 }\n"));
  CHECK(refused("x = " + std::string(100'000, '[')));
  CHECK(refused("x = \"open\n" + dotted + " = 1\n"));
  CHECK(refused(std::string((4u << 20) + 1, ' ')));
}

TEST_CASE("what toml++ holds for impossible is one error, too") {
  for (auto const* text : {"[[[a]]\n", "\xc6\x8a = 1\n", "a\xc6\x8a = 1\n", "a = 12\xc6\x8a\n",
                           "[[a]]\xd0\x9f\n", "a.\xc3\xbf = 1\n"}) {
    INFO(text);
    auto const result = toml_document::parse(text, "f");
    REQUIRE_FALSE(result);
    CHECK(result.error().size() == 1);
    CHECK(result.error()[0].code == "wrong-toml");
    CHECK(result.error()[0].where->line == 1);
  }
}
