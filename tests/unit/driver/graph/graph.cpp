#include <catch2/catch.hpp>

#include "tests/unit/driver/graph/fixture.hpp"

using namespace morgana::driver;
using namespace morgana::driver::test;

TEST_CASE("an application without devices has an empty graph") {
  auto const graph = resolved(scene{});
  CHECK(graph.nodes.empty());
  CHECK(graph.unused.empty());
}

TEST_CASE("the only candidate is taken") {
  auto const graph =
      resolved({.devices = entry("socket", "net::stack"), .parameters = {{"network", "net::stack"}}});
  CHECK(outline(graph) == "network = socket : T_socket [start network] <- network\n");
}

TEST_CASE("of several candidates the default is taken") {
  auto const graph = resolved(
      {.devices = entry("a", "kv") + entry("b", "kv", "default = true"), .parameters = {{"data", "kv"}}});
  CHECK(outline(graph) == "data = b : T_b [start data] <- data\n");
}

TEST_CASE("candidates of other targets do not count") {
  auto const devices = entry("a", "kv", "targets = [\"xen-*\"]") + entry("b", "kv", "targets = [\"unix\"]");
  CHECK(outline(resolved({.devices = devices, .parameters = {{"data", "kv"}}})) ==
        "data = b : T_b [start data] <- data\n");
}

TEST_CASE("a choice wins over the default: the command line over the target over the general part") {
  auto const devices =
      entry("a", "kv", "default = true") + entry("b", "kv") + entry("c", "kv") + entry("d", "kv");
  scene all{.devices = devices, .parameters = {{"data", "kv"}}};
  all.app = "[devices.data]\nuse = \"b\"\n";
  CHECK(outline(resolved(all)) == "data = b : T_b [start data] <- data\n");
  all.app += "[target.unix.devices.data]\nuse = \"c\"\n[target.sim.devices.data]\nuse = \"a\"\n";
  CHECK(outline(resolved(all)) == "data = c : T_c [start data] <- data\n");
  all.command_line = {{"data.use", "d"}};
  CHECK(outline(resolved(all)) == "data = d : T_d [start data] <- data\n");
}

TEST_CASE("needs are resolved inwards, named by their chain, and come first") {
  auto const devices = entry("direct", "net::stack", needs({{"device", "net::device"}, {"clock", "clock"}}),
                             "direct<{device}, {clock}>") +
                       entry("tap", "net::device", needs({{"clock", "clock"}}), "tap<{clock}>") +
                       entry("monotonic", "clock");
  auto const graph = resolved({.devices = devices, .parameters = {{"network", "net::stack"}}});
  CHECK(outline(graph) ==
        "network_device_clock = monotonic : T_monotonic [start network device clock]\n"
        "network_device = tap : tap<T_monotonic> [start network device] (clock=0)\n"
        "network = direct : direct<tap<T_monotonic>, T_monotonic> [start network] (device=1 clock=0) <- "
        "network\n");
}

TEST_CASE("inner nodes are chosen and set by their own names") {
  auto const devices = entry("direct", "net::stack", needs({{"device", "net::device"}}), "direct<{device}>") +
                       entry("tap", "net::device", "config = { mtu = { type = \"uint\", default = 1500 } }",
                             "tap<{config.mtu}>") +
                       entry("fd", "net::device");
  auto const graph = resolved({.devices = devices,
                               .parameters = {{"network", "net::stack"}},
                               .app = "[devices.network_device]\nuse = \"tap\"\nmtu = 9000\n"});
  CHECK(outline(graph) ==
        "network_device = tap : tap<9000> [start network device] mtu=9000\n"
        "network = direct : direct<tap<9000>> [start network] (device=0) <- network\n");
}

TEST_CASE("parameters of the same identity share one node") {
  auto const devices =
      entry("file", "kv", "config = { folder = { type = \"path\" } }") + entry("clock", "clock");
  scene all{.devices = devices, .parameters = {{"a", "kv"}, {"b", "kv"}, {"c", "kv"}}};
  all.app = "[devices.a]\nfolder = \"x/\"\n[devices.b]\nfolder = \"./x\"\n[devices.c]\nfolder = \"y\"\n";
  CHECK(outline(resolved(all)) ==
        "a = file : T_file [start a] folder=x <- a b\n"
        "c = file : T_file [start c] folder=y <- c\n");
}

TEST_CASE("an exclusive implementation gives each parameter its own node, and so does what stands on it") {
  auto const devices = entry("direct", "net::stack", needs({{"device", "net::device"}})) +
                       entry("tap", "net::device", "exclusive = true");
  auto const graph =
      resolved({.devices = devices, .parameters = {{"lan", "net::stack"}, {"wan", "net::stack"}}});
  CHECK(outline(graph) ==
        "lan_device = tap : T_tap [start lan device]\n"
        "lan = direct : T_direct [start lan] (device=0) <- lan\n"
        "wan_device = tap : T_tap [start wan device]\n"
        "wan = direct : T_direct [start wan] (device=2) <- wan\n");
}

