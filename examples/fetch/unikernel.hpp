// Downloads a page over HTTP/1.0: a resolver of its own on whatever network it is given, Happy Eyeballs, one request.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "morgana/app.hpp"
#include "morgana/net/dns/client.hpp"
#include "morgana/net/happy_eyeballs.hpp"

struct options {
  /// Name, or address, of the server.
  std::string host = "localhost";
  /// Its port.
  std::uint16_t port = 80;
  /// What to ask for.
  std::string path = "/";
  /// Name servers, with commas between; auto: those that the network knows.
  morgana::net::name_server_setting servers = "auto";
};

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network,
                                           morgana::option_set<options> auto const& opt) {
  using namespace std::chrono_literals;
  using network_type = std::remove_cvref_t<decltype(network)>;
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "fetch");
  std::string const host(opt.host), path(opt.path);

  morgana::net::dns_client<network_type> names(network, {.servers = opt.servers}, morgana::net::dns::boot_key());
  auto stream = co_await morgana::net::connect_by_name(network, names, host, opt.port, here.now() + 10s);
  if (!stream) co_return morgana::failure(std::move(stream.error()).during("connect"));
  log.info("connected to {}", stream->peer());

  auto const request = "GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
  auto sent = co_await stream->write(std::as_bytes(std::span(request)), here.now() + 10s);
  if (!sent) co_return morgana::failure(std::move(sent.error()).during("write"));

  std::array<std::byte, 4096> piece;
  std::size_t total = 0;
  for (;;) {
    auto const got = co_await stream->read(piece, here.now() + 10s);
    if (!got) co_return morgana::failure(morgana::error(got.error()).during("read"));
    if (*got == 0) break;
    std::string_view const text(reinterpret_cast<char const*>(piece.data()), *got);
    if (total == 0) log.info("{}", text.substr(0, text.find('\r')));
    total += *got;
  }
  log.info("{} bytes", total);
  co_return {};
}
