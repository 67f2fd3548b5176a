#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "morgana/driver/codegen.hpp"

using namespace morgana::driver;

namespace {

graph_node node(std::string name, attachment attached) {
  graph_node out;
  out.name = std::move(name);
  out.implementation.name.value = "some";
  out.implementation.provides.value = "a_concept";
  out.implementation.attached = attached;
  return out;
}

}  // namespace

TEST_CASE("what a runner attaches has a number among its kind, in the order of the devices") {
  device_graph graph;
  graph.nodes = {node("inner", attachment::network), node("log", attachment::none),
                 node("store", attachment::disk), node("outer", attachment::network)};
  option_table options;
  auto const text = manifest_text({.name = "gate",
                                   .target = "board",
                                   .driver_version = "1.2.3",
                                   .graph = &graph,
                                   .options = &options,
                                   .packages = {{"b", "2", ""}, {"a", "1", ""}}});
  auto const read = nlohmann::json::parse(text);
  CHECK(read["devices"][0]["slot"] == 0);
  CHECK(!read["devices"][1].contains("attached"));
  CHECK(read["devices"][2]["attached"] == "disk");
  CHECK(read["devices"][2]["slot"] == 0);
  CHECK(read["devices"][3]["slot"] == 1);
  CHECK(read["packages"][0]["name"] == "a");
  CHECK(text.find('\n') == text.npos);
}

TEST_CASE("the note needs no padding behind it, whatever the text's length") {
  for (std::string text : {"{}", "{1}", "{12}", "{123}"}) {
    auto const source = manifest_source(text);
    auto const at = source.find("text[");
    REQUIRE(at != source.npos);
    auto const bytes = std::stoul(source.substr(at + 5));
    CHECK(bytes % 4 == 0);
    CHECK(bytes > text.size());
    CHECK(source.find("8, " + std::to_string(bytes) + ", 1, \"Morgana\"") != source.npos);
  }
}
