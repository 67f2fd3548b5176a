// Asks for a page again and again, by name, and says each time who gave it or what went wrong.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "morgana/app.hpp"
#include "morgana/net/dns/client.hpp"
#include "morgana/net/happy_eyeballs.hpp"

struct options {
  /// Name of the servers.
  std::string host = "www.test";
  /// Their port.
  std::uint16_t port = 8080;
  /// Name servers, with commas between.
  morgana::net::name_server_setting servers = "auto";
  /// Time between two visits.
  morgana::duration pause = std::chrono::milliseconds(200);
  /// Time for one visit.
  morgana::duration patience = std::chrono::seconds(3);
};

/// The whole answer's size, and from whom it came; an error also when it is no page.
template <class Network, class Names>
morgana::task<morgana::result<std::pair<morgana::net::endpoint, std::size_t>>> visit(
    Network& network, Names& names, std::string_view host, std::uint16_t port, morgana::instant deadline) {
  auto stream = co_await morgana::net::connect_by_name(network, names, host, port, deadline);
  if (!stream) co_return morgana::failure(std::move(stream.error()).during("connect"));
  auto const from = stream->peer();
  constexpr std::string_view request = "GET / HTTP/1.0\r\n\r\n";
  auto sent = co_await stream->write(std::as_bytes(std::span(request)), deadline);
  if (!sent) co_return morgana::failure(std::move(sent.error()).during("write"));
  std::array<std::byte, 2048> piece;
  for (std::size_t total = 0;;) {
    auto const got = co_await stream->read(piece, deadline);
    if (!got) co_return morgana::failure(morgana::error(got.error()).during("read"));
    if (*got == 0) co_return std::pair(from, total);
    std::string_view const text(reinterpret_cast<char const*>(piece.data()), *got);
    if (total == 0 && !text.starts_with("HTTP/1.1 200 "))
      co_return morgana::failure(morgana::core_error::invalid_argument);
    total += *got;
  }
}

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network,
                                           morgana::option_set<options> auto const& opt) {
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "visitor");
  std::string const host(opt.host);
  morgana::net::dns_client<std::remove_cvref_t<decltype(network)>> names(network, {.servers = opt.servers},
                                                                         morgana::net::dns::boot_key());
  for (;;) {
    auto const came = co_await visit(network, names, host, opt.port, here.now() + opt.patience);
    if (came) {
      log.info("{} gave {} bytes", came->first.address, came->second);
    } else {
      log.warning("no page: {}", came.error());
    }
    co_await morgana::sleep_for(opt.pause);
  }
}
