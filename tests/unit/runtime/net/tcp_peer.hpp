// One engine and a peer played by the test, segment by segment.
#pragma once

#include "tcp_support.hpp"

namespace tcp_test {

struct scripted {
  network_limits limits;
  host mine;
  instant now{};
  ip_address theirs = v4(9);
  std::uint16_t my_port = 80, their_port = 4'000;
  std::uint32_t their_next = 1'000;  ///< the next number the peer sends
  std::uint32_t my_next = 0;         ///< the next number the peer expects
  bool timestamps = false;
  std::uint32_t their_clock = 50, my_clock = 0;
  tcp::connection* c = nullptr;
  tcp::listener* listening = nullptr;

  explicit scripted(network_limits const& bounds = {}) : limits(bounds), mine(5, v4(1), bounds) {}

  wire::tcp_header header(std::uint8_t flags) const {
    wire::tcp_header h;
    h.source_port = their_port;
    h.destination_port = my_port;
    h.sequence = {their_next};
    h.acknowledgment = {flags & wire::tcp_ack ? my_next : 0};
    h.flags = flags;
    h.window = 60'000;
    if (timestamps) h.options.timestamps = wire::tcp_timestamps{their_clock, my_clock};
    return h;
  }
  /// Sends it with `payload` bytes of the stream that begins at `offset`.
  void send(wire::tcp_header h, std::size_t payload = 0, std::uint8_t traffic_class = 0) {
    frame f{{theirs, mine.route.how.source, traffic_class},
            std::vector<std::byte>(h.encoded_bytes() + payload),
            0,
            true};
    h.emit(f.bytes);
    for (std::size_t i = 0; i < payload; ++i) f.bytes[h.encoded_bytes() + i] = std::byte{'x'};
    mine.input(f, now);
    mine.take_events();
  }
  /// The next segment of the engine; its payload's size beside it.
  struct answer {
    wire::tcp_header h;
    std::size_t payload;
    frame raw;
    bool is(std::uint8_t flags) const { return h.flags == flags; }
  };
  std::optional<answer> receive() {
    auto f = mine.output(now);
    if (!f) return std::nullopt;
    if (!f->checked) CHECK(checksum_right(*f));
    auto const h = wire::tcp_header::parse(f->bytes, f->bytes.size());
    REQUIRE(h);
    return answer{*h, f->bytes.size() - h->header_bytes, *f};
  }
  std::vector<answer> receive_all() {
    std::vector<answer> all;
    while (auto one = receive()) all.push_back(*one);
    return all;
  }
  /// Lets time pass, deadline by deadline; what was sent meanwhile.
  std::vector<answer> pass(duration length) {
    auto const end = now + length;
    auto all = receive_all();
    while (mine.engine.next_deadline() <= end) {
      now = std::max(now, mine.engine.next_deadline());
      mine.engine.on_deadline(now);
      for (auto& one : receive_all()) all.push_back(one);
      mine.take_events();
    }
    now = end;
    return all;
  }
  void listen(std::uint32_t backlog = 8) {
    auto made = mine.engine.listen({.address = v4(1), .port = my_port, .backlog = backlog});
    REQUIRE(made);
    listening = *made;
  }
  wire::tcp_header syn() const {
    auto h = header(wire::tcp_syn);
    h.options.maximum_segment_size = 1'460;
    h.options.sack_permitted = true;
    h.options.window_scale = std::uint8_t{7};
    return h;
  }
  /// The peer opens, the engine accepts.
  void accept() {
    if (listening == nullptr) listen();
    send(syn());
    auto const answer = receive();
    REQUIRE(answer);
    REQUIRE(answer->is(wire::tcp_syn | wire::tcp_ack));
    my_next = answer->h.sequence.value + 1;
    if (answer->h.options.timestamps) my_clock = answer->h.options.timestamps->value;
    ++their_next;
    auto h = header(wire::tcp_ack);
    h.window = 500;  // scaled by 7
    send(h);
    c = listening->accept();
    REQUIRE(c != nullptr);
    CHECK(c->state() == tcp::state::established);
    (void)receive_all();
  }
  /// The engine's user opens; `answer_it` false leaves it in SYN-SENT.
  void connect(bool answer_it = true, tcp::settings const& with = {}) {
    auto made = mine.engine.connect({v4(1), my_port}, {theirs, their_port}, with, now);
    REQUIRE(made);
    c = *made;
    auto const asked = receive();
    REQUIRE(asked);
    REQUIRE(asked->is(wire::tcp_syn));
    my_next = asked->h.sequence.value + 1;
    if (!answer_it) return;
    auto h = syn();
    h.flags = wire::tcp_syn | wire::tcp_ack;
    h.acknowledgment = {my_next};
    send(h);
    ++their_next;
    (void)receive_all();
    CHECK(c->state() == tcp::state::established);
  }
  /// The engine sends FIN first and the peer acknowledges it.
  std::size_t write(std::size_t bytes) {
    auto const done = c->write(std::vector<std::byte>(bytes, std::byte{'y'}), now);
    REQUIRE(done);
    return *done;
  }
  tcp::engine_counters const& counters() const { return mine.engine.counters(); }
};

}  // namespace tcp_test
