// A block backend in memory: the other end of the ring and a disk behind it, with hands to break the
// protocol.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/block_queue.hpp"
#include "fake_host.hpp"

namespace morgana::xen::test {

class fake_blkback {
 public:
  explicit fake_blkback(fake_host& host) : host_(&host) {}

  void connect(std::byte* page) {
    page_ = page;
    taken_ = put_ = 0;
  }

  /// Takes what the guest asks for; leaves it unanswered while `holds` is set.
  void serve() {
    while (page_ != nullptr && taken_ != head().requests_put) {
      std::byte raw[slot_bytes];
      std::memcpy(raw, slot(taken_++), sizeof raw);
      handle(raw);
    }
    if (page_ != nullptr) head().request_event = taken_ + 1;
    if (!holds) answer_all();
  }
  void answer_all() {
    for (; !answers.empty(); answers.pop_front()) answer(answers.front());
  }
  void answer(block_wire::response const& what) {
    std::memcpy(slot(put_++), &what, sizeof what);
    auto const before = head().responses_put;
    head().responses_put = put_;
    if (put_ - head().response_event < put_ - before) host_->wake();
  }
  ring_head& head() const { return *reinterpret_cast<ring_head*>(page_); }

  std::vector<char> disk = std::vector<char>(1 << 20, 0);
  std::deque<block_wire::response> answers;
  std::map<block_wire::operation, unsigned> count;
  unsigned pages_most = 0;                        ///< of one request
  std::set<grant_reference> grants;               ///< that were used
  std::map<std::uint64_t, std::int16_t> refused;  ///< status for the n-th request
  bool holds = false;
  std::uint64_t requests = 0;

 private:
  static constexpr std::size_t slot_bytes = sizeof(block_wire::request);
  std::byte* slot(std::uint32_t index) const { return page_ + sizeof(ring_head) + index % 32 * slot_bytes; }

  void handle(std::byte const* raw) {
    block_wire::request direct{};
    std::memcpy(&direct, raw, sizeof direct);
    auto what = direct.what;
    ++count[what];
    std::int16_t status = block_wire::response::okay;
    if (auto const found = refused.find(requests++); found != refused.end()) status = found->second;
    if (what == block_wire::operation::indirect) {
      block_wire::indirect_request indirect{};
      std::memcpy(&indirect, raw, sizeof indirect);
      what = indirect.inner;
      std::vector<block_wire::segment> segments(indirect.segment_count);
      grants.insert(indirect.pages[0]);
      auto* const list = host_->map(indirect.pages[0]);
      REQUIRE(list != nullptr);
      std::memcpy(segments.data(), list, segments.size() * sizeof(block_wire::segment));
      if (status == block_wire::response::okay) move(what, indirect.sector, segments);
    } else if (what == block_wire::operation::discard) {
      block_wire::discard_request asked{};
      std::memcpy(&asked, raw, sizeof asked);
      std::memset(disk.data() + asked.sector * 512, 0xdd, asked.sectors * 512);
    } else if (status == block_wire::response::okay) {
      move(what, direct.sector, {direct.segments, direct.segments + direct.segment_count});
    }
    answers.push_back({.id = direct.id, .what = what, .status = status});
  }
  void move(block_wire::operation what, std::uint64_t sector,
            std::vector<block_wire::segment> const& segments) {
    pages_most = std::max(pages_most, static_cast<unsigned>(segments.size()));
    for (auto const& one : segments) {
      grants.insert(one.page);
      auto* const memory = host_->map(one.page);
      REQUIRE(memory != nullptr);
      REQUIRE(one.first_sector <= one.last_sector);
      REQUIRE(one.last_sector < 8);
      auto const size = (one.last_sector - one.first_sector + 1u) * 512;
      REQUIRE(sector * 512 + size <= disk.size());
      auto* const page = memory + one.first_sector * 512;
      if (what == block_wire::operation::read) std::memcpy(page, disk.data() + sector * 512, size);
      if (what == block_wire::operation::write) std::memcpy(disk.data() + sector * 512, page, size);
      sector += size / 512;
    }
  }

  fake_host* host_;
  std::byte* page_ = nullptr;
  std::uint32_t taken_ = 0, put_ = 0;
};

}  // namespace morgana::xen::test
