// A whole host behind the codec: frames that another codec made go in, what comes out goes back to it.
//
//   host new [mtu=N] [router=1]      10.0.0.1/24, 2001:db8::1/64, 02:00:00:00:00:01; router=1: hears
//   advertisements host input HEX                   one frame host pass MILLISECONDS           time host udp
//   FROM_PORT TO_ENDPOINT HEX, host read PORT     binds the port when it is asked for first host ping ADDRESS
//   IDENTIFIER SEQUENCE BYTES host join ADDRESS, host leave ADDRESS host connect ENDPOINT            a TCP
//   connection, so that a SYN goes out host addresses
//
// Every answer has "frames", what the host sent because of it.
#include <array>
#include <map>
#include <memory>

#include "morgana/net/core.hpp"
#include "tests/wire/text.hpp"

namespace wire_codec {
namespace {

using namespace morgana;
using namespace morgana::net;

struct running {
  buffer_pool pool{2048, 16u << 20};
  std::unique_ptr<core> host;
  instant now{};
  std::map<std::uint16_t, udp_port*> ports;

  explicit running(words const& asked) {
    core_configuration with;
    with.device.address = {{2, 0, 0, 0, 0, 1}};
    with.device.mtu_bytes = static_cast<std::uint32_t>(asked.number("mtu", 1500));
    with.addresses = {cidr::parse("10.0.0.1/24").value(), cidr::parse("2001:db8::1/64").value()};
    with.router_advertisements = asked.number("router") != 0;
    with.detect_conflicts = false;
    std::array<std::byte, 32> secret{};
    secret[0] = std::byte{7};
    host = std::make_unique<core>(with, keyed_secrets::derive(secret), pool, now);
  }

  void input(bytes const& frame) {
    segment one;
    for (std::size_t at = 0; at < frame.size();) {
      auto const size = std::min(frame.size() - at, pool.buffer_bytes());
      auto part = pool.take_slice(size);
      std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), size, part.writable().begin());
      if (!one.append(std::move(part))) refuse("a frame too large", std::to_string(frame.size()));
      at += size;
    }
    host->input(std::span(&one, 1), now);
  }

  std::string frames() {
    std::vector<std::string> all;
    std::array<segment, 4> out;
    while (auto const count = host->poll_transmit(out, now)) {
      for (auto& one : std::span(out).first(count)) {
        bytes frame(one.size());
        (void)one.copy_out(0, frame);
        all.push_back(quoted(to_hex(frame)));
        one.clear();
      }
    }
    while (host->poll_event()) {
    }
    return list_of(all);
  }

  udp_port& port(std::uint16_t number) {
    auto& one = ports[number];
    if (one == nullptr) {
      auto const made = host->bind({ip_address(ipv6_address{}), number});
      if (!made) refuse("no port", std::to_string(number));
      one = *made;
    }
    return *one;
  }
};

endpoint to_endpoint(std::string_view text) {
  auto const read = endpoint::parse(text);
  if (!read) refuse("not an endpoint", text);
  return *read;
}

std::unique_ptr<running> current;

}  // namespace

std::string host_command(words const& asked) {
  auto const what = asked.at(1);
  if (what == "new" || current == nullptr) current = std::make_unique<running>(asked);
  auto& one = *current;
  object made;
  bool good = true;
  if (what == "input") {
    one.input(from_hex(asked.at(2)));
  } else if (what == "pass") {
    auto const end = one.now + std::chrono::milliseconds(to_number(asked.at(2)));
    std::string all;
    while (one.host->next_deadline() <= end) {
      one.now = std::max(one.now, one.host->next_deadline());
      one.host->on_deadline(one.now);
      auto const some = one.frames();
      if (some.size() > 2) all += (all.empty() ? "" : ",") + some.substr(1, some.size() - 2);
    }
    one.now = end;
    return made.raw("frames", "[" + all + "]").done();
  } else if (what == "udp") {
    auto const data = from_hex(asked.at(4));
    good = one.port(static_cast<std::uint16_t>(to_number(asked.at(2))))
               .send(data, to_endpoint(asked.at(3)), one.now)
               .has_value();
  } else if (what == "read") {
    bytes into(65'535);
    auto const read = one.port(static_cast<std::uint16_t>(to_number(asked.at(2)))).receive(into);
    good = read.has_value();
    if (read && *read) {
      made.hex("data", std::span(into).first((*read)->size)).text("from", printed((*read)->from));
    }
  } else if (what == "ping") {
    good = one.host
               ->ping(to_address(asked.at(2)), static_cast<std::uint16_t>(to_number(asked.at(3))),
                      static_cast<std::uint16_t>(to_number(asked.at(4))), to_number(asked.at(5)), one.now)
               .has_value();
  } else if (what == "join") {
    good = one.host->join_group(to_address(asked.at(2)), one.now).has_value();
  } else if (what == "leave") {
    one.host->leave_group(to_address(asked.at(2)), one.now);
  } else if (what == "connect") {
    good = one.host->tcp().connect(to_endpoint(asked.at(2)), {}, one.now).has_value();
  } else if (what == "addresses") {
    std::vector<std::string> all;
    for (auto const& entry : one.host->addresses()) all.push_back(quoted(printed(entry.address)));
    made.raw("addresses", list_of(all));
  } else if (what != "new") {
    refuse("no such command of a host", what);
  }
  return made.flag("good", good).raw("frames", one.frames()).done();
}

}  // namespace wire_codec
