#include "morgana/sim/disk.hpp"

#include "host.hpp"
#include "morgana/core/log.hpp"
#include "morgana/storage/block_check.hpp"

namespace morgana::sim {
namespace {

result<void> ended(int number) {
  if (number != 0) return failure(storage::storage_error::input_output, number);
  return {};
}

}  // namespace

task<result<disk>> disk::connect(context& in, device_name name) {
  morgana_sim_disk about{};
  auto const number = simulator->find_disk(simulator->self, text(name.text), &about);
  if (number < 0) {
    log_source const log(in.log(), "disk");
    log.error("there is no disk `{}`: attach one with `morgana run --disk {}=FILE`", name.text, name.text);
    co_return failure(core_error::device_missing);
  }
  co_return disk(
      number,
      {.sector_bytes = about.sector_bytes, .sectors = about.sectors, .read_only = about.read_only != 0});
}

storage::immediate<result<void>> disk::read(std::uint64_t sector, std::span<std::byte> into) {
  auto checked = storage::check_transfer(information_, storage::transfer::read, sector, into.size());
  if (!checked || into.empty()) return checked;
  return ended(simulator->disk_read(simulator->self, number_, sector, into.data(), into.size()));
}

storage::immediate<result<void>> disk::write(std::uint64_t sector, std::span<std::byte const> from) {
  auto checked = storage::check_transfer(information_, storage::transfer::write, sector, from.size());
  if (!checked || from.empty()) return checked;
  return ended(simulator->disk_write(simulator->self, number_, sector, from.data(), from.size()));
}

storage::immediate<result<void>> disk::flush() {
  return ended(simulator->disk_flush(simulator->self, number_));
}

}  // namespace morgana::sim
