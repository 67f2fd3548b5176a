// Segments: how packets travel between devices and stacks, from the first to the last layer without a copy.
//
// A segment describes up to 64 KiB of one packet, or of a super-packet that a device will cut (GSO) or has
// put together (GRO), as header room of its own plus refcounted slices of buffers. Buffers belong to a pool
// with a fixed number of them; when the last slice of a buffer goes, it returns to its pool. One core: the
// counts are not atomic.
//
// Sizes and states follow the virtio-net header (Virtual I/O Device 1.2, 5.1.6) and Xen's netif.h, so that
// tap and netfront map onto it field by field.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace morgana::net {

/// Largest segment, bytes of packet, headers included (IPv4's total length, plus Ethernet and VLAN).
inline constexpr std::size_t segment_bytes_max = 65'535 + 18;
/// Most slices of one segment: 64 KiB in pages, unaligned at both ends, plus one of headers.
inline constexpr std::size_t segment_slices_max = 18;
/// Bytes kept in front for headers that are still to be written.
inline constexpr std::size_t segment_headroom_bytes = 192;

/// Memory that slices share. A pool derives from it and is called back when nobody uses it any more.
class buffer {
 public:
  buffer(std::span<std::byte> memory) : memory_(memory) {}
  buffer(buffer const&) = delete;
  buffer& operator=(buffer const&) = delete;
  [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
  [[nodiscard]] std::uint32_t users() const { return users_; }

 protected:
  virtual ~buffer() = default;

 private:
  friend class slice;
  virtual void unused() = 0;
  std::span<std::byte> memory_;
  std::uint32_t users_ = 0;
};

/// A part of a buffer, which lives at least as long as the slice.
class slice {
 public:
  slice() = default;
  slice(buffer& owner, std::size_t offset, std::size_t size)
      : owner_(&owner), offset_(static_cast<std::uint32_t>(offset)), size_(static_cast<std::uint32_t>(size)) {
    ++owner_->users_;
  }
  slice(slice const& other) : owner_(other.owner_), offset_(other.offset_), size_(other.size_) {
    if (owner_ != nullptr) ++owner_->users_;
  }
  slice(slice&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), offset_(other.offset_), size_(std::exchange(other.size_, 0u)) {}
  slice& operator=(slice const& other) noexcept { return *this = slice(other); }
  slice& operator=(slice&& other) noexcept {
    if (this == &other) return *this;
    reset();
    owner_ = std::exchange(other.owner_, nullptr);
    offset_ = other.offset_;
    size_ = std::exchange(other.size_, 0u);
    return *this;
  }
  ~slice() { reset(); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<std::byte const> bytes() const {
    return owner_ == nullptr ? std::span<std::byte const>() : std::span(owner_->memory_.data() + offset_, size_);
  }
  /// Writable only while nobody else has a slice of the buffer; empty otherwise.
  [[nodiscard]] std::span<std::byte> writable() const {
    return owner_ == nullptr || owner_->users_ != 1 ? std::span<std::byte>() : owner_->memory_.subspan(offset_, size_);
  }
  /// A part of this part. Kept within bounds whatever is asked for: it never reaches beyond its whole.
  [[nodiscard]] slice part(std::size_t offset, std::size_t size) const {
    if (owner_ == nullptr) return {};
    auto const from = std::min<std::size_t>(offset, size_);
    return {*owner_, offset_ + from, std::min<std::size_t>(size, size_ - from)};
  }
  void drop_front(std::size_t bytes) {
    auto const gone = static_cast<std::uint32_t>(std::min<std::size_t>(bytes, size_));
    offset_ += gone;
    size_ -= gone;
  }
  void drop_back(std::size_t bytes) { size_ -= static_cast<std::uint32_t>(std::min<std::size_t>(bytes, size_)); }
  /// Takes `next` in when it begins where this ends, in the same buffer; false, and nothing done, when it does not.
  [[nodiscard, gnu::always_inline]] bool join(slice& next) {
    if (owner_ != next.owner_ || owner_ == nullptr || offset_ + size_ != next.offset_) return false;
    size_ += next.size_;
    // This one keeps the buffer.
    --owner_->users_;
    next.owner_ = nullptr;
    next.size_ = 0;
    return true;
  }
  /// Lets go of the buffer: it is empty then.
  void reset() {
    if (auto* const owner = std::exchange(owner_, nullptr); owner != nullptr && --owner->users_ == 0) owner->unused();
    size_ = 0;
  }

 private:
  buffer* owner_ = nullptr;
  std::uint32_t offset_ = 0;
  std::uint32_t size_ = 0;
};

/// How a super-packet is to be cut, or was put together.
enum class segmentation : std::uint8_t { none, tcp_v4, tcp_v6, udp };

enum class checksum_state : std::uint8_t {
  unchecked,     ///< nobody looked: the stack must verify
  valid,         ///< the device verified it, or it never left this host
  partial,       ///< only the pseudo-header's sum is there: the device completes it from checksum_start on
};

class segment {
 public:
  segment() noexcept {}
  segment(segment const& other) { copy(other); }
  segment& operator=(segment const& other) {
    if (this == &other) return *this;
    clear();
    copy(other);
    return *this;
  }
  /// Moves what is there, not the room around it; the source is then empty.
  segment(segment&& other) noexcept { take(other); }
  segment& operator=(segment&& other) noexcept {
    if (this == &other) return *this;
    clear();
    take(other);
    return *this;
  }
  ~segment() {
    for (auto& one : owned_slices()) one.reset();
  }

