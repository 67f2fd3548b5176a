// What makes a cached answer valid. The reader is wrapped in a script that counts its runs.
#include <catch2/catch.hpp>
#include <fstream>
#include <set>

#include "driver/requirements/cache.hpp"
#include "driver/requirements/reader_process.hpp"
#include "tests/unit/driver/requirements/support.hpp"

using namespace morgana::driver;
using namespace requirements_test;

namespace {

struct workshop {
  scratch_folder folder;
  requirement_input input;

  workshop() {
    std::filesystem::create_directories(folder.path() / "app");
    write("app/unikernel.hpp", "#include <morgana/app.hpp>\n#include \"needs.hpp\"\n");
    write("app/needs.hpp", "inline morgana::task<> start(morgana::console auto& out);\n");
    write("reader", fmt::format("#!/bin/sh\necho run >> '{}'\nexec '{}'\n", (folder.path() / "runs").string(),
                                default_reader().string()));
    std::filesystem::permissions(folder.path() / "reader", std::filesystem::perms::owner_all);
    input = input_of("simple");
    input.entry = folder.path() / "app/unikernel.hpp";
    input.cache = folder.path() / "cache";
    input.reader = folder.path() / "reader";
  }

  void write(std::string const& name, std::string_view text) const {
    std::ofstream(folder.path() / name, std::ios::binary) << text;
  }

  /// The concept of the only device; runs the reader when the cache has no answer.
  std::string read() const {
    auto const got = read_requirements(input);
    if (!got) return shown(got);
    return got->devices.at(0).concept_name.value;
  }

  std::size_t runs() const {
    std::ifstream file(folder.path() / "runs");
    std::size_t count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  }

