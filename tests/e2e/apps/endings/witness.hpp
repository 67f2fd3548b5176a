// A device that logs its coming and going under its own name.
#pragma once

#include <string_view>

#include "morgana/core/context.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/device_name.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"

struct witness_options {
  /// connect() gives an error.
  bool fails = false;
  /// connect() never ends.
  bool hangs = false;
  /// disconnect() never ends.
  bool stays = false;
};

class witness {
 public:
  static morgana::task<morgana::result<witness>> connect(morgana::context& in, morgana::device_name name,
                                                         witness_options const& options) {
    morgana::log_source const log(in.log(), name.text);
    if (options.fails) co_return morgana::failure(morgana::core_error::closed);
    if (options.hangs) co_await morgana::sleep_until(morgana::never);
    log.info("connected");
    co_return witness(log, options.stays);
  }

  morgana::task<void> disconnect() {
    log_.info("disconnecting");
    if (stays_) co_await morgana::sleep_until(morgana::never);
    log_.info("disconnected");
  }

  void write(std::string_view text) { log_.info("{}", text); }
  morgana::task<morgana::result<std::size_t>> read(std::span<std::byte>, morgana::instant) { co_return 0u; }

 private:
  witness(morgana::log_source log, bool stays) : log_(log), stays_(stays) {}
  morgana::log_source log_;
  bool stays_;
};
