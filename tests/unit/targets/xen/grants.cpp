#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "fake_host.hpp"

namespace {

using namespace morgana;
using namespace morgana::xen;
using morgana::xen::test::fake_host;
using morgana::xen::test::fake_store;

struct table_of_16 {
  table_of_16() { table.start(entries); }
  std::array<grant_entry, 16> entries{};
  grant_table table;
};

}  // namespace

TEST_CASE("a grant names domain, frame and access", "[grants]") {
  table_of_16 on;
  auto const one = on.table.give(3, 0x1234, grant_access::read_only);
  REQUIRE(one);
  CHECK(one.reference() >= grant_references_reserved);
  auto const& entry = on.entries[one.reference()];
  CHECK(entry.who == 3);
  CHECK(entry.frame == 0x1234);
  CHECK(entry.flags == (grant_permits | grant_is_read_only));
  CHECK(on.table.used() == 1);
}

TEST_CASE("grants end with their objects and their references come again", "[grants]") {
  table_of_16 on;
  for (int round = 0; round < 3; ++round) {
    std::vector<grant> all;
    for (std::size_t i = 0; i < on.table.limit(); ++i) all.push_back(on.table.give(0, 1, grant_access::read_write));
    for (auto const& one : all) CHECK(one);
    CHECK(on.table.used() == 8);
    CHECK_FALSE(on.table.give(0, 1, grant_access::read_write));
    all.clear();
    CHECK(on.table.used() == 0);
  }
  for (auto const& entry : on.entries) CHECK(entry.flags == 0);
  CHECK(on.table.stuck() == 0);
}

TEST_CASE("a grant does not end while the other side has the page mapped", "[grants]") {
  table_of_16 on;
  auto one = on.table.give(0, 1, grant_access::read_write);
  auto const reference = one.reference();
  on.entries[reference].flags |= grant_is_written;
  CHECK_FALSE(one.end());
  CHECK_FALSE(one.withdraw());
  CHECK((on.entries[reference].flags & grant_permits) != 0);
  CHECK(on.table.used() == 1);
  on.entries[reference].flags &= static_cast<std::uint16_t>(~grant_is_written);
  CHECK(one.end());
  CHECK(on.table.used() == 0);
}

TEST_CASE("a grant that is let go while it is mapped is lost for good, and counted", "[grants]") {
  table_of_16 on;
  grant_reference reference = 0;
  {
    auto const one = on.table.give(0, 1, grant_access::read_write);
    reference = one.reference();
    on.entries[reference].flags |= grant_is_read;
  }
  CHECK(on.table.stuck() == 1);
  on.entries[reference].flags = grant_permits;
  for (int i = 0; i < 20; ++i) CHECK(on.table.give(0, 1, grant_access::read_write).reference() != reference);
}

TEST_CASE("a right is withdrawn and given back under one reference", "[grants]") {
  table_of_16 on;
  auto one = on.table.give(4, 9, grant_access::read_write);
  auto const& entry = on.entries[one.reference()];
  REQUIRE(one.withdraw());
  CHECK(entry.flags == 0);
  CHECK(on.table.used() == 1);
  one.permit(grant_access::read_only);
  CHECK(entry.flags == (grant_permits | grant_is_read_only));
  CHECK((entry.who == 4 && entry.frame == 9));
}

TEST_CASE("the tools' references are never given out", "[grants]") {
  table_of_16 on;
  on.entries[0].flags = on.entries[1].flags = grant_permits;
  std::vector<grant> all;
  for (int i = 0; i < 8; ++i) all.push_back(on.table.give(0, 1, grant_access::read_write));
  for (auto const& one : all) CHECK(one.reference() >= grant_references_reserved);
  grant_table empty;
  CHECK(empty.limit() == 0);
  CHECK_FALSE(empty.give(0, 1, grant_access::read_write));
}

TEST_CASE("shared pages are zero, granted each, and given back when the backend has let go", "[grants]") {
  morgana::test::world world;
  fake_store keys(world.executor());
  fake_host host(world.executor(), keys);
  auto pages = shared_pages::make(host, 2, 3);
  REQUIRE(pages);
  CHECK(host.grants.used() == 3);
  for (auto const byte : pages->memory()) REQUIRE(byte == std::byte{0});
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(host.map(pages->reference(i)) == pages->memory().data() + i * grant_page_bytes);
  }
  auto& flags = host.table[pages->reference(1)].flags;
  flags |= grant_is_written;
  CHECK_FALSE(pages->end());
  flags &= static_cast<std::uint16_t>(~grant_is_written);
  CHECK(pages->end());
  CHECK(host.grants.used() == 0);
  CHECK(shared_pages::make(host, 2, 17).error().is(core_error::invalid_argument));
}

TEST_CASE("a full table refuses shared pages and keeps nothing", "[grants]") {
  morgana::test::world world;
  fake_store keys(world.executor());
  fake_host host(world.executor(), keys);
  std::vector<grant> taken;
  while (host.grants.used() + 1 < host.grants.limit()) taken.push_back(host.grants.give(0, 1, grant_access::read_write));
  auto const refused = shared_pages::make(host, 2, 2);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().is(driver_error::no_grant));
  CHECK(host.grants.used() == host.grants.limit() - 1);
}

TEST_CASE("in another domain's table grants are renewed under their references, and what was stuck is free", "[grants]") {
  table_of_16 on;
  std::vector<grant> all;
  for (std::uint32_t i = 0; i < 6; ++i) all.push_back(on.table.give(4, 20 + i, grant_access::read_write));
  REQUIRE(all[5].end());
  // One is stuck, which the other domain takes with it.
  on.entries[all[4].reference()].flags |= grant_is_read;
  all.resize(4);
  CHECK(on.table.stuck() == 1);
  on.table.restart();
  for (auto const& entry : on.entries) CHECK((entry.flags == 0 && entry.frame == 0));
  for (std::uint32_t i = 0; i < 4; ++i) all[i].renew(7, 30 + i);
  on.table.collect();
  CHECK((on.table.used() == 4 && on.table.stuck() == 0));
  CHECK((on.entries[all[1].reference()].who == 7 && on.entries[all[1].reference()].frame == 31));
  CHECK(on.entries[all[1].reference()].flags == 0);
  all[1].permit(grant_access::read_only);
  CHECK(on.entries[all[1].reference()].flags == (grant_permits | grant_is_read_only));
  std::vector<grant> more;
  while (auto one = on.table.give(1, 2, grant_access::read_write)) {
    for (auto const& kept : all) CHECK(one.reference() != kept.reference());
    more.push_back(std::move(one));
  }
  CHECK(more.size() == on.table.limit() - 4);
  all.clear();
  more.clear();
  CHECK((on.table.used() == 0 && on.table.stuck() == 0));
}
