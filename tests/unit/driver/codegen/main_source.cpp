#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "morgana/driver/codegen.hpp"

using namespace morgana::driver;

namespace {

std::string read(std::string const& name) {
  std::ifstream in(std::string(MORGANA_TEST_DATA) + "/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// With MORGANA_UPDATE_GOLDEN set the file is written instead.
void check_golden(std::string const& text, std::string const& name) {
  if (std::getenv("MORGANA_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(std::string(MORGANA_TEST_DATA) + "/" + name) << text;
  }
  CHECK(text == read(name));
}

option_field field(std::string name, std::string type, std::string help = {}) {
  option_field out;
  out.name.value = name;
  out.flag = name;
  out.type = type;
  out.declared_type = type;
  out.documentation = std::move(help);
  return out;
}

graph_node node(std::string name, std::string concept_name, std::string implementation, std::string type,
                std::string header) {
  graph_node out;
  out.name = name;
  out.implementation.name.value = std::move(implementation);
  out.implementation.provides.value = std::move(concept_name);
  out.implementation.header = std::move(header);
  out.implementation.where = {.file = "/data/plugins/unix/devices.toml", .line = 3};
  out.type = std::move(type);
  out.path = {"start", name};
  out.parameters = {name};
  return out;
}

/// A website with a fixed option of each kind.
struct website {
  website() {
    needs.qualified_start = "::start";
    needs.parameters = {{start_parameter::kind::device, "network"},
                        {start_parameter::kind::device, "htdocs"},
                        {start_parameter::kind::options, "opt"}};
    needs.options.emplace();
    needs.options->type.value = "options";
    needs.options->parameter = "opt";
    needs.options->generic = true;
    needs.options->fields = {field("port", "unsigned short", "Port to listen on."),
                             field("verbose", "bool", "Log every \"request\".")};
    graph.nodes = {
        node("network", "net::stack", "socket", "morgana::hosted::socket_stack",
             "morgana/hosted/socket_stack.hpp"),
        node("htdocs", "key_value_store", "embedded",
             "morgana::embedded_store<morgana::app::embedded_htdocs>", "morgana/storage/embedded_store.hpp")};
    graph.nodes[1].implementation.generate = generator_kind::embed_folder;
    option_struct of_network;
    of_network.type.value = "morgana::hosted::socket_stack_options";
    of_network.fields = {field("ipv4", "std::basic_string_view<char>", "Address."),
                         field("backlog", "unsigned int")};
    input = {.needs = &needs, .graph = &graph, .devices = {of_network, std::nullopt}};
    input.fixed = {
        {"verbose", {.value = "true", .where = {.file = "/app/unikernel.toml", .line = 12, .column = 3}}},
        {"network.backlog", {.value = "64"}}};
  }

  std::string text() {
    auto table = arrange_options(input);
    REQUIRE(table);
    return main_source({.name = "website",
                        .target = "unix",
                        .entry = "unikernel.hpp",
                        .needs = &needs,
                        .graph = &graph,
                        .options = &*table,
                        .base = "/app",
                        .bases = {"/data/plugins"}});
  }

  requirements needs;
  device_graph graph;
  options_input input;
};

}  // namespace

TEST_CASE("the generated main of a website reads as documented") {
  check_golden(website().text(), "website.txt");
}

namespace {

/// The website on a stack of which `ipv6` and `dhcp` say what there is.
struct chosen_website : website {
  chosen_website(std::string ipv6, std::string dhcp) {
    auto& network = graph.nodes[0];
    auto choice = [&](std::string const& name, std::vector<std::string> options, std::string value) {
      network.implementation.config[name] = {.name = {.value = name},
                                             .type = setting_type::boolean,
                                             .default_value = "true",
                                             .help = {},
                                             .values = {},
                                             .constant = "net::features::" + name,
                                             .options = std::move(options)};
      network.config[name] = std::move(value);
    };
    choice("ipv6", {"backlog"}, std::move(ipv6));
    choice("dhcp", {"ipv4=dhcp"}, std::move(dhcp));
    input.fixed.clear();
  }
};

}  // namespace

TEST_CASE("what the image has is written as constants, when it is not all") {
  CHECK(chosen_website("true", "true").text() == [] {
    website plain;
    plain.input.fixed.clear();
    return plain.text();
  }());
  auto const text = chosen_website("false", "true").text();
  CHECK(text.find("bool const morgana::net::features::dhcp = true;  // `dhcp` of `network`\n"
                  "bool const morgana::net::features::ipv6 = false;  // `ipv6` of `network`\n") != std::string::npos);
  CHECK(text.find("constexpr std::string_view left_out[] = {\n    \"network.backlog\",\n};") != std::string::npos);
  CHECK(text.find("    .left_out = left_out,\n") != std::string::npos);
  CHECK(text.find("(\"network.backlog\"") == std::string::npos);
}

TEST_CASE("an image without help has no text of it") {
  website app;
  auto table = arrange_options(app.input);
  REQUIRE(table);
  auto const text = main_source({.name = "website",
                                 .target = "unix",
                                 .entry = "unikernel.hpp",
                                 .needs = &app.needs,
                                 .graph = &app.graph,
                                 .options = &*table,
                                 .help = false,
                                 .base = "/app"});
  CHECK(text.find("bool const morgana::features::help = false;  // `help`\n") != std::string::npos);
  CHECK(text.find("Port to listen on.") == std::string::npos);
  CHECK(text.find("(\"port\", \"\")") != std::string::npos);
}

TEST_CASE("what the image has of a package is written whatever there is of devices") {
  website app;
  auto table = arrange_options(app.input);
  REQUIRE(table);
  auto const text = main_source({.name = "website",
                                 .target = "unix",
                                 .entry = "unikernel.hpp",
                                 .needs = &app.needs,
                                 .graph = &app.graph,
                                 .options = &*table,
                                 .constants = {{"http::features::parser", "false", "parser", "morgana-http"}},
                                 .base = "/app"});
  CHECK(text.find("namespace morgana::http::features { extern bool const parser; }\n"
                  "bool const morgana::http::features::parser = false;  // `parser` of `morgana-http`\n") !=
        std::string::npos);
}

TEST_CASE("an option of what the image lacks is one diagnostic at its place") {
  chosen_website app("false", "false");
  app.input.fixed = {{"network.backlog",
                      {.value = "64",
                       .where = {.file = "/app/unikernel.toml", .line = 9, .column = 11},
                       .where_name = {.file = "/app/unikernel.toml", .line = 9, .column = 1}}},
                     {"network.ipv4", {.value = "dhcp"}}};
  auto const table = arrange_options(app.input);
  REQUIRE(!table);
  REQUIRE(table.error().size() == 2);
  auto const& whole = table.error()[0];
  CHECK(whole.code == "option-left-out");
  CHECK(whole.message == "the image has no `network.backlog`: `ipv6` of `network` is false");
  CHECK(whole.where->line == 9);
  CHECK(whole.help == std::vector<std::string>{"remove it, or write `ipv6 = true` in [devices.network]"});
  auto const& value = table.error()[1];
  CHECK(value.message == "the image has no `network.ipv4=dhcp`: `dhcp` of `network` is false");
  CHECK(value.notes[0].message == "given on the command line: --network.ipv4=dhcp");
  app.input.fixed = {{"network.ipv4", {.value = "10.0.0.7/24"}}};
  CHECK(arrange_options(app.input));
}

TEST_CASE("an application without devices and options has an empty main") {
  requirements needs;
  needs.qualified_start = "::app::start";
  device_graph const graph;
  option_table const options;
  check_golden(main_source({.name = "noop",
                            .target = "unix",
                            .entry = "unikernel.hpp",
                            .needs = &needs,
                            .graph = &graph,
                            .options = &options}),
               "noop.txt");
}

TEST_CASE("a needed device is handed to the one that needs it, and no name clashes with the generated ones") {
  website app;
  app.input.fixed.clear();
  app.graph.nodes.insert(app.graph.nodes.begin(),
                         node("devices", "net::device", "tap", "morgana::tap", "tap.hpp"));
  app.graph.nodes[1].needs = {{"device", 0}};
  app.graph.nodes[1].path = {"start", "network"};
  app.input.devices.insert(app.input.devices.begin(), std::nullopt);
  auto const text = app.text();
  CHECK(text.find("auto devices_ = co_await devices.connect<devices_type>(") != std::string::npos);
  CHECK(text.find("connect<network_type>(\"start → network\", 10000ms, **devices_, chosen.network)") !=
        std::string::npos);
}

TEST_CASE("the text does not depend on where the application lies") {
  website here;
  auto const first = here.text();
  here.input.fixed["verbose"].where.file = "/somewhere/else/unikernel.toml";
  auto table = arrange_options(here.input);
  REQUIRE(table);
  CHECK(main_source({.name = "website",
                     .target = "unix",
                     .entry = "unikernel.hpp",
                     .needs = &here.needs,
                     .graph = &here.graph,
                     .options = &*table,
                     .base = "/somewhere/else",
                     .bases = {"/data/plugins"}}) == first);
}

TEST_CASE("an option that does not exist is one diagnostic with the nearest") {
  website app;
  app.input.fixed = {{"network.baklog", {.value = "64"}}};
  auto const table = arrange_options(app.input);
  REQUIRE(!table);
  REQUIRE(table.error().size() == 1);
  CHECK(table.error()[0].code == "unknown-name");
  CHECK(table.error()[0].help == std::vector<std::string>{"did you mean `network.backlog`?"});
}

TEST_CASE("an option cannot be fixed where start() takes the struct itself") {
  website app;
  app.needs.options->generic = false;
  auto const table = arrange_options(app.input);
  REQUIRE(!table);
  CHECK(table.error()[0].code == "option-not-fixable");
}

TEST_CASE("an option with a name that every unikernel has is a clash") {
  website app;
  app.needs.options->fields.push_back(field("log", "bool"));
  auto const table = arrange_options(app.input);
  REQUIRE(!table);
  CHECK(table.error()[0].code == "option-clash");
}

TEST_CASE("values are checked as the guest would") {
  auto problem = [](char const* type, char const* text) { return value_problem(field("x", type), text); };
  CHECK(problem("unsigned short", "65535").empty());
  CHECK(problem("unsigned short", "65536") == "expected a number from 0 to 65535");
  CHECK(problem("unsigned short", "-1") == "expected a number from 0 to 65535");
  CHECK(problem("unsigned short", "80 ") == "expected a number from 0 to 65535");
  CHECK(problem("signed char", "-128").empty());
  CHECK(problem("signed char", "-129") == "expected a number from -128 to 127");
  CHECK(problem("unsigned long", "18446744073709551615").empty());
  CHECK(!problem("unsigned long", "18446744073709551616").empty());
  CHECK(!problem("long", "9223372036854775808").empty());
  CHECK(problem("bool", "true").empty());
  CHECK(problem("bool", "yes") == "expected `true` or `false`");
  CHECK(problem("std::chrono::duration<long long, std::ratio<1, 1000>>", "250ms").empty());
  CHECK(problem("std::chrono::duration<long long, std::ratio<1, 1000>>", "2min").empty());
  CHECK(!problem("std::chrono::duration<long long, std::ratio<1, 1000>>", "2").empty());
  CHECK(!problem("std::chrono::duration<long long, std::ratio<1, 1000>>", "ms").empty());
  CHECK(!problem("std::chrono::duration<long long, std::ratio<1, 1000>>", "9999999999h").empty());
  CHECK(problem("app::colour", "anything").empty());
}

TEST_CASE("text becomes a literal that says the same") {
  CHECK(string_literal("a\"b\\c\n") == "\"a\\\"b\\\\c\\n\"");
  CHECK(string_literal(std::string_view("\0"
                                        "1",
                                        2)) == "\"\\0001\"");
  CHECK(string_literal("→") == "\"→\"");
}