TEST_CASE("decorators stand around a device in the order of wrap, the last outermost") {
  auto const devices =
      entry("tap", "net::device") +
      entry("pcap", "net::device",
            needs({{"inner", "net::device"}}) +
                "\nwraps = \"net::device\"\nconfig = { file = { type = \"path\", default = \"x.pcap\" } }",
            "pcap<{inner}, {config.file}>") +
      entry("faults", "net::device",
            needs({{"clock", "clock"}, {"of", "net::device"}}) + "\nwraps = \"net::device\"",
            "faults<{of}>") +
      entry("direct", "net::stack", needs({{"device", "net::device"}}), "direct<{device}>") +
      entry("monotonic", "clock");
  scene all{.devices = devices, .parameters = {{"network", "net::device"}}};
  all.app = "[devices.network]\nwrap = \"pcap, faults\"\n[devices.network_pcap]\nfile = \"lan.pcap\"\n";
  CHECK(outline(resolved(all)) ==
        "network = tap : T_tap [start network_faults network_pcap network]\n"
        "network_pcap = pcap : pcap<T_tap, \"lan.pcap\"> [start network_faults network_pcap] (inner=0) "
        "file=lan.pcap\n"
        "network_faults_clock = monotonic : T_monotonic [start network_faults clock]\n"
        "network_faults = faults : faults<pcap<T_tap, \"lan.pcap\">> [start network_faults] (clock=2 of=1) "
        "<- network\n");

  SECTION("around an inner device, too") {
    all.parameters = {{"network", "net::stack"}};
    all.app = "[devices.network_device]\nwrap = [\"pcap\"]\n";
    CHECK(outline(resolved(all)) ==
          "network_device = tap : T_tap [start network network_device_pcap device]\n"
          "network_device_pcap = pcap : pcap<T_tap, \"x.pcap\"> [start network network_device_pcap] "
          "(inner=0) file=x.pcap\n"
          "network = direct : direct<pcap<T_tap, \"x.pcap\">> [start network] (device=1) <- network\n");
  }
  SECTION("and the command line can take them off") {
    all.command_line = {{"network.wrap", ""}};
    all.app = "[devices.network]\nwrap = \"pcap\"\n";
    CHECK(outline(resolved(all)) == "network = tap : T_tap [start network] <- network\n");
  }
  SECTION("alone they are no candidates") {
    all.app = "";
    CHECK(outline(resolved(all)) == "network = tap : T_tap [start network] <- network\n");
  }
}

TEST_CASE("a device chosen by name may stand on another of its kind") {
  auto const devices =
      entry("partition", "block",
            needs({{"disk", "block"}}) + "\nconfig = { number = { type = \"uint\", default = 1 } }") +
      entry("file", "block");
  auto const graph = resolved(
      {.devices = devices,
       .parameters = {{"data", "block"}},
       .app = "[devices]\ndata.use = \"partition\"\ndata_disk = { use = \"partition\", number = 2 }\n"
              "data_disk_disk.use = \"file\"\n"});
  CHECK(outline(graph) ==
        "data_disk_disk = file : T_file [start data disk disk]\n"
        "data_disk = partition : T_partition [start data disk] (disk=0) number=2\n"
        "data = partition : T_partition [start data] (disk=1) number=1 <- data\n");
}

TEST_CASE("settings reach the C++ type as the C++ value of their kind") {
  auto const devices =
      entry("x", "kv", R"(
[device.config]
on = { type = "boolean", default = true }
size = { type = "size", default = "1 KiB" }
mode = { type = "text", values = ["mode::fast"], default = "mode::fast" }
title = { type = "text", default = 'say "hi"\ there' }
folder = { type = "path", default = "a/b" })",
            "x<{config.on}, {config.size}, {config.mode}, {config.title}, {config.folder}>{{}}");
  auto const graph = resolved({.devices = devices, .parameters = {{"data", "kv"}}});
  CHECK(graph.nodes[0].type == R"(x<true, 1024, mode::fast, "say \"hi\"\\ there", "a/b">{})");
}

TEST_CASE("a text setting cannot leave its literal") {
  auto const devices = entry("x", "kv", "config = { t = { type = \"text\" } }", "x<{config.t}>");
  auto const graph = resolved(
      {.devices = devices, .parameters = {{"data", "kv"}}, .command_line = {{"data.t", "a\"; \n\x01{b}"}}});
  CHECK(graph.nodes[0].type == "x<\"a\\\"; \\012\\001{b}\">");
}

