// The workloads on our own stack. usage: bench_network WORKLOAD [COUNT] [copied]; prints one JSON object.
#include <memory>

#include "hosts.hpp"
#include "measure.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/ip.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::bench {
namespace {

constexpr std::size_t write_bytes = 16 * 1024;
constexpr std::size_t message_bytes = 64;
constexpr std::uint16_t port = 5001;

struct outcome {
  cost spent;
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;
  double extra = 0;                   ///< what the workload is about beside CPU time; see `extra_name`
  char const* extra_name = nullptr;
};

struct request {
  std::uint64_t count;
  bool is_copied;
};

net::tcp::listener& listen(hosts& two) {
  auto made = two.b.tcp().listen({.port = port});
  must(made.has_value(), "listen() failed");
  return **made;
}

// ---- bulk: 16 KiB writes, read as they arrive --------------------------------------------------------

outcome bulk(request const& wanted, bool offloads) {
  auto two = std::make_unique<hosts>(link_settings{wanted.is_copied, offloads});
  auto ends = connect(*two, listen(*two));
  std::vector<std::byte> from(write_bytes, std::byte{0x5a});
  std::vector<std::byte> into(64 * 1024);
  std::uint64_t received = 0;
  auto const heard = [&] {
    drop_events(two->a);
    if (!two->b.poll_event()) return;
    while (auto const got = ends.server->read(into, two->now)) {
      if (!*got) break;
      received += **got;
    }
  };
  auto const one = [&] {
    auto const written = ends.client->write(from, two->now);
    must(written && *written == from.size(), "a write did not take everything");
    two->now += 10us;
    if (two->a.next_deadline() <= two->now) two->a.on_deadline(two->now);
    if (two->b.next_deadline() <= two->now) two->b.on_deadline(two->now);
    two->pump(heard);
  };
  for (unsigned i = 0; i < 200; ++i) one();   // the congestion window opens
  received = 0;
  outcome found;
  found.operations = wanted.count;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < wanted.count; ++i) one();
  });
  two->run(1s);
  heard();
  found.bytes = wanted.count * from.size();
  must(received == found.bytes, "not every byte arrived");
  return found;
}

// ---- UDP ---------------------------------------------------------------------------------------------

outcome udp(request const& wanted) {
  auto two = std::make_unique<hosts>(link_settings{wanted.is_copied, false});
  auto const bound = [](net::core& host, std::uint8_t number) {
    auto made = host.bind({hosts::address(number), port});
    must(made.has_value(), "bind() failed");
    return *made;
  };
  auto* const from = bound(two->a, 1);
  auto* const to = bound(two->b, 2);
  net::endpoint const peer{hosts::address(2), port};
  std::array<std::byte, message_bytes> message{};
  std::array<std::byte, 2048> into;
  std::uint64_t received = 0;
  auto const heard = [&] {
    if (!two->b.poll_event()) return;
    for (;;) {
      auto const got = to->receive(into);
      if (!got || !*got) break;
      ++received;
    }
  };
  constexpr unsigned together = 32;
  auto const some = [&] {
    for (unsigned i = 0; i < together; ++i) must(from->send(message, peer, two->now).has_value(), "send() failed");
    two->now += 10us;
    two->pump(heard);
  };
  for (unsigned i = 0; i < 20; ++i) some();
  received = 0;
  outcome found;
  found.operations = wanted.count / together * together;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < wanted.count / together; ++i) some();
  });
  found.bytes = found.operations * message_bytes;
  must(received == found.operations, "datagrams were lost");
  return found;
}

// ---- requests and answers ----------------------------------------------------------------------------

/// What users send, and where they read.
constexpr std::array<std::byte, message_bytes> message{};
constinit std::array<std::byte, 2 * message_bytes> application{};

/// One host's output pass and the other's turn: a frame goes over, and the user there is told of what it brought.
void turn(hosts& two, net::core& here, net::core& there) {
  must(two.pass(here, there) != 0, "nothing was sent");
  drop_events(there);
}

