// Fuzzes what a driver reads from a runner and a runner from a driver: frames, messages, crash reports. The
// input is fed whole and in pieces whose lengths it decides itself: both must give the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "machine/messages.hpp"
#include "morgana/plugin/machine_protocol.hpp"
#include "morgana/plugin/runner.hpp"

namespace {

namespace protocol = morgana::machine_protocol;

void require(bool holds) {
  if (!holds) std::abort();
}

/// Calls `take` with each piece of `bytes`.
template <class Take>
void in_pieces(std::string_view bytes, Take take) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    auto const length = std::min<std::size_t>(static_cast<unsigned char>(bytes[at]) % 7 + 1, bytes.size() - at);
    take(bytes.substr(at, length));
    at += length;
  }
}

struct frames_read {
  std::vector<std::string> frames;
  bool broken = false;
  bool operator==(frames_read const&) const = default;
};

void take_frames(protocol::frame_reader& from, frames_read& into) {
  while (auto one = from.next()) into.frames.push_back(*std::move(one));
  into.broken = from.broken();
}

/// `text` as a message in each direction.
void read_message(std::string_view text) {
  using namespace morgana::driver;
  auto const read = messages::parse(text);
  if (!read) require(!read.error().empty());
  auto const json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    require(!read);
    return;
  }
  if (auto const start = morgana::plugin::parse_start(json)) {
    for (auto const& network : start->networks) require(network.descriptor >= 0 || !network.tap.empty());
    for (auto const& disk : start->disks) require(!disk.name.empty() && !disk.path.empty());
  } else {
    require(start.error().message.starts_with("start: "));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);

  protocol::frame_reader whole, pieces;
  frames_read from_whole, from_pieces;
  whole.feed(bytes);
  take_frames(whole, from_whole);
  in_pieces(bytes, [&](std::string_view piece) {
    pieces.feed(piece);
    take_frames(pieces, from_pieces);
  });
  require(from_whole == from_pieces);
  for (auto const& text : from_whole.frames) read_message(text);
  read_message(bytes);

  // What one side frames and encodes the other reads.
  protocol::frame_reader again;
  again.feed(protocol::frame(bytes));
  require(again.next() == bytes && !again.next() && !again.broken());
  require(protocol::base64_decode(protocol::base64_encode(bytes)) == bytes);
  if (auto const decoded = protocol::base64_decode(bytes)) require(protocol::base64_encode(*decoded) == bytes);

  morgana::plugin::report_collector at_once, bit_by_bit;
  at_once.feed(bytes);
  in_pieces(bytes, [&](std::string_view piece) { bit_by_bit.feed(piece); });
  require(at_once.report() == bit_by_bit.report());
  require(at_once.report().size() <= protocol::crash_report_bytes_max);
  return 0;
}
