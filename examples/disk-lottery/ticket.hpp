// The high score of one slot, as it lies in its sector: "LOTO", the score and a CRC-32 of these eight bytes,
// both big-endian, and zeros to the end of the sector. A sector of zeros is a slot that was never played.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

namespace lottery {

inline constexpr std::size_t ticket_bytes = 12;

enum class slot_error { not_a_ticket, wrong_checksum };

/// CRC-32 of IEEE 802.3 (ISO-HDLC).
[[nodiscard]] std::uint32_t crc32(std::span<std::byte const> bytes);

/// `sector` has room for a ticket; the rest of it becomes zeros.
void write_ticket(std::span<std::byte> sector, std::uint32_t score);

/// The score; 0 for an empty slot.
[[nodiscard]] std::expected<std::uint32_t, slot_error> read_ticket(std::span<std::byte const> sector);

}  // namespace lottery
