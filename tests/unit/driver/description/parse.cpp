#include <catch2/catch.hpp>

#include "morgana/driver/description.hpp"
#include "morgana/driver/toml.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using morgana::driver::test::complaints;
using morgana::test::scratch_folder;

namespace {

std::vector<std::string> values(std::vector<located_string> const& all) {
  std::vector<std::string> result;
  for (auto const& one : all) result.push_back(one.value);
  return result;
}

using list = std::vector<std::string>;

}  // namespace

TEST_CASE("the smallest description is a name") {
  auto const read = parse_description("name = \"hello\"\n", "/app/unikernel.toml");
  REQUIRE(read);
  CHECK(read->name == located_string{"hello", {"/app/unikernel.toml", 1, 8, 7}});
  CHECK(read->folder == "/app");
  CHECK(read->file == "/app/unikernel.toml");
  CHECK(read->entry.value == "unikernel.hpp");
  CHECK(read->devices.empty());
}

TEST_CASE("every key of a description is read, with its place") {
  auto const read = parse_description(R"(name = "website"
entry = "app.hpp"
sources = ["src/*.cpp", "main.cpp"]
include = ["include"]
packages = ["morgana-http", "zlib >= 1.2"]
repositories = ["overlay"]
catalogues = ["devices.toml"]

[devices.htdocs]
use = "embedded"
folder = "htdocs"
compress = true
blocks = 4096

[devices.network]
wrap = ["pcap", "faults"]

[choices.morgana-http]
parser = false

[options]
port = 8080
"network.ipv4" = "10.0.0.2/24"
network.gateway = "10.0.0.1"
ratio = 1.5

[target.unix]
memory = "64 MiB"
static = true
[target.unix.devices.htdocs]
use = "folder"
[target.unix.options]
port = 80

[budgets]
image = "256 KiB"
)",
                                      "/app/unikernel.toml");
  INFO(complaints(read));
  REQUIRE(read);
  CHECK(read->entry.value == "app.hpp");
  CHECK(values(read->sources) == list{"src/*.cpp", "main.cpp"});
  CHECK(values(read->include) == list{"include"});
  CHECK(values(read->packages) == list{"morgana-http", "zlib >= 1.2"});
  CHECK(read->packages[1].where == source_location{"/app/unikernel.toml", 5, 29, 13});
  CHECK(values(read->repositories) == list{"overlay"});
  CHECK(values(read->catalogues) == list{"devices.toml"});

  auto const& choice = read->package_choices.at("morgana-http");
  CHECK(choice.package.where.line == 18);
  CHECK(choice.settings.at("parser").value == "false");

  auto const& htdocs = read->devices.at("htdocs");
  CHECK(htdocs.parameter == located_string{"htdocs", {"/app/unikernel.toml", 9, 10, 6}});
  REQUIRE(htdocs.use);
  CHECK(htdocs.use->value == "embedded");
  CHECK(htdocs.settings.size() == 3);
  CHECK(htdocs.settings.at("folder").value == "htdocs");
  CHECK(htdocs.settings.at("folder").where.column == 10);
  CHECK(htdocs.settings.at("folder").where_name == source_location{"/app/unikernel.toml", 11, 1, 6});
  CHECK(htdocs.settings.at("compress").value == "true");
  CHECK(htdocs.settings.at("blocks").value == "4096");
  CHECK_FALSE(read->devices.at("network").use);
  CHECK(read->devices.at("network").settings.at("wrap").value == "pcap,faults");

  CHECK(read->options.size() == 4);
  CHECK(read->options.at("port").value == "8080");
  CHECK(read->options.at("network.ipv4").value == "10.0.0.2/24");
  CHECK(read->options.at("network.gateway").value == "10.0.0.1");
  CHECK(read->options.at("ratio").value == "1.5");

  auto const& on_unix = read->targets.at("unix");
  CHECK(on_unix.target.where.line == 27);
  CHECK(on_unix.settings.size() == 2);
  CHECK(on_unix.settings.at("memory").value == "64 MiB");
  CHECK(on_unix.settings.at("static").value == "true");
  CHECK(on_unix.devices.at("htdocs").use->value == "folder");
  CHECK(on_unix.options.at("port").value == "80");
  CHECK(read->budgets.at("image").value == "256 KiB");
}

