// A device around a device that records every frame of both directions in a pcapng file, which Wireshark,
// tcpdump and scapy read. `wrap = "pcap"` puts it around any net::device; in `wrap = ["pcap", "faults"]` it
// sees what the device below sees, in `["faults", "pcap"]` what the stack sees.
//
// Every frame is with the platform's recorder when the call that carried it returns, so a crash loses none;
// that costs a call of the host's per frame. What offloads leave to the device is recorded as it was, with a
// comment (pcapng.hpp). The file has a limit; at it the recording stops, or goes on in a ring of two files,
// FILE and FILE.2, each of half the limit, of which the older one is begun anew. A recorder that fails is
// said once in the log, and the network goes on without it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "morgana/core/clock.hpp"
#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/options.hpp"
#include "morgana/core/recorder.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/pcapng.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/net/transmit_told.hpp"

namespace morgana::net {

enum class pcap_limit : std::uint8_t {
  stop,  ///< the first frames are kept
  ring,  ///< the last frames are kept
};

struct pcap_options {
  /// File of the recording; empty: the name of the device below, and .pcapng.
  std::string_view file = "";
  /// Bytes kept of each frame.
  std::uint32_t snap_bytes = 262'144;
  /// Most bytes of the recording.
  std::uint64_t limit_bytes = 268'435'456;
  /// What happens at the limit.
  pcap_limit at_limit = pcap_limit::stop;
};

struct pcap_counters {
  std::uint64_t frames = 0, bytes = 0;  ///< recorded
  std::uint64_t beyond_limit = 0;       ///< frames not recorded, because of the limit
  std::uint64_t failed = 0;             ///< frames not recorded, because the recorder failed
  std::uint64_t turns = 0;              ///< of the ring
};

}  // namespace morgana::net

template <>
struct morgana::option_names<morgana::net::pcap_limit> {
  static constexpr std::pair<std::string_view, morgana::net::pcap_limit> values[] = {
      {"stop", morgana::net::pcap_limit::stop}, {"ring", morgana::net::pcap_limit::ring}};
};

namespace morgana::net {

/// Smallest limit_bytes: the head of a file and a frame or two, twice.
inline constexpr std::uint64_t pcap_limit_bytes_min = 4'096;

template <device Device, recorder Recorder, wall_clock Clock>
class pcap {
 public:
  /// Errors: core_error::invalid_argument (a limit below pcap_limit_bytes_min); those of the recorder.
  [[nodiscard]] static task<result<pcap>> connect(context& in, device_name name, Device& below,
                                                  Recorder& records, Clock& clock,
                                                  pcap_options const& options) {
    if (options.limit_bytes < pcap_limit_bytes_min || options.snap_bytes == 0) {
      log_source const log(in.log(), "pcap");
      log.error("{}: a recording has room for {} bytes at least, and for some of each frame", name.text,
                pcap_limit_bytes_min);
      co_return failure(core_error::invalid_argument);
    }
    pcap out(in, name, below, records, clock, options);
    if (auto begun = out.begin(); !begun) co_return failure(std::move(begun.error()));
    co_return out;
  }

  [[nodiscard]] device_capabilities capabilities() const { return below_->capabilities(); }
  [[nodiscard]] pcap_counters const& counters() const { return counters_; }

  /// Errors: those of the device below.
  [[nodiscard]] task<result<std::size_t>> receive(std::span<segment> into, instant deadline) {
    auto const count = co_await below_->receive(into, deadline);
    if (count) {
      for (auto const& one : into.first(*count)) record(one, capture_direction::inbound);
    }
    co_return count;
  }

  /// Errors: those of the device below.
  [[nodiscard]] result<std::size_t> transmit(std::span<segment> from) {
    return transmit_told(*below_, from, [this](segment const& one) { record(one, capture_direction::outbound); });
  }

  [[nodiscard]] auto room(instant deadline)
    requires device_with_room<Device>
  {
    return below_->room(deadline);
  }

 private:
  pcap(context& in, device_name name, Device& below, Recorder& records, Clock& clock,
       pcap_options const& options)
      : context_(&in),
        name_(name.text),
        file_(options.file),
        options_(options),
        below_(&below),
        records_(&records),
        clock_(&clock) {
    // "network_device_pcap" records "network_device".
    constexpr std::string_view own = "_pcap";
    if (name_.size() > own.size() && name_.ends_with(own)) name_.remove_suffix(own.size());
    if (file_.empty()) file_.append(name_).append(".pcapng");
  }

  [[nodiscard]] std::uint64_t limit() const {
    return options_.at_limit == pcap_limit::ring ? options_.limit_bytes / 2 : options_.limit_bytes;
  }

  /// A file from its start.
  result<void> begin() {
    open_.reset();
    auto made = records_->begin(counters_.turns % 2 == 0 ? file_ : file_ + ".2");
    if (!made) return failure(std::move(made.error()).during("begin the recording"));
    open_.emplace(*std::move(made));
    pcapng_head const head(name_, options_.snap_bytes);
    std::array<std::span<std::byte const>, 1> const parts{head.bytes()};
    written_ = head.bytes().size();
    if (auto done = open_->append(parts); !done)
      return failure(std::move(done.error()).during("begin the recording"));
    return {};
  }

  void stop(std::string_view why) {
    open_.reset();
    log_source(context_->log(), "pcap")
        .warning("{}: recording of {} ends: {}", std::string_view(file_), name_, why);
  }
  void fail(error const& why) {
    open_.reset();
    log_source(context_->log(), "pcap")
        .error("{}: recording of {} ends: {}", std::string_view(file_), name_, why);
    ++counters_.failed;
  }

  void record(segment const& frame, capture_direction direction) {
    if (!open_) {
      ++(counters_.failed != 0 ? counters_.failed : counters_.beyond_limit);
      return;
    }
    auto const kept = std::min<std::size_t>(frame.size(), options_.snap_bytes);
    auto const at = clock_->is_set() ? clock_->now().time_since_epoch() : context_->now().time_since_epoch();
    pcapng_packet const packet(frame, kept, direction, at);
    if (written_ + packet.size() > limit()) {
      if (options_.at_limit == pcap_limit::stop || packet.size() > limit() / 2) {
        ++counters_.beyond_limit;
        if (options_.at_limit == pcap_limit::stop) stop("its limit is reached");
        return;
      }
      ++counters_.turns;
      if (auto begun = begin(); !begun) return fail(begun.error());
    }
    std::array<std::span<std::byte const>, segment_slices_max + 3> parts;
    std::size_t count = 0, left = kept;
    parts[count++] = packet.before();
    auto const add = [&](std::span<std::byte const> bytes) {
      auto const some = bytes.first(std::min(bytes.size(), left));
      left -= some.size();
      if (!some.empty()) parts[count++] = some;
    };
    add(frame.header());
    for (auto const& part : frame.slices()) add(part.bytes());
    parts[count++] = packet.behind();
    if (auto done = open_->append(std::span(parts).first(count)); !done) return fail(done.error());
    written_ += packet.size();
    counters_.bytes += packet.size();
    ++counters_.frames;
  }

  context* context_;
  std::string_view name_;
  std::string file_;
  pcap_options options_;
  Device* below_;
  Recorder* records_;
  Clock* clock_;
  std::optional<typename Recorder::recording> open_;
  std::uint64_t written_ = 0;
  pcap_counters counters_;
};

}  // namespace morgana::net
