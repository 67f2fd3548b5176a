// A network backend in memory: the other end of both rings, with hands to break the protocol.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "common/front_ring.hpp"
#include "common/net_wire.hpp"
#include "fake_host.hpp"

namespace morgana::xen::test {

/// The backend's end of a ring.
template <class Request, class Response>
struct back_ring {
  static constexpr std::size_t slot_bytes = front_ring<Request, Response>::slot_bytes;
  std::byte* page = nullptr;
  std::uint32_t taken = 0, put = 0;

  ring_head& head() const { return *reinterpret_cast<ring_head*>(page); }
  std::byte* slot(std::uint32_t index) const { return page + sizeof(ring_head) + index % 256 * slot_bytes; }
  bool take(Request& into) {
    if (page == nullptr || taken == head().requests_put) return false;
    std::memcpy(&into, slot(taken++), sizeof into);
    return true;
  }
  template <class Item>
  void answer(Item const& what) {
    static_assert(sizeof what <= slot_bytes);
    std::memcpy(slot(put++), &what, sizeof what);
  }
  /// True when the frontend sleeps and is to be told.
  bool publish() {
    auto const before = head().responses_put;
    head().responses_put = put;
    return put - head().response_event < put - before;
  }
  /// Asks to be told of the next request.
  void sleep() { head().request_event = taken + 1; }
};

struct sent_frame {
  std::string bytes;
  std::uint16_t flags = 0;
  unsigned slots = 0;
  bool has_extra = false;
  net_wire::extra extra{};
};

class fake_netback {
 public:
  explicit fake_netback(fake_host& host) : host_(&host) {}

  /// Takes frames that the guest sent; leaves them unanswered when `holds` is set.
  void serve() {
    net_wire::transmit_request first{};
    while (transmit.take(first)) {
      sent_frame frame{.bytes = {}, .flags = first.flags, .slots = 1};
      answers.push_back({.id = first.id, .status = net_wire::transmit_response::okay});
      if ((first.flags & net_wire::sends_extra) != 0) {
        net_wire::transmit_request raw{};
        transmit.take(raw);
        std::memcpy(&frame.extra, &raw, sizeof frame.extra);
        frame.has_extra = true;
        answers.push_back({.id = 0xdead, .status = net_wire::transmit_response::none});
      }
      std::vector<net_wire::transmit_request> rest;
      for (auto flags = first.flags; (flags & net_wire::sends_more) != 0; flags = rest.back().flags) {
        net_wire::transmit_request next{};
        if (!transmit.take(next)) FAIL("a frame without its rest");
        rest.push_back(next);
        answers.push_back({.id = next.id, .status = net_wire::transmit_response::okay});
      }
      std::size_t others = 0;
      for (auto const& one : rest) others += one.size;
      read(first, first.size - others, frame);
      for (auto const& one : rest) read(one, one.size, frame);
      frame.slots += static_cast<unsigned>(rest.size());
      sent.push_back(frame);
    }
    if (!holds) answer_all();
  }
  void answer_all() {
    for (; !answers.empty(); answers.pop_front()) transmit.answer(answers.front());
    publish_transmit();
  }
  void publish_transmit() {
    transmit.sleep();
    if (transmit.publish()) host_->wake();
  }

  /// Puts a frame into lent pages, `piece` bytes each; false when too few are lent.
  bool deliver(std::string const& bytes, std::uint16_t flags = 0, net_wire::extra const* about = nullptr,
               std::size_t piece = grant_page_bytes) {
    auto const parts = (bytes.size() + piece - 1) / piece;
    if (receive.head().requests_put - receive.taken < parts + (about != nullptr ? 1 : 0)) return false;
    for (std::size_t i = 0; i < parts; ++i) {
      auto const part = bytes.substr(i * piece, piece);
      auto const request = next_lent();
      auto* const memory = host_->map(request.page);
      if (memory == nullptr) FAIL("a page that is lent and not granted");
      auto const offset = piece == grant_page_bytes ? 0u : 64u;
      std::memcpy(memory + offset, part.data(), part.size());
      auto const more = i + 1 < parts ? net_wire::came_more : 0;
      auto const extra = i == 0 && about != nullptr ? net_wire::came_extra : 0;
      receive.answer(net_wire::receive_response{.id = request.id,
                                                .offset = static_cast<std::uint16_t>(offset),
                                                .flags = static_cast<std::uint16_t>((i == 0 ? flags : 0) | more | extra),
                                                .status = static_cast<std::int16_t>(part.size())});
      if (extra != 0) {
        (void)next_lent();
        receive.answer(*about);
      }
    }
    publish_receive();
    return true;
  }
  net_wire::receive_request next_lent() {
    net_wire::receive_request request{};
    if (!receive.take(request)) FAIL("nothing is lent");
    return request;
  }
  void publish_receive() {
    if (receive.publish()) host_->wake();
  }

  back_ring<net_wire::transmit_request, net_wire::transmit_response> transmit;
  back_ring<net_wire::receive_request, net_wire::receive_response> receive;
  std::vector<sent_frame> sent;
  std::deque<net_wire::transmit_response> answers;
  bool holds = false;

 private:
  void read(net_wire::transmit_request const& from, std::size_t size, sent_frame& into) {
    if (from.offset + size > grant_page_bytes) FAIL("a part that crosses its page");
    auto const* const memory = host_->map(from.page);
    if (memory == nullptr) FAIL("a part that is not granted");
    into.bytes.append(reinterpret_cast<char const*>(memory) + from.offset, size);
  }
  fake_host* host_;
};

}  // namespace morgana::xen::test
