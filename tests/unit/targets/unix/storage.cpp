// Disks in files of the host and keys in its folders.
#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "guest.hpp"
#include "morgana/hosted/directory_store.hpp"
#include "morgana/hosted/file_block_device.hpp"

using namespace morgana;
using namespace morgana::hosted;
using storage::storage_error;
using test::bytes;
using test::text;

static_assert(block_device<file_block_device>);
static_assert(key_value_store<directory_store>);

namespace {

void write_file(std::string const& path, std::string_view content) { std::ofstream(path) << content; }

std::string read_file(std::string const& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The error of an outcome that must have one.
template <class T>
error error_of(result<T> outcome) {
  REQUIRE(!outcome);
  return std::move(outcome.error());
}

struct storage_guest : test::guest {
  test::folder folder;
  result<file_block_device> open(std::string_view name, file_block_device_options const& options = {}) {
    return run(file_block_device::connect(context, device_name{name}, options));
  }
};

}  // namespace

TEST_CASE("a disk in a file keeps what was written") {
  storage_guest guest;
  auto const path = guest.folder.path + "/disk";
  write_file(path, std::string(10 * 512, '.'));
  {
    auto disk = guest.open("disk", {.path = path});
    REQUIRE(disk);
    CHECK(disk->information().sectors == 10);
    CHECK(!disk->information().read_only);
    REQUIRE(disk->write(3, bytes(std::string(1024, 'x'))).await_resume());
    REQUIRE(disk->flush().await_resume());
    std::vector<std::byte> back(1024);
    REQUIRE(disk->read(4, back).await_resume());
    CHECK(text(back) == std::string(512, 'x') + std::string(512, '.'));
    CHECK(error_of(disk->write(9, back).await_resume()).is(storage_error::out_of_range));
    CHECK(error_of(disk->write(0, std::span(back).first(1)).await_resume()).is(storage_error::misaligned));
  }
  CHECK(read_file(path) == std::string(3 * 512, '.') + std::string(1024, 'x') + std::string(5 * 512, '.'));
}

TEST_CASE("a disk comes from the runner by its name, or the error says how to give one") {
  storage_guest guest;
  auto const path = guest.folder.path + "/with,comma";
  write_file(path, std::string(8192, '.'));
  ::setenv("MORGANA_DISK_data", (path + ",ro,4096").c_str(), 1);
  auto disk = guest.open("data");
  REQUIRE(disk);
  CHECK(disk->information().sectors == 2);
  CHECK(disk->information().sector_bytes == 4096);
  CHECK(disk->information().read_only);
  std::vector<std::byte> const sector(4096);
  CHECK(error_of(disk->write(0, sector).await_resume()).is(storage_error::read_only));

  CHECK(error_of(guest.open("other")).is(core_error::device_missing));
  REQUIRE(!guest.log.lines.empty());
  CHECK(guest.log.lines.back().find("morgana run --disk other=FILE") != std::string::npos);
  for (auto const* const wrong : {"x", ",rw,512", "/x,wo,512", "/x,rw,", "/x,rw,5k", "/x"}) {
    ::setenv("MORGANA_DISK_wrong", wrong, 1);
    CHECK(error_of(guest.open("wrong")).is(core_error::invalid_argument));
  }
}

TEST_CASE("a disk that is missing, odd or in use is refused") {
  storage_guest guest;
  auto const path = guest.folder.path + "/disk";
  auto const missing = error_of(guest.open("disk", {.path = path}));
  CHECK(missing.is(storage_error::input_output));
  CHECK(missing.detail() == ENOENT);
  CHECK(error_of(guest.open("disk", {.path = guest.folder.path, .read_only = true})).is(core_error::not_supported));
  write_file(path, std::string(1024, '.'));
  CHECK(error_of(guest.open("disk", {.path = path, .sector_bytes = 1000})).is(core_error::invalid_argument));
  {
    auto first = guest.open("disk", {.path = path});
    REQUIRE(first);
    CHECK(error_of(guest.open("disk", {.path = path})).is(core_error::limit_reached));
    CHECK(error_of(guest.open("disk", {.path = path, .read_only = true})).is(core_error::limit_reached));
  }
  auto first = guest.open("disk", {.path = path, .read_only = true});
  CHECK(guest.open("disk", {.path = path, .read_only = true}));
  CHECK(error_of(guest.open("disk", {.path = path})).is(core_error::limit_reached));
}

TEST_CASE("a disk whose file became shorter gives an error, not old bytes") {
  storage_guest guest;
  auto const path = guest.folder.path + "/disk";
  write_file(path, std::string(2048, '.'));
  auto disk = guest.open("disk", {.path = path});
  REQUIRE(disk);
  REQUIRE(::truncate(path.c_str(), 512) == 0);
  std::vector<std::byte> back(1024);
  CHECK(error_of(disk->read(0, back).await_resume()).is(storage_error::input_output));
}

TEST_CASE("a folder's files are values, as they are now") {
  storage_guest guest;
  auto const& path = guest.folder.path;
  write_file(path + "/index.html", "hello");
  ::mkdir((path + "/css").c_str(), 0755);
  write_file(path + "/css/site.css", "body");
  auto store = guest.run(directory_store::connect(guest.context, {.path = path}));
  REQUIRE(store);
  std::byte buffer[3];
  auto const before = store->stat("index.html").await_resume();
  REQUIRE(before);
  CHECK(before->size_bytes == 5);
  CHECK(before->modified_unix_seconds > 1'500'000'000);
  CHECK(*store->read("index.html", 3, buffer).await_resume() == 2);
  CHECK(text(std::span(buffer).first(2)) == "lo");
  CHECK(*store->read("index.html", 5, buffer).await_resume() == 0);
  CHECK(*store->read("css/site.css", 0, buffer).await_resume() == 3);
  CHECK(store->view("index.html").data() == nullptr);

  // Put in its place by a rename, as an editor does; seen when the trust time is over.
  write_file(path + "/new", "hello, world");
  REQUIRE(std::rename((path + "/new").c_str(), (path + "/index.html").c_str()) == 0);
  CHECK(*store->stat("index.html").await_resume() == *before);
  static_cast<void>(guest.runs.run_ready(guest.runs.now() + directory_store::trust_time));
  auto const after_change = store->stat("index.html").await_resume();
  REQUIRE(after_change);
  CHECK(after_change->size_bytes == 12);
  CHECK(after_change->content_hash != before->content_hash);
}

TEST_CASE("no key leaves the folder, and only files are values") {
  storage_guest guest;
  auto const inside = guest.folder.path + "/site";
  ::mkdir(inside.c_str(), 0755);
  ::mkdir((inside + "/folder").c_str(), 0755);
  write_file(guest.folder.path + "/secret", "secret");
  write_file(inside + "/file", "file");
  REQUIRE(::symlink("../secret", (inside + "/relative").c_str()) == 0);
  REQUIRE(::symlink((guest.folder.path + "/secret").c_str(), (inside + "/absolute").c_str()) == 0);
  REQUIRE(::symlink("..", (inside + "/up").c_str()) == 0);
  REQUIRE(::symlink("/proc/self/exe", (inside + "/magic").c_str()) == 0);
  REQUIRE(::symlink("loop", (inside + "/loop").c_str()) == 0);
  REQUIRE(::symlink("file", (inside + "/within").c_str()) == 0);
  REQUIRE(::symlink(".", (inside + "/folder/round").c_str()) == 0);
  REQUIRE(::mkfifo((inside + "/fifo").c_str(), 0644) == 0);
  auto store = guest.run(directory_store::connect(guest.context, {.path = inside}));
  REQUIRE(store);
  for (auto const* const key : {"relative", "absolute", "up/secret", "magic", "loop", "folder", "fifo", "none", "file/x",
                                "folder/round"}) {
    INFO(key);
    CHECK(error_of(store->stat(key).await_resume()).is(storage_error::not_found));
  }
  for (auto const* const key : {"../secret", "/etc/passwd", "folder/../file", ""}) {
    INFO(key);
    CHECK(error_of(store->stat(key).await_resume()).is(storage_error::invalid_key));
  }
  CHECK(store->stat("within").await_resume());
  std::vector<std::string> keys;
  REQUIRE(store->keys([](void* with, std::string_view key,
                         value_information const&) { static_cast<std::vector<std::string>*>(with)->emplace_back(key); },
                      &keys));
  CHECK(keys == std::vector<std::string>{"file", "within"});
}

TEST_CASE("a folder store keeps a bounded number of files open") {
  storage_guest guest;
  for (int i = 0; i < 200; ++i) write_file(guest.folder.path + "/" + std::to_string(i), std::to_string(i));
  auto store = guest.run(directory_store::connect(guest.context, {.path = guest.folder.path}));
  REQUIRE(store);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 200; ++i) {
      std::byte buffer[8];
      auto const count = store->read(std::to_string(i), 0, buffer).await_resume();
      REQUIRE(count);
      CHECK(text(std::span(buffer).first(*count)) == std::to_string(i));
    }
  }
  auto const highest = ::open("/dev/null", O_RDONLY);
  ::close(highest);
  CHECK(highest < 100);
  CHECK(error_of(guest.run(directory_store::connect(guest.context, {.path = "/nonexistent"})))
            .is(storage_error::input_output));
}
