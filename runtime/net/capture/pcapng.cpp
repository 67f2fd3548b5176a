#include "morgana/net/pcapng.hpp"

#include <algorithm>

#include "morgana/core/text.hpp"

namespace morgana::net {

namespace {

// Block types and options of the draft: 4.1 section header, 4.2 interface description, 4.3 enhanced packet.
constexpr std::uint32_t section_header = 0x0a0d'0d0a, interface_description = 1, enhanced_packet = 6;
constexpr std::uint16_t option_end = 0, option_comment = 1;
constexpr std::uint16_t option_application = 4;                            // shb_userappl
constexpr std::uint16_t option_interface_name = 2, option_resolution = 9;  // if_name, if_tsresol
constexpr std::uint16_t option_flags = 2;                                  // epb_flags
constexpr std::uint16_t link_ethernet = 1;
constexpr std::byte nanoseconds{9};

constexpr std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

/// Appends to room that is large enough.
struct writer {
  std::span<std::byte> into;
  std::size_t& used;

  void put16(std::uint16_t value) {
    into[used++] = static_cast<std::byte>(value);
    into[used++] = static_cast<std::byte>(value >> 8);
  }
  void put32(std::uint32_t value) {
    put16(static_cast<std::uint16_t>(value));
    put16(static_cast<std::uint16_t>(value >> 16));
  }
  void option(std::uint16_t code, std::span<std::byte const> value) {
    put16(code);
    put16(static_cast<std::uint16_t>(value.size()));
    std::ranges::copy(value, into.begin() + static_cast<std::ptrdiff_t>(used));
    used += padded(value.size());
  }
  void option(std::uint16_t code, std::string_view text) {
    option(code, std::as_bytes(std::span(text.data(), text.size())));
  }
  void end_options() {
    put16(option_end);
    put16(0);
  }
};

}  // namespace

pcapng_head::pcapng_head(std::string_view interface_name, std::uint32_t snap_bytes) {
  writer out{bytes_, size_};
  constexpr std::string_view application = "morgana";
  constexpr std::uint32_t section_bytes = 24 + 4 + padded(application.size()) + 4 + 4;
  out.put32(section_header);
  out.put32(section_bytes);
  out.put32(0x1a2b'3c4d);  // byte order
  out.put16(1);            // version 1.0
  out.put16(0);
  out.put32(0xffff'ffff);  // the section's length is not said
  out.put32(0xffff'ffff);
  out.option(option_application, application);
  out.end_options();
  out.put32(section_bytes);

  auto const name = interface_name.substr(0, name_bytes_max);
  auto const interface_bytes = static_cast<std::uint32_t>(16 + 4 + padded(name.size()) + 4 + 4 + 4 + 4);
  out.put32(interface_description);
  out.put32(interface_bytes);
  out.put16(link_ethernet);
  out.put16(0);
  out.put32(snap_bytes);
  out.option(option_interface_name, name);
  out.option(option_resolution, std::span(&nanoseconds, 1));
  out.end_options();
  out.put32(interface_bytes);
}

pcapng_packet::pcapng_packet(segment const& frame, std::size_t kept, capture_direction direction,
                             duration at) {
  fixed_text<comment_bytes_max> comment;
  if (frame.gso_kind != segmentation::none) {
    comment.append("super-packet, to be cut into parts of {} bytes", frame.gso_size);
  }
  if (frame.checksum == checksum_state::partial) {
    if (!comment.view().empty()) comment.put("; ");
    comment.put("checksum left to the device");
  }

  // Readers that take comments by lines (scapy) want the line to end.
  if (!comment.view().empty()) comment.put('\n');

  behind_size_ = padded(kept) - kept;
  writer end{behind_, behind_size_};
  std::array<std::byte, 4> const flags{static_cast<std::byte>(direction)};
  end.option(option_flags, flags);
  if (!comment.view().empty()) end.option(option_comment, comment.view());
  end.end_options();
  size_ = before_.size() + kept + behind_size_ + 4;
  end.put32(static_cast<std::uint32_t>(size_));

  std::size_t used = 0;
  writer head{before_, used};
  auto const ns = static_cast<std::uint64_t>(at.count());
  head.put32(enhanced_packet);
  head.put32(static_cast<std::uint32_t>(size_));
  head.put32(0);  // the interface
  head.put32(static_cast<std::uint32_t>(ns >> 32));
  head.put32(static_cast<std::uint32_t>(ns));
  head.put32(static_cast<std::uint32_t>(kept));
  head.put32(static_cast<std::uint32_t>(frame.size()));
}

}  // namespace morgana::net