void write(hosts& two, net::tcp::connection& from) {
  auto const written = from.write(message, two.now);
  must(written && *written == message.size(), "a write did not take everything");
}

void read(hosts& two, net::tcp::connection& at) {
  auto const got = at.read(application, two.now);
  must(got && *got && **got == message.size(), "the message did not arrive whole");
}

/// Sends on one end, reads on the other; a message is never cut here. As a host's loop has it: what the one has to
/// send goes to the other, whose user is told of it and reads.
void say(hosts& two, net::tcp::connection& from, net::core& here, net::tcp::connection& to, net::core& there) {
  write(two, from);
  turn(two, here, there);
  read(two, to);
}

outcome ping_pong(request const& wanted) {
  auto two = std::make_unique<hosts>(link_settings{wanted.is_copied, false});
  auto ends = connect(*two, listen(*two));
  auto const one = [&] {
    say(*two, *ends.client, two->a, *ends.server, two->b);
    say(*two, *ends.server, two->b, *ends.client, two->a);
    two->now += 100us;
    if (two->a.next_deadline() <= two->now) two->a.on_deadline(two->now);
    if (two->b.next_deadline() <= two->now) two->b.on_deadline(two->now);
  };
  for (unsigned i = 0; i < 100; ++i) one();
  outcome found;
  found.operations = wanted.count;
  found.bytes = wanted.count * 2 * message_bytes;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < wanted.count; ++i) one();
  });
  return found;
}

/// The whole life of a connection: handshake, 64 bytes each way, FINs both ways. As a host's loop has it: the client's
/// user writes when it is told that the connection is there, so that its bytes bring the handshake's last acknowledgment,
/// and each end closes when it is told what ends its part. The client stays in TIME-WAIT.
void live_and_die(hosts& two) {
  auto const opened = two.a.tcp().connect({hosts::address(2), port}, {}, two.now);
  must(opened.has_value(), "connect() failed");
  auto* const client = *opened;
  turn(two, two.a, two.b);
  turn(two, two.b, two.a);
  write(two, *client);
  must(two.pass(two.a, two.b) != 0, "nothing was sent");
  net::tcp::connection* server = nullptr;
  while (auto const told = two.b.poll_event()) {
    if (told->listener != nullptr) server = told->listener->accept();
  }
  must(server != nullptr, "no connection");
  read(two, *server);
  say(two, *server, two.b, *client, two.a);
  client->shutdown(two.now);
  turn(two, two.a, two.b);
  auto const end = server->read(application, two.now);
  must(end && *end && **end == 0, "the end of the stream did not arrive");
  server->release(two.now);
  turn(two, two.b, two.a);
  client->release(two.now);
  turn(two, two.a, two.b);
}

outcome connect_close(request const& wanted) {
  auto two = std::make_unique<hosts>(link_settings{wanted.is_copied, false});
  connect(*two, listen(*two));   // they know each other's link addresses
  auto const one = [&] {
    live_and_die(*two);
    two->now += 20ms;
    if (two->a.next_deadline() <= two->now) two->a.on_deadline(two->now);
    if (two->b.next_deadline() <= two->now) two->b.on_deadline(two->now);
  };
  // As many as are in TIME-WAIT at once, so that the tables have the size that they keep.
  for (unsigned i = 0; i < 3500; ++i) one();
  outcome found;
  found.operations = wanted.count;
  found.bytes = wanted.count * 2 * message_bytes;
  measure(found.spent, [&] {
    for (std::uint64_t i = 0; i < wanted.count; ++i) one();
  });
  return found;
}

// ---- one segment -------------------------------------------------------------------------------------