TEST_CASE("places count bytes") {
  auto const read = parse_description("name = \"a\"\npackages = [ \"ä漢\", \"b\" ]\n", "f");
  REQUIRE(read);
  CHECK(read->packages[1].where == source_location{"f", 2, 23, 3});
}

TEST_CASE("a size is bytes or a binary unit") {
  CHECK(parse_size("4096") == 4096u);
  CHECK(parse_size("64 KiB") == 65536u);
  CHECK(parse_size("64KiB") == 65536u);
  CHECK(parse_size("16 MiB") == 16u << 20);
  CHECK(parse_size("1 GiB") == 1u << 30);
  CHECK(parse_size("0") == 0u);
  CHECK(parse_size("18446744073709551615") == 18446744073709551615u);
  for (auto const* wrong : {"", " ", "KiB", "1 KB", "1 kib", "-1", "1.5 MiB", "1 MiB ", " 1",
                            "18446744073709551616", "16777216 TiB", "1 ", "0x10", "1 KiBx"}) {
    INFO(wrong);
    CHECK_FALSE(parse_size(wrong));
  }
}

TEST_CASE("a description is found by its folder or its own name") {
  scratch_folder const folder;
  auto const file = folder.write("app/unikernel.toml", "name = \"hello\"\n");
  for (auto const& path : {folder.path() / "app", folder.path() / "app/", folder.path() / "app/.", file}) {
    INFO(path);
    auto const read = read_description(path);
    REQUIRE(read);
    CHECK(read->file == file);
    CHECK(read->folder == folder.path() / "app");
    CHECK(read->name.where.file == file);
  }
}

TEST_CASE("without a description the error says where it looked and what to do") {
  scratch_folder const folder;
  auto const at = [&](std::filesystem::path const& path) { return complaints(read_description(path)); };
  std::filesystem::create_directories(folder.path() / "empty");
  auto const base = folder.path().string();
  CHECK(at(folder.path() / "empty") == "- no-description: there is no unikernel.toml in " + base +
                                           "/empty\n  help: `morgana new NAME` makes a new application\n");
  CHECK(at(folder.path() / "nowhere") ==
        "- no-description: there is nothing at " + base +
            "/nowhere\n  help: `morgana new NAME` makes a new application\n");
  SECTION("an application above is named") {
    folder.write("unikernel.toml", "name = \"a\"\n");
    CHECK(at(folder.path() / "empty") ==
          "- no-description: there is no unikernel.toml in " + base +
              "/empty\n  note (0:0): an application was found above\n  help: name its folder: " + base +
              "\n  help: `morgana new NAME` makes a new application\n");
  }
  SECTION("another file is no description") {
    CHECK(at(folder.write("unikernel.hpp", "")) ==
          "- no-description: " + base +
              "/unikernel.hpp is no description\n  help: name the folder that holds unikernel.toml, or that "
              "file\n"
              "  help: `morgana new NAME` makes a new application\n");
  }
}

TEST_CASE("a description that cannot be read says why") {
  scratch_folder const folder;
  std::filesystem::create_directories(folder.path() / "unikernel.toml");
  CHECK(complaints(read_description(folder.path())) ==
        "0:0+1 unreadable-file: cannot read the file: it is not a file\n  help: name a file\n");
  CHECK(complaints(read_text_file(folder.path() / "x")) ==
        "0:0+1 unreadable-file: cannot read the file: it does not exist\n  help: create it, or correct its "
        "name\n");
  folder.write("big", std::string((4u << 20) + 1, 'x'));
  CHECK(complaints(read_text_file(folder.path() / "big")) ==
        "0:0+1 unreadable-file: cannot read the file: it is larger than 4 MiB\n  help: divide it into "
        "several files\n");
  CHECK(complaints(read_text_file("/dev/zero")) ==
        "0:0+1 unreadable-file: cannot read the file: it is not a file\n  help: name a file\n");
}
