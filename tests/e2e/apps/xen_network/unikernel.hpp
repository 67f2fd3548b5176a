// A network of Xen's, disconnected and connected again many times; or read past the page of its ring.
#pragma once

#include "morgana/app.hpp"
#include "morgana/xen/grants.hpp"
#include "morgana/xen/netfront.hpp"

struct options {
  /// How often to disconnect and connect again.
  std::uint32_t cycles = 24;
  /// Read past the end of a page that the backend shares.
  bool read_past = false;
};

/// Its name must stand in the crash report.
[[gnu::noinline]] inline int read_past_on_purpose(std::span<std::byte const> page) {
  auto const* volatile at = page.data() + page.size();
  return static_cast<int>(*at);
}

inline morgana::task<morgana::result<void>> start(morgana::net::device auto& link,
                                                  morgana::option_set<options> auto const& opt) {
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "cycles");
  auto const say = [&](std::uint32_t round) {
    auto const grants = morgana::xen::grants_of_guest();
    log.info("after {}: {} grants are out, {} are stuck", round, grants.used, grants.stuck);
  };
  if (opt.read_past) log.info("{}", read_past_on_purpose(link.receive_ring()));
  co_await link.disconnect();
  say(0);
  for (std::uint32_t i = 1; i <= opt.cycles; ++i) {
    auto again = co_await morgana::xen::netfront::connect(here, morgana::device_name{"link"}, {});
    if (!again) co_return morgana::failure(std::move(again.error()));
    if (morgana::xen::grants_of_guest().used == 0) log.error("nothing is granted");
    co_await (*again)->disconnect();
    say(i);
  }
  co_return {};
}
