// A lottery whose high score survives on a disk: each run draws a number, and the highest ever is kept.
// Exit status: 0 played or reset, 5 no such slot or too small a sector, 6 the disk failed or holds nonsense.
#pragma once

#include <cstdint>
#include <vector>

#include "morgana/app.hpp"
#include "ticket.hpp"

struct options {
  /// The sector that holds the score.
  std::uint64_t slot = 0;
  /// Forget the score of the slot, then play.
  bool reset = false;
  /// Forget the scores of all slots, then play.
  bool reset_all = false;
};

inline constexpr int bad_slot = 5;
inline constexpr int bad_disk = 6;

morgana::task<int> start(morgana::block_device auto& storage, morgana::random_generator auto& random,
                         morgana::option_set<options> auto const& opt) {
  using namespace std::chrono_literals;
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "lottery");
  auto const disk = storage.information();
  if (disk.sector_bytes < lottery::ticket_bytes) {
    log.error("a sector of {} bytes is too small for a ticket", disk.sector_bytes);
    co_return bad_slot;
  }
  if (opt.slot >= disk.sectors) {
    log.error("there is no slot {}: the disk has {}", opt.slot, disk.sectors);
    co_return bad_slot;
  }

  std::vector<std::byte> sector(disk.sector_bytes);   // zeros: an empty slot
  if (opt.reset || opt.reset_all) {
    auto const first = opt.reset_all ? 0 : opt.slot;
    auto const last = opt.reset_all ? disk.sectors - 1 : opt.slot;
    for (auto slot = first; slot <= last; ++slot) {
      if (auto done = co_await storage.write(slot, sector); !done) {
        log.error("cannot reset slot {}: {}", slot, done.error().message());
        co_return bad_disk;
      }
    }
    log.info("{}", opt.reset_all ? std::string_view("all slots reset") : std::string_view("slot reset"));
  }

  if (auto done = co_await storage.read(opt.slot, sector); !done) {
    log.error("cannot read slot {}: {}", opt.slot, done.error().message());
    co_return bad_disk;
  }
  auto const best = lottery::read_ticket(sector);
  if (!best) {
    log.error("slot {} holds {}; --reset forgets it", opt.slot,
              best.error() == lottery::slot_error::wrong_checksum ? std::string_view("a ticket with a wrong checksum")
                                                                  : std::string_view("something else than a ticket"));
    co_return bad_disk;
  }

  std::uint32_t drawn = 0;
  if (auto seeded = co_await random.seeded(here.now() + 5s); !seeded) {
    log.error("no randomness: {}", seeded.error().message());
    co_return bad_disk;
  }
  if (auto filled = random.fill(std::as_writable_bytes(std::span(&drawn, 1))); !filled) {
    log.error("no randomness: {}", filled.error().message());
    co_return bad_disk;
  }
  if (drawn <= *best) {
    log.info("drew {}: you lose, the high score is {}", drawn, *best);
    co_return 0;
  }
  lottery::write_ticket(sector, drawn);
  auto written = co_await storage.write(opt.slot, sector);
  if (written) written = co_await storage.flush();
  if (!written) {
    log.error("cannot write slot {}: {}", opt.slot, written.error().message());
    co_return bad_disk;
  }
  log.info("drew {}: you win, the high score was {}", drawn, *best);
  co_return 0;
}