/// What a host does with a data segment that arrives in order, its checksum verified by the device: input() and
/// nothing else. Reading and acknowledging come afterwards, outside of what is measured.
outcome segment(request const& wanted) {
  auto two = std::make_unique<hosts>(link_settings{wanted.is_copied, false});
  auto ends = connect(*two, listen(*two));
  std::vector<std::byte> from(1448 * 10, std::byte{0x5a});
  std::vector<std::byte> into(64 * 1024);
  outcome found;
  for (std::uint64_t i = 0; found.operations < wanted.count; ++i) {
    auto const written = ends.client->write(from, two->now);
    must(written && *written == from.size(), "a write did not take everything");
    auto const count = two->a.poll_transmit(two->frames, two->now);
    auto const frames = std::span(two->frames).first(count);
    for (auto& one : frames) one.checksum = net::checksum_state::valid;
    two->now += 100us;
    if (i < 20) {
      two->b.input(frames, two->now);
    } else {
      must(count == 10, "the congestion window is too small");
      measure(found.spent, [&] { two->b.input(frames, two->now); });
      found.operations += count;
      found.bytes += from.size();
    }
    drop_events(two->b);
    while (true) {
      auto const got = ends.server->read(into, two->now);
      if (!got || !*got) break;
    }
    two->pump([] {});
    drop_events(two->a);
    if (two->a.next_deadline() <= two->now) two->a.on_deadline(two->now);
    if (two->b.next_deadline() <= two->now) two->b.on_deadline(two->now);
  }
  return found;
}

// ---- SYN flood ---------------------------------------------------------------------------------------