TEST_CASE("a generated type is named after its node") {
  auto const devices = entry(
      "embedded", "kv",
      "config = { folder = { type = \"path\" } }\ngenerate = { kind = \"embed_folder\", from = \"folder\" }",
      "{generated}");
  auto const graph = resolved({.devices = devices,
                               .parameters = {{"htdocs", "kv"}},
                               .app = "[devices.htdocs]\nfolder = \"htdocs\"\n"});
  CHECK(graph.nodes[0].type == "morgana::app::embedded_htdocs");
  CHECK(graph.nodes[0].config.at("folder") == "htdocs");
}

TEST_CASE("what the command line says and no device takes is handed on") {
  auto const devices =
      entry("socket", "net::stack", "config = { mtu = { type = \"uint\", default = 1500 } }");
  auto const graph = resolved({.devices = devices,
                               .parameters = {{"network", "net::stack"}},
                               .command_line = {{"network.use", "socket"},
                                                {"network.mtu", "9000"},
                                                {"network.ipv4", "10.0.0.1"},
                                                {"port", "80"}}});
  CHECK(graph.nodes[0].config.at("mtu") == "9000");
  std::string unused;
  for (auto const& [name, value] : graph.unused) unused += name + "=" + value.value + " ";
  CHECK(unused == "network.ipv4=10.0.0.1 port=80 ");
}

TEST_CASE("a general setting of an implementation that the target replaces is passed over") {
  auto const devices =
      entry("embedded", "kv", "config = { folder = { type = \"path\" } }") + entry("memory", "kv");
  auto const graph = resolved({.devices = devices,
                               .parameters = {{"data", "kv"}},
                               .app = "[devices.data]\nuse = \"embedded\"\nfolder = "
                                      "\"x\"\n[target.unix.devices.data]\nuse = \"memory\"\n"});
  CHECK(outline(graph) == "data = memory : T_memory [start data] <- data\n");
}

TEST_CASE("a general choice for an inner node that only another target has is passed over") {
  auto const devices =
      entry("socket", "net::stack", "targets = [\"unix\"]") +
      entry("direct", "net::stack", needs({{"device", "net::device"}}) + "\ntargets = [\"xen-*\"]");
  auto const graph = resolved({.devices = devices,
                               .parameters = {{"network", "net::stack"}},
                               .app = "[devices.network_device]\nuse = \"netfront\"\n"});
  CHECK(outline(graph) == "network = socket : T_socket [start network] <- network\n");
}

TEST_CASE("a parameter keeps its name when an inner node would have the same") {
  auto const devices = entry("direct", "net::stack", needs({{"device", "net::device"}})) +
                       entry("tap", "net::device", "exclusive = true");
  auto const graph = resolved(
      {.devices = devices, .parameters = {{"network", "net::stack"}, {"network_device", "net::device"}}});
  CHECK(outline(graph) ==
        "network_device_ = tap : T_tap [start network device]\n"
        "network = direct : T_direct [start network] (device=0) <- network\n"
        "network_device = tap : T_tap [start network_device] <- network_device\n");
}

TEST_CASE("providers are listed for each target, decorators left out") {
  auto const all = parse_catalogue(entry("a", "kv", "targets = [\"unix\"]") + entry("b", "kv") +
                                       entry("c", "kv", needs({{"of", "kv"}}) + "\nwraps = \"kv\""),
                                   "d.toml");
  REQUIRE(all);
  std::vector<known_provider> known;
  add_providers(known, *all, "unix");
  add_providers(known, *all, "sim");
  std::string shown;
  for (auto const& one : known) shown += one.target + ":" + one.implementation + " ";
  CHECK(shown == "unix:a unix:b sim:b ");
}

TEST_CASE("the graph as DOT") {
  auto const devices =
      entry("direct", "net::stack", needs({{"device", "net::device"}})) +
      entry("tap", "net::device", "config = { name = { type = \"text\", default = 'a\"b' } }");
  scene const all{.devices = devices, .parameters = {{"network", "net::stack"}, {"raw", "net::device"}}};
  CHECK(to_dot(resolved(all), requirements_of(all)) == R"dot(digraph "::start" {
  rankdir=LR;
  node [shape=box];
  start [shape=ellipse, label="::start()"];
  "node_network_device" [label="network_device\ntap\nnet::device\nname = a\"b"];
  "node_network" [label="network\ndirect\nnet::stack"];
  start -> "node_network" [label="network"];
  start -> "node_network_device" [label="raw"];
  "node_network" -> "node_network_device" [label="device"];
}
)dot");
}
