// Sends every frame that is for it, or for all, back to who sent it.
#pragma once

#include <algorithm>
#include <array>

#include "morgana/app.hpp"

inline morgana::task<morgana::result<void>> start(morgana::net::device auto& link) {
  constexpr std::size_t header_bytes = 14, address_bytes = 6;
  auto& here = co_await morgana::this_context();
  morgana::log_source const log(here.log(), "frames");
  auto const own = link.capabilities().address;
  log.info("address {}, mtu {}", own, link.capabilities().mtu_bytes);
  std::array<morgana::net::segment, 8> frames;
  for (;;) {
    auto const count = co_await link.receive(frames, morgana::never);
    if (!count) {
      log.info("the link is gone");
      co_return {};
    }
    for (auto& frame : std::span(frames).first(*count)) {
      std::array<std::byte, header_bytes> header;
      if (!frame.copy_out(0, header)) continue;
      // The other side's address and ours change places; the EtherType stays.
      std::copy_n(header.begin() + address_bytes, address_bytes, header.begin());
      std::ranges::transform(own.bytes, header.begin() + address_bytes,
                             [](std::uint8_t one) { return static_cast<std::byte>(one); });
      frame.drop_front(header_bytes);
      auto const room = frame.push_header(header_bytes);
      auto const bytes = std::as_writable_bytes(room);
      std::ranges::copy(header, bytes.begin());
      log.info("{} bytes", frame.size());
      if (auto sent = link.transmit(std::span(&frame, 1)); !sent) co_return morgana::failure(std::move(sent.error()));
    }
  }
}