  std::vector<std::filesystem::path> entries() const {
    std::vector<std::filesystem::path> found;
    for (auto const& one : std::filesystem::directory_iterator(input.cache)) found.push_back(one.path());
    return found;
  }
};

/// As if the file had been written an hour ago, so that its time alone is believed.
void age(std::filesystem::path const& file) {
  std::filesystem::last_write_time(file,
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
}

}  // namespace

TEST_CASE("a second reading asks nobody and gives the same") {
  workshop shop;
  auto const first = shown(read_requirements(shop.input));
  CHECK(first.find("console") != std::string::npos);
  CHECK(shown(read_requirements(shop.input)) == first);
  CHECK(shop.runs() == 1);
  CHECK(shop.entries().size() == 1);
}

TEST_CASE("without a cache folder every reading asks") {
  workshop shop;
  shop.input.cache.clear();
  CHECK(shop.read() == "console");
  CHECK(shop.read() == "console");
  CHECK(shop.runs() == 2);
}

TEST_CASE("a changed header that the entry point includes is read again") {
  workshop shop;
  bool const old = GENERATE(false, true);
  if (old) age(shop.folder.path() / "app/needs.hpp");
  CHECK(shop.read() == "console");
  shop.write("app/needs.hpp", "inline morgana::task<> start(morgana::net::stack auto& n);\n");
  CHECK(shop.read() == "net::stack");
  CHECK(shop.runs() == 2);
}

TEST_CASE("a change of equal length right after the first reading is seen") {
  workshop shop;
  CHECK(shop.read() == "console");
  auto const file = shop.folder.path() / "app/needs.hpp";
  auto const time = std::filesystem::last_write_time(file);
  shop.write("app/needs.hpp", "inline morgana::task<> start(morgana::console auto& abc);\n");
  // A file system with coarse times would show the same one.
  std::filesystem::last_write_time(file, time);
  REQUIRE(read_requirements(shop.input)->devices.at(0).name.value == "abc");
}

TEST_CASE("a header that was only touched is not read again") {
  workshop shop;
  age(shop.folder.path() / "app/needs.hpp");
  CHECK(shop.read() == "console");
  std::filesystem::last_write_time(shop.folder.path() / "app/needs.hpp",
                                   std::filesystem::file_time_type::clock::now());
  CHECK(shop.read() == "console");
  CHECK(shop.runs() == 1);
}

TEST_CASE("a header that is gone is not answered for") {
  workshop shop;
  CHECK(shop.read() == "console");
  std::filesystem::remove(shop.folder.path() / "app/needs.hpp");
  CHECK(shop.read().find("file not found") != std::string::npos);
}

TEST_CASE("going back to an older entry point finds its older answer") {
  workshop shop;
  shop.write("app/unikernel.hpp",
             "#include <morgana/app.hpp>\nmorgana::task<> start(morgana::console auto& out);\n");
  CHECK(shop.read() == "console");
  shop.write("app/unikernel.hpp",
             "#include <morgana/app.hpp>\nmorgana::task<> start(morgana::net::stack auto& n);\n");
  CHECK(shop.read() == "net::stack");
  CHECK(shop.runs() == 2);
  shop.write("app/unikernel.hpp",
             "#include <morgana/app.hpp>\nmorgana::task<> start(morgana::console auto& out);\n");
  CHECK(shop.read() == "console");
  CHECK(shop.runs() == 2);
}

TEST_CASE("other flags are another question") {
  workshop shop;
  shop.write("app/needs.hpp",
             "#ifdef WITH_STACK\ninline morgana::task<> start(morgana::net::stack auto& n);\n"
             "#else\ninline morgana::task<> start(morgana::console auto& out);\n#endif\n");
  CHECK(shop.read() == "console");
  shop.input.flags = {"-DWITH_STACK"};
  CHECK(shop.read() == "net::stack");
  shop.input.flags = {};
  CHECK(shop.read() == "console");
  CHECK(shop.runs() == 2);
}

TEST_CASE("a failed reading is asked for again") {
  workshop shop;
  shop.write("app/needs.hpp", "");
  CHECK(shop.read().find("no-start") != std::string::npos);
  CHECK(shop.read().find("no-start") != std::string::npos);
  CHECK(shop.runs() == 2);
}

TEST_CASE("a damaged entry counts as none and is replaced") {
  workshop shop;
  CHECK(shop.read() == "console");
  auto const entry = shop.entries().at(0);
  std::stringstream whole;
  whole << std::ifstream(entry, std::ios::binary).rdbuf();
  auto damaged = whole.str();
  SECTION("empty") {
    damaged.clear();
  }
  SECTION("cut short") {
    damaged.resize(damaged.size() - 3);
  }
  SECTION("cut in the middle") {
    damaged.resize(damaged.size() / 2);
  }
  SECTION("a byte of the answer differs") {
    damaged[damaged.rfind("console")] = 'k';
  }
  SECTION("a count beyond belief") {
    damaged.replace(damaged.find('\n') + 1, 1, "99999999999999999");
  }
  SECTION("not ours") {
    damaged = "GIF89a\n";
  }
  std::ofstream(entry, std::ios::binary) << damaged;
  CHECK(shop.read() == "console");
  CHECK(shop.runs() == 2);
  CHECK(shop.read() == "console");
  CHECK(shop.runs() == 2);
}

TEST_CASE("a cache that cannot be written costs nothing but time") {
  workshop shop;
  shop.write("cache", "a file where the folder should be");
  CHECK(shop.read() == "console");
  CHECK(shop.read() == "console");
  CHECK(shop.runs() == 2);
}

TEST_CASE("the cache keeps a bounded number of entries") {
  scratch_folder folder;
  auto const started = std::chrono::system_clock::now();
  for (std::size_t i = 0; i < cache_entries_max + 20; ++i) {
    store_answer(folder.path(), fmt::format("key {}", i), {}, started, "answer");
  }
  auto const entries = std::filesystem::directory_iterator(folder.path());
  CHECK(static_cast<std::size_t>(std::distance(begin(entries), end(entries))) == cache_entries_max);
}

TEST_CASE("option structs are cached without the entry point") {
  workshop shop;
  std::vector<option_struct_query> const queries = {
      {"net::direct_stack_options", "morgana/net/direct_stack.hpp"}};
  auto const first = shown(read_option_structs(shop.input, queries));
  CHECK(first.find("--mtu") != std::string::npos);
  shop.input.entry = shop.folder.path() / "elsewhere.hpp";
  CHECK(shown(read_option_structs(shop.input, queries)) == first);
  CHECK(shop.runs() == 1);
}