  /// Bytes of packet: headers written so far, and slices.
  [[nodiscard]] std::size_t size() const { return header_size() + slices_bytes_; }

  // Headers are written from back to front into room of the segment's own.
  [[nodiscard]] std::size_t header_size() const { return segment_headroom_bytes - header_begin_; }
  [[nodiscard]] std::span<std::byte const> header() const { return {headroom_.data() + header_begin_, header_size()}; }
  [[nodiscard]] std::span<std::byte> header() { return {headroom_.data() + header_begin_, header_size()}; }
  /// The longest run of bytes from the front on that lies in one piece.
  [[nodiscard]] std::span<std::byte const> front_piece() const {
    if (header_size() != 0) return header();
    return slice_count_ == 0 ? std::span<std::byte const>() : slices_[0].bytes();
  }
  /// Copies what header() is, to where there is room for it.
  [[gnu::always_inline]] void copy_header(std::byte* to) const {
    copy_few(to, headroom_.data() + header_begin_, header_size());
  }
  /// Room for `bytes` more in front; empty when there is none.
  [[nodiscard]] std::span<std::byte> push_header(std::size_t bytes) {
    if (bytes > header_begin_ || size() + bytes > segment_bytes_max) return {};
    header_begin_ = static_cast<std::uint8_t>(header_begin_ - bytes);
    return {headroom_.data() + header_begin_, bytes};
  }

  [[nodiscard]] std::span<slice const> slices() const { return {slices_.data(), slice_count_}; }
  /// Bytes in them.
  [[nodiscard]] std::size_t slices_bytes() const { return slices_bytes_; }
  /// The slices, to be moved from by who clears the segment afterwards.
  [[nodiscard]] std::span<slice> owned_slices() { return {slices_.data(), slice_count_}; }
  /// All of them were moved from.
  void forget_slices() {
    slices_bytes_ = 0;
    slice_count_ = 0;
  }
  /// False, and nothing changed, when it would exceed segment_slices_max or segment_bytes_max.
  [[nodiscard]] bool append(slice part) {
    if (slice_count_ == segment_slices_max || size() + part.size() > segment_bytes_max) return false;
    if (part.size() == 0) return true;
    slices_bytes_ += static_cast<std::uint32_t>(part.size());
    // What lies behind those in use is none, or has no owner: nothing has to be given back.
    std::construct_at(&slices_[slice_count_++], std::move(part));
    return true;
  }
  /// Becomes what is in `part` alone; it is within one buffer, so within the limits.
  [[gnu::always_inline]] void assign(slice part) {
    clear();
    slices_bytes_ = static_cast<std::uint32_t>(part.size());
    slice_count_ = 1;
    std::construct_at(&slices_[0], std::move(part));
  }
  /// Becomes a copy of `bytes` alone, which takes no buffer: they lie where headers do. At most segment_headroom_bytes.
  [[gnu::always_inline]] void assign_copy(std::span<std::byte const> bytes) {
    clear();
    header_begin_ = static_cast<std::uint8_t>(segment_headroom_bytes - bytes.size());
    copy_few(headroom_.data() + header_begin_, bytes.data(), bytes.size());
  }
  /// Removes bytes from the front (header first, then slices): what a layer does with its own header.
  [[gnu::always_inline]] void drop_front(std::size_t bytes) {
    if (bytes <= header_size()) {
      header_begin_ = static_cast<std::uint8_t>(header_begin_ + bytes);
    } else if (header_size() == 0 && slice_count_ != 0 && bytes < slices_[0].size()) {
      slices_[0].drop_front(bytes);
      slices_bytes_ -= static_cast<std::uint32_t>(bytes);
    } else {
      drop_front_pieces(bytes);
    }
  }
  void drop_back(std::size_t bytes);
  void clear() {
    if (slice_count_ != 0) reset_slices();
    header_begin_ = segment_headroom_bytes;
    gso_size = 0;
    gso_kind = segmentation::none;
    checksum = checksum_state::unchecked;
    checksum_start = checksum_offset = 0;
    receive_hash = 0;
  }

