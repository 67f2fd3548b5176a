// Resolves a name and says its addresses.
#pragma once

#include <string>

#include "morgana/app.hpp"
#include "morgana/net/resolver.hpp"

struct options {
  /// Name to resolve.
  std::string name = "localhost";
};

morgana::task<morgana::result<void>> start(morgana::net::resolver auto& dns,
                                           morgana::option_set<options> auto const& opt) {
  using namespace std::chrono_literals;
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "dns");
  std::string const name(opt.name);
  auto const found = co_await dns.resolve(name, here.now() + 10s);
  if (!found) co_return morgana::failure(morgana::error(found.error()).during("resolve"));
  for (auto const& one : *found) log.info("{} has address {}", name, one);
  co_return {};
}
