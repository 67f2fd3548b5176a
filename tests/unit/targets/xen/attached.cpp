#include "common/attached.hpp"

#include <catch2/catch.hpp>

using namespace morgana;
using namespace morgana::xen;
using namespace std::string_view_literals;

namespace {

constexpr manifest_entry manifest[] = {
    {"inner", "net::device", "netfront", "start → inner", attachment::network},
    {"log", "console", "console", "start → log"},
    {"store", "block_device", "blkfront", "start → store", attachment::disk},
    {"outer", "net::device", "netfront", "start → outer", attachment::network},
};

}  // namespace

TEST_CASE("devices have numbers among their kind, in the order of the manifest") {
  CHECK(slot_of(manifest, attachment::network, "inner") == 0);
  CHECK(slot_of(manifest, attachment::network, "outer") == 1);
  CHECK(slot_of(manifest, attachment::disk, "store") == 0);
  CHECK(slot_of(manifest, attachment::disk, "inner") == std::nullopt);
  CHECK(name_of_slot(manifest, attachment::network, 1) == "outer");
  CHECK(name_of_slot(manifest, attachment::network, 2).empty());
}

TEST_CASE("a device that the image has no use for is found") {
  CHECK(extra_device(manifest, attachment::network, "0\0001\000"sv) == std::nullopt);
  CHECK(extra_device(manifest, attachment::network, "0\0002\000"sv) == 2);
  CHECK(extra_device(manifest, attachment::disk, "51712\000"sv) == std::nullopt);
  CHECK(extra_device(manifest, attachment::disk, "51712\00051728\000"sv) == 51728);
  CHECK(extra_device({}, attachment::network, "0\000"sv) == 0);
  CHECK(extra_device(manifest, attachment::network, ""sv) == std::nullopt);
}

TEST_CASE("a directory that says nonsense names no device") {
  CHECK(extra_device(manifest, attachment::network, "x\000\000-1\00099999999999\0001y\000"sv) ==
        std::nullopt);
  CHECK(extra_device(manifest, attachment::network, "7"sv) == 7);
}

TEST_CASE("disks are counted as Xen numbers them") {
  CHECK(slot_of_disk(51712) == 0);
  CHECK(slot_of_disk(51712 + 15 * 16) == 15);
  CHECK(slot_of_disk((1u << 28) | (16 << 8)) == 16);
  CHECK(slot_of_disk(51713) == std::nullopt);  // xvda1
  CHECK(slot_of_disk(768) == std::nullopt);    // hda
  CHECK(slot_of_disk(1u << 28) == std::nullopt);
}
