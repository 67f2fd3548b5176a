// Ten checks of a block device. What is on it is overwritten. The exit status says whether all passed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "morgana/app.hpp"

struct score {
  int started = 0;
  int passed = 0;
  int failed = 0;
};

/// Other bytes for each check, so that nothing is taken for what an earlier one left.
inline std::vector<std::byte> pattern(std::size_t bytes, int seed) {
  std::vector<std::byte> made(bytes);
  auto state = static_cast<std::uint32_t>(seed) * 2'654'435'761u + 1u;
  for (auto& one : made) {
    state = state * 1'664'525u + 1'013'904'223u;
    one = static_cast<std::byte>(state >> 24);
  }
  return made;
}

/// Writes, reads back and compares.
template <morgana::block_device Device>
morgana::task<bool> keeps(Device& device, std::uint64_t sector, std::size_t bytes, int seed, morgana::log_source log) {
  auto const written = pattern(bytes, seed);
  auto read = pattern(bytes, seed + 1'000);
  if (auto done = co_await device.write(sector, written); !done) {
    log.error("write at sector {}: {}", sector, done.error().message());
    co_return false;
  }
  if (auto done = co_await device.read(sector, read); !done) {
    log.error("read at sector {}: {}", sector, done.error().message());
    co_return false;
  }
  if (read != written) {
    log.error("sector {}: other bytes were read than written", sector);
    co_return false;
  }
  co_return true;
}

/// Access past the end must fail, and say so.
template <morgana::block_device Device>
morgana::task<bool> refuses(Device& device, std::uint64_t sector, std::size_t bytes, morgana::log_source log) {
  std::vector<std::byte> buffer(bytes);
  auto const written = co_await device.write(sector, buffer);
  auto const read = co_await device.read(sector, buffer);
  bool const good = !written && written.error().is(morgana::storage::storage_error::out_of_range) && !read &&
                    read.error().is(morgana::storage::storage_error::out_of_range);
  if (!good) log.error("access to {} bytes at sector {} was not refused as out of range", bytes, sector);
  co_return good;
}

morgana::task<int> start(morgana::block_device auto& storage) {
  morgana::log_source const log((co_await morgana::this_context()).log(), "block");
  auto const device = storage.information();
  log.info("{} sectors of {} bytes, read-only: {}", device.sectors, device.sector_bytes, device.read_only);
  constexpr std::uint64_t most = 12;
  if (device.sectors < 2 * most) {
    log.error("the device is too small: {} sectors are needed", 2 * most);
    co_return 1;
  }

  score tally;
  auto const count = [&tally, &log](std::string_view what, bool passed) {
    ++tally.started;
    ++(passed ? tally.passed : tally.failed);
    log.info("{}: {}", what, passed ? std::string_view("passed") : std::string_view("FAILED"));
  };
  std::size_t const one = device.sector_bytes;
  std::uint64_t const end = device.sectors;
  count("1 sector at the start", co_await keeps(storage, 0, one, 1, log));
  count("2 sectors at the start", co_await keeps(storage, 0, 2 * one, 2, log));
  count("12 sectors at the start", co_await keeps(storage, 0, 12 * one, 3, log));
  count("1 sector at the end", co_await keeps(storage, end - 1, one, 4, log));
  count("2 sectors at the end", co_await keeps(storage, end - 2, 2 * one, 5, log));
  count("12 sectors at the end", co_await keeps(storage, end - 12, 12 * one, 6, log));
  count("1 sector past the end", co_await refuses(storage, end, one, log));
  count("2 sectors, one past the end", co_await refuses(storage, end - 1, 2 * one, log));
  count("12 sectors, one past the end", co_await refuses(storage, end - 11, 12 * one, log));
  count("a sector far past the end", co_await refuses(storage, UINT64_MAX / one, one, log));
  log.info("{} started, {} passed, {} failed", tally.started, tally.passed, tally.failed);
  co_return tally.failed == 0 ? 0 : 1;
}
