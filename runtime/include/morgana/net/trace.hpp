// A device around a device that logs a line for every frame, much as `tcpdump -n` prints it:
//
//   [   0.012] trace: info: network_device in 10.0.0.1.51034 > 10.0.0.2.80: Flags [S], seq 3412, win 64240,
//   options [mss 1460,sackOK,TS val 7 ecr 0,wscale 7], length 0
//
// (on one line). `wrap = "trace"` puts it around any net::device. Sequence numbers count from the first of
// their connection once its SYN was seen. Lines have a limit a second; what is beyond it is counted and said.
// Where the log is off (`--log=trace:warning`) a frame costs one comparison.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/context.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/frame_text.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/net/transmit_told.hpp"

namespace morgana::net {

struct trace_options {
  /// Most lines a second.
  std::uint32_t lines_per_second = 1'000;
};

struct trace_counters {
  std::uint64_t shown = 0, not_shown = 0;  ///< frames
};

template <device Device>
class trace {
 public:
  [[nodiscard]] static task<result<trace>> connect(context& in, device_name name, Device& below,
                                                   trace_options const& options) {
    co_return trace(in, name, below, options);
  }

  [[nodiscard]] device_capabilities capabilities() const { return below_->capabilities(); }
  [[nodiscard]] trace_counters const& counters() const { return counters_; }

  /// Errors: those of the device below.
  [[nodiscard]] task<result<std::size_t>> receive(std::span<segment> into, instant deadline) {
    auto const count = co_await below_->receive(into, deadline);
    if (count && log_.is_on(log_level::info)) {
      for (auto const& one : into.first(*count)) show(one, "in");
    }
    co_return count;
  }

  /// Errors: those of the device below.
  [[nodiscard]] result<std::size_t> transmit(std::span<segment> from) {
    if (!log_.is_on(log_level::info)) return below_->transmit(from);
    return transmit_told(*below_, from, [this](segment const& one) { show(one, "out"); });
  }

  [[nodiscard]] auto room(instant deadline)
    requires device_with_room<Device>
  {
    return below_->room(deadline);
  }

 private:
  trace(context& in, device_name name, Device& below, trace_options const& options)
      : context_(&in), log_(in.log(), "trace"), name_(name.text), options_(options), below_(&below) {
    // "network_device_trace" shows "network_device".
    constexpr std::string_view own = "_trace";
    if (name_.size() > own.size() && name_.ends_with(own)) name_.remove_suffix(own.size());
  }

  void show(segment const& frame, std::string_view direction) {
    auto const now = context_->now();
    if (now - second_ >= 1s) {
      if (hidden_ != 0) log_.info("{}: {} frames were not shown", name_, hidden_);
      second_ = now;
      lines_ = hidden_ = 0;
    }
    fixed_text<log_sink::message_bytes_max> line;
    // Written all the same, because it learns where connections begin.
    line.append("{} {} ", name_, direction);
    text_.write(line, frame);
    if (lines_ == options_.lines_per_second) {
      ++hidden_;
      ++counters_.not_shown;
      return;
    }
    ++lines_;
    ++counters_.shown;
    log_.info("{}", line.view());
  }

  context* context_;
  log_source log_;
  std::string_view name_;
  trace_options options_;
  Device* below_;
  frame_text text_;
  instant second_{};
  std::uint32_t lines_ = 0, hidden_ = 0;
  trace_counters counters_;
};

}  // namespace morgana::net