  /// Copies `into.size()` bytes from `offset` on; false when there are not as many.
  [[nodiscard]] bool copy_out(std::size_t offset, std::span<std::byte> into) const {
    auto const front = front_piece();
    if (offset + into.size() > front.size() || into.empty()) return copy_out_pieces(offset, into);
    std::memcpy(into.data(), front.data() + offset, into.size());
    return true;
  }

  std::uint16_t gso_size = 0;                        ///< payload bytes of each part; 0: not a super-packet
  segmentation gso_kind = segmentation::none;
  checksum_state checksum = checksum_state::unchecked;
  std::uint16_t checksum_start = 0;                  ///< offset from the packet's start, for partial
  std::uint16_t checksum_offset = 0;                 ///< from checksum_start to the field
  std::uint32_t receive_hash = 0;                    ///< flow hash of the device; 0 when it gives none

 private:
  /// Pieces of fixed length, the last over the one before it, are fewer instructions than a call.
  [[gnu::always_inline]] static void copy_few(std::byte* to, std::byte const* from, std::size_t size) {
#ifndef __OPTIMIZE_SIZE__
    constexpr std::size_t piece = 32;
    if (size >= piece) [[likely]] {
      auto const last = size - piece;
      std::memcpy(to, from, piece);
      if (last > piece) {
        std::memcpy(to + piece, from + piece, piece);
#pragma clang loop unroll(disable)
        for (std::size_t at = 2 * piece; at < last; at += piece) std::memcpy(to + at, from + at, piece);
      }
      std::memcpy(to + last, from + last, piece);
      return;
    }
#endif
    std::memcpy(to, from, size);
  }
  // Both of an empty one.
  void take(segment& other) noexcept {
    copy_rest(other);
    for (std::size_t i = 0; i < slice_count_; ++i) std::construct_at(&slices_[i], std::move(other.slices_[i]));
    other.clear();
  }
  void copy(segment const& other) {
    copy_rest(other);
    for (std::size_t i = 0; i < slice_count_; ++i) std::construct_at(&slices_[i], other.slices_[i]);
  }
  void copy_rest(segment const& other) noexcept {
    header_begin_ = other.header_begin_;
    // Parts of fixed length, used or not: each is a few instructions.
    constexpr std::size_t part = 64;
    static_assert(segment_headroom_bytes % part == 0);
    for (auto at = segment_headroom_bytes; at > header_begin_; at -= part) {
      std::memcpy(headroom_.data() + at - part, other.headroom_.data() + at - part, part);
    }
    slice_count_ = other.slice_count_;
    slices_bytes_ = other.slices_bytes_;
    gso_size = other.gso_size;
    gso_kind = other.gso_kind;
    checksum = other.checksum;
    checksum_start = other.checksum_start;
    checksum_offset = other.checksum_offset;
    receive_hash = other.receive_hash;
  }
  void reset_slices() {
    for (auto& one : owned_slices()) one.reset();
    forget_slices();
  }
  void drop_front_pieces(std::size_t bytes);
  [[nodiscard]] bool copy_out_pieces(std::size_t offset, std::span<std::byte> into) const;

  std::array<std::byte, segment_headroom_bytes> headroom_;
  // The first slice_count_ are there: to make and end all would cost more than most packets.
  union {
    std::array<slice, segment_slices_max> slices_;
  };
  std::uint32_t slices_bytes_ = 0;
  std::uint8_t slice_count_ = 0;
  std::uint8_t header_begin_ = segment_headroom_bytes;
};

}  // namespace morgana::net
