// Reads messages of services on request and writes them again: `dns HEX`, `dhcp4 HEX`, `dhcp6 HEX` give one JSON object
// a line, with what was read and, in `again`, the bytes that our writer makes of it.
#include <iostream>
#include <vector>

#include "morgana/net/dhcp/v4_message.hpp"
#include "morgana/net/dhcp/v6_message.hpp"
#include "morgana/net/dns/message.hpp"
#include "tests/wire/text.hpp"

using namespace morgana;
using namespace morgana::net;

namespace wire_codec {
namespace {

std::string name_text(dns::name const& one) {
  fixed_text<1024> text;
  write_text(text, one);
  return std::string(text.view());
}

template <class Values>
std::string addresses(Values const& all) {
  std::vector<std::string> texts;
  for (auto const& one : all) texts.push_back(quoted(printed(one)));
  return list_of(texts);
}

std::string dns_message(bytes const& message) {
  auto reader = dns::message_reader::open(message);
  if (!reader) return error_object(reader.error());
  std::vector<std::byte> into(4096);
  dns::message_writer writer(into, reader->header());
  std::vector<std::string> questions, records;
  while (auto const one = reader->next_question()) {
    questions.push_back(object().text("name", name_text(one->name)).number("type", static_cast<unsigned>(one->type)).done());
    writer.add(*one);
  }
  while (auto const one = reader->next_record()) {
    object made;
    made.text("name", name_text(one->owner)).number("type", static_cast<unsigned>(one->type)).number("ttl", one->ttl_s);
    made.number("section", static_cast<unsigned>(one->section));
    if (auto const address = dns::message_reader::address_of(*one)) {
      made.text("address", printed(*address));
      writer.add(one->owner, one->ttl_s, *address);
    } else if (one->type == dns::record_type::soa) {
      auto const zone = reader->authority_of(*one);
      if (zone) made.number("minimum", zone->minimum_s);
    } else if (one->type == dns::record_type::cname) {
      if (auto const target = reader->name_of(*one)) {
        made.text("target", name_text(*target));
        writer.add_alias(one->owner, one->ttl_s, *target);
      }
    } else if (one->type == dns::record_type::opt) {
      made.number("udp_bytes", one->in_class);
      writer.add_extension(one->in_class);
    }
    records.push_back(made.done());
  }
  if (reader->failure()) return error_object(*reader->failure());
  auto const& head = reader->header();
  return object()
      .number("id", head.id)
      .flag("response", head.is_response)
      .flag("truncated", head.is_truncated)
      .number("code", static_cast<unsigned>(head.code))
      .raw("questions", list_of(questions))
      .raw("records", list_of(records))
      .hex("again", writer.finish())
      .done();
}

std::string dhcp4_message(bytes const& message) {
  auto const read = dhcp::v4_message::parse(message);
  if (!read) return error_object(read.error());
  std::vector<std::byte> into(dhcp::v4_message::bytes_max);
  std::vector<std::string> routes;
  for (auto const& one : read->routes) {
    routes.push_back(quoted(printed(cidr{ip_address(one.destination), one.prefix_bits}) + " " + printed(one.gateway)));
  }
  return object()
      .number("type", static_cast<unsigned>(read->type))
      .number("transaction", read->transaction)
      .flag("broadcast", read->wants_broadcast)
      .text("yours", printed(read->yours))
      .text("client", printed(read->client))
      .text("hardware", printed(read->hardware))
      .number("lease", read->lease_s.value_or(0))
      .number("renewal", read->renewal_s.value_or(0))
      .number("mtu", read->mtu_bytes.value_or(0))
      .text("server", printed(read->server.value_or(ipv4_address{})))
      .text("mask", printed(read->subnet_mask.value_or(ipv4_address{})))
      .text("domain", dhcp::view(read->domain))
      .raw("routers", addresses(read->routers))
      .raw("name_servers", addresses(read->name_servers))
      .raw("routes", list_of(routes))
      .hex("identifier", read->client_identifier.all())
      .hex("again", read->emit(into))
      .done();
}

std::string dhcp6_message(bytes const& message) {
  auto const read = dhcp::v6_message::parse(message);
  if (!read) return error_object(read.error());
  std::vector<std::byte> into(dhcp::v6_message::bytes_max);
  auto const association = read->association.value_or(dhcp::v6_association{});
  std::vector<std::string> leases;
  for (auto const& one : association.addresses) {
    leases.push_back(object()
                         .text("address", printed(one.address))
                         .number("preferred", one.preferred_s)
                         .number("valid", one.valid_s)
                         .done());
  }
  return object()
      .number("type", static_cast<unsigned>(read->type))
      .number("transaction", read->transaction)
      .hex("client", read->client.all())
      .hex("server", read->server.all())
      .number("association", association.id)
      .number("renewal", association.renewal_s)
      .raw("leases", list_of(leases))
      .number("status", static_cast<unsigned>(read->status))
      .flag("rapid_commit", read->rapid_commit)
      .raw("name_servers", addresses(read->name_servers))
      .hex("again", read->emit(into))
      .done();
}

}  // namespace
}  // namespace wire_codec

int main() {
  using namespace wire_codec;
  std::string line;
  while (std::getline(std::cin, line)) {
    words const asked(line);
    auto const command = asked.at(0);
    auto const message = from_hex(asked.at(1));
    if (command == "dns") {
      std::cout << dns_message(message) << '\n';
    } else if (command == "dhcp4") {
      std::cout << dhcp4_message(message) << '\n';
    } else if (command == "dhcp6") {
      std::cout << dhcp6_message(message) << '\n';
    } else {
      refuse("no such format", command);
    }
  }
}
