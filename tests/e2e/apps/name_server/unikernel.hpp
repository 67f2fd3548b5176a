// Answers questions for one name with its IPv4 addresses, each time beginning with the next one (RFC 1035).
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/app.hpp"
#include "morgana/net/dns/message.hpp"

struct options {
  /// The name.
  std::string name = "www.test";
  /// Its addresses, with commas between.
  std::string addresses = "10.0.0.1";
};

inline std::vector<morgana::net::ip_address> addresses_in(std::string_view text) {
  std::vector<morgana::net::ip_address> all;
  while (!text.empty()) {
    auto const end = std::min(text.find(','), text.size());
    if (auto const one = morgana::net::ip_address::parse(text.substr(0, end))) all.push_back(*one);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return all;
}

morgana::task<morgana::result<void>> start(morgana::net::stack auto& network,
                                           morgana::option_set<options> auto const& opt) {
  namespace dns = morgana::net::dns;
  morgana::log_source const log((co_await morgana::this_context()).log(), "names");
  auto const own = dns::name::parse(std::string_view(opt.name));
  auto const addresses = addresses_in(std::string_view(opt.addresses));
  auto socket = network.bind({.address = {}, .port = 53});
  if (!socket) co_return morgana::failure(std::move(socket.error()).during("bind"));
  log.info("answering for {}", std::string_view(opt.name));

  std::array<std::byte, 512> asked, answer;
  for (std::size_t turn = 0;; ++turn) {
    auto const got = co_await socket->receive(asked, morgana::never);
    if (!got) co_return morgana::failure(morgana::error(got.error()).during("receive"));
    auto reader = dns::message_reader::open(std::span(asked).first(got->size));
    if (!reader || reader->header().is_response) continue;
    auto const question = reader->next_question();
    if (!question) continue;
    bool const is_known = own && question->name == *own;
    auto const code = is_known ? dns::response_code::no_error : dns::response_code::no_such_name;
    dns::message_writer writer(
        answer,
        {.id = reader->header().id, .is_response = true, .is_authoritative = true, .code = code});
    writer.add(*question);
    if (is_known && question->type == dns::record_type::a) {
      for (std::size_t i = 0; i < addresses.size(); ++i)
        writer.add(question->name, 0, addresses[(turn + i) % addresses.size()]);
    }
    auto const sent = co_await socket->send(writer.finish(), got->from, morgana::never);
    if (!sent) log.warning("{}: {}", got->from, sent.error());
  }
}
