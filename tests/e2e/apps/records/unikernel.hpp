// Writes records to a disk, each a sector that says its number over and over, and says which of them are kept for sure:
// those before a flush. The disk's sectors are used in a ring.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "morgana/app.hpp"

struct options {
  /// How many; 0: until the guest is ended.
  std::uint64_t records = 0;
  /// Records before each flush.
  std::uint64_t burst = 4;
  /// Says first what the text in this sector is.
  std::uint64_t show = 0;
};

inline void fill(std::vector<std::byte>& sector, std::uint64_t number) {
  morgana::fixed_text<32> line;
  line.append("record {}\n", number);
  for (std::size_t i = 0; i < sector.size(); ++i) sector[i] = static_cast<std::byte>(line.view()[i % line.view().size()]);
}

morgana::task<int> start(morgana::block_device auto& storage, morgana::option_set<options> auto const& opt) {
  morgana::log_source const log((co_await morgana::this_context()).log(), "records");
  auto const disk = storage.information();
  std::vector<std::byte> sector(disk.sector_bytes);
  if (auto done = co_await storage.read(opt.show, sector); !done) co_return 1;
  std::string text;
  for (auto const one : sector) {
    if (one == std::byte{'\n'} || one == std::byte{0} || text.size() == 64) break;
    text.push_back(static_cast<char>(one));
  }
  log.info("{} sectors of {} bytes, sector {} says `{}`", disk.sectors, disk.sector_bytes, opt.show, std::string_view(text));
  for (std::uint64_t number = 1; opt.records == 0 || number <= opt.records; ++number) {
    fill(sector, number);
    if (auto done = co_await storage.write(number % disk.sectors, sector); !done) {
      log.error("write: {}", done.error().message());
      co_return 2;
    }
    if (number % opt.burst != 0 && number != opt.records) continue;
    if (auto done = co_await storage.flush(); !done) {
      log.error("flush: {}", done.error().message());
      co_return 3;
    }
    log.info("kept {}", number);
  }
  co_return 0;
}
