// A website: the files of htdocs over HTTP/1.1.
#pragma once

#include "morgana/app.hpp"
#include "morgana/http/server.hpp"
#include "morgana/http/static_site.hpp"

struct options {
  /// Port to listen on; 0: any free one.
  std::uint16_t port = 8080;
};

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network, morgana::key_value_store auto& htdocs,
                                           morgana::wall_clock auto& clock,
                                           morgana::option_set<options> auto const& opt) {
  morgana::http::static_site site(htdocs);
  morgana::http::server server({.port = opt.port});
  co_return co_await server.serve(network, clock, site);
}