net::segment forged_syn(hosts& two, std::uint64_t number) {
  net::segment frame;
  net::ipv4_address const source{{10, 0, static_cast<std::uint8_t>(1 + number % 200), static_cast<std::uint8_t>(1 + number / 200 % 250)}};
  net::ip_address const destination = hosts::address(2);
  net::wire::tcp_header tcp;
  tcp.source_port = static_cast<std::uint16_t>(1024 + number * 7919 % 60'000);
  tcp.destination_port = port;
  tcp.sequence = {static_cast<std::uint32_t>(number * 2'654'435'761u)};
  tcp.flags = net::wire::tcp_syn;
  tcp.window = 64'240;
  tcp.options.maximum_segment_size = 1460;
  tcp.options.sack_permitted = true;
  tcp.options.timestamps = net::wire::tcp_timestamps{static_cast<std::uint32_t>(number), 0};
  tcp.options.window_scale = 7;
  auto const bytes = frame.push_header(tcp.encoded_bytes());
  tcp.emit(bytes);
  net::wire::checksum sum;
  sum.add_pseudo_header(source, destination, 6, static_cast<std::uint32_t>(bytes.size()));
  sum.add(bytes);
  net::wire::store16(bytes, 16, sum.finish());
  net::wire::ipv4_header ip;
  ip.source = source;
  ip.destination = destination.v4();
  ip.total_bytes = static_cast<std::uint16_t>(20 + bytes.size());
  ip.emit(frame.push_header(20));
  net::wire::ethernet_header link;
  link.destination = {{2, 0, 0, 0, 0, 2}};
  link.source = {{2, 0, 0, 0, 0, 9}};
  link.type = net::wire::ether_type::ipv4;
  link.emit(frame.push_header(14));
  (void)two;
  return frame;
}

/// 100,000 SYNs a second from forged sources, and every 10 ms somebody who means it.
outcome syn_flood(request const& wanted) {
  auto two = std::make_unique<hosts>(link_settings{wanted.is_copied, false});
  // Forged sources are beyond a router, whose address is the other host's.
  must(two->b.add_route({net::cidr{net::ipv4_address{}, 0}, hosts::address(1)}).has_value(), "add_route() failed");
  connect(*two, listen(*two));   // they know each other's link addresses
  constexpr unsigned together = 10;
  std::uint64_t sent = 0;
  std::vector<net::segment> arriving(together);
  outcome found;
  auto const flood = [&](bool is_measured) {
    two->now += 100us;
    for (auto& one : arriving) one = forged_syn(*two, sent++);
    auto const work = [&] {
      if (two->b.next_deadline() <= two->now) two->b.on_deadline(two->now);
      two->b.input(arriving, two->now);
      while (auto const count = two->b.poll_transmit(two->frames, two->now)) {
        for (std::size_t i = 0; i < count; ++i) two->frames[i].clear();   // nobody is there
      }
    };
    if (is_measured) return measure(found.spent, work);
    work();
  };
  // What those who mean it leave in TIME-WAIT has room already; then three seconds, and all is as full as it gets.
  for (unsigned i = 0; i < 2000; ++i) live_and_die(*two);
  two->run(61s);
  while (sent < 300'000) flood(false);
  auto const before = live_bytes();
  sent = 0;
  std::uint64_t accepted = 0, tried = 0;
  while (sent < wanted.count) {
    flood(true);
    if (sent % 1'000 == 0) {
      ++tried;
      live_and_die(*two);
      ++accepted;                             // or it would have ended the program
    }
  }
  found.operations = wanted.count;
  found.extra = static_cast<double>(live_bytes()) - static_cast<double>(before);
  found.extra_name = "grown_bytes";
  std::fprintf(stderr, "syn_flood: %llu of %llu connections meant seriously succeeded\n",
               static_cast<unsigned long long>(accepted), static_cast<unsigned long long>(tried));
  return found;
}

// ---- idle connections --------------------------------------------------------------------------------

outcome idle(request const& wanted) {
  auto two = std::make_unique<hosts>(link_settings{wanted.is_copied, false});
  auto& where = listen(*two);
  auto const connect_some = [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      auto ends = connect(*two, where);
      say(*two, *ends.client, two->a, *ends.server, two->b);
      say(*two, *ends.server, two->b, *ends.client, two->a);
      two->now += 1ms;
      if (two->a.next_deadline() <= two->now) two->a.on_deadline(two->now);
      if (two->b.next_deadline() <= two->now) two->b.on_deadline(two->now);
    }
    two->run(3s);
    drop_events(two->a);
    drop_events(two->b);
  };
  connect_some(100);
  auto const before = live_bytes();
  outcome found;
  found.operations = wanted.count;
  measure(found.spent, [&] { connect_some(wanted.count); });
  must(two->pool.used_buffers() == 0, "an idle connection holds a buffer");
  found.extra = static_cast<double>(live_bytes() - before) / static_cast<double>(2 * wanted.count);
  found.extra_name = "bytes_per_connection";
  return found;
}

int run(int argc, char** argv) {
  std::string_view const name = argc > 1 ? argv[1] : "";
  request wanted{argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1000, false};
  for (int i = 3; i < argc; ++i) wanted.is_copied = wanted.is_copied || std::string_view(argv[i]) == "copied";
  outcome found;
  if (name == "bulk") found = bulk(wanted, false);
  else if (name == "bulk_gso") found = bulk(wanted, true);
  else if (name == "udp") found = udp(wanted);
  else if (name == "ping_pong") found = ping_pong(wanted);
  else if (name == "connect_close") found = connect_close(wanted);
  else if (name == "segment") found = segment(wanted);
  else if (name == "syn_flood") found = syn_flood(wanted);
  else if (name == "idle") found = idle(wanted);
  else {
    std::fprintf(stderr, "usage: %s bulk|bulk_gso|udp|ping_pong|connect_close|segment|syn_flood|idle [COUNT] [copied]\n",
                 argv[0]);
    return 2;
  }
  std::printf("{\"stack\": \"morgana\", \"workload\": \"%s\", \"operations\": %llu, \"bytes\": %llu, "
              "\"cpu_seconds\": %.6f, \"allocations\": %llu",
              argv[1], static_cast<unsigned long long>(found.operations), static_cast<unsigned long long>(found.bytes),
              found.spent.cpu_seconds, static_cast<unsigned long long>(found.spent.allocations));
  if (found.extra_name != nullptr) std::printf(", \"%s\": %.1f", found.extra_name, found.extra);
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace morgana::bench

int main(int argc, char** argv) { return morgana::bench::run(argc, argv); }
